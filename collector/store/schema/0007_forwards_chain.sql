-- The chain of outcomes: each row's hash covers it and the hash before it (see
-- collector.Link). A withdrawal empties salt together with receipt_id.
ALTER TABLE forwards
    ADD COLUMN IF NOT EXISTS chain_id UUID CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS n UInt64 CODEC(Delta, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS prev_hash String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS salt String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS mark String CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS hash String CODEC(ZSTD(1))
