-- The index of 0012 for the events that were there before it.
ALTER TABLE events
    MATERIALIZE INDEX by_receipt
