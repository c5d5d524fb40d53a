-- What a request said, secrets taken out, beside the first of its outcomes. A
-- withdrawal empties it; sent_until empties it with the events that it tells of,
-- which may be kept for less long than the outcome.
ALTER TABLE forwards
    ADD COLUMN IF NOT EXISTS sent_until Date DEFAULT keep_until CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS sent String CODEC(ZSTD(3)) TTL sent_until
