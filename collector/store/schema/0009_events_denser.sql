-- The same where ten times as many visits lie between each other: blocks of up
-- to 1 MiB for what a visit repeats, and a start that T64 packs better.
ALTER TABLE events
    MODIFY COLUMN session_start DateTime('UTC') CODEC(T64, ZSTD(1)),
    MODIFY COLUMN event_id String CODEC(ZSTD(1)) SETTINGS (min_compress_block_size = 1048576),
    MODIFY COLUMN session_id UInt64 MATERIALIZED cityHash64(session) CODEC(ZSTD(3)) SETTINGS (min_compress_block_size = 1048576),
    MODIFY COLUMN session String CODEC(ZSTD(1)) SETTINGS (min_compress_block_size = 1048576),
    MODIFY COLUMN visitor String CODEC(ZSTD(3)) SETTINGS (min_compress_block_size = 1048576),
    MODIFY COLUMN receipt_id UUID CODEC(ZSTD(3)) SETTINGS (min_compress_block_size = 1048576)
