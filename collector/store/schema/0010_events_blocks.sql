-- Half as large blocks as before: a merge of many parts holds one of each part
-- and column, and has to fit in clickhouse.max_memory (1 GiB unless set).
ALTER TABLE events
    MODIFY COLUMN event_id String CODEC(ZSTD(1)) SETTINGS (min_compress_block_size = 524288),
    MODIFY COLUMN session_id UInt64 MATERIALIZED cityHash64(session) CODEC(ZSTD(3)) SETTINGS (min_compress_block_size = 524288),
    MODIFY COLUMN session String CODEC(ZSTD(1)) SETTINGS (min_compress_block_size = 524288),
    MODIFY COLUMN visitor String CODEC(ZSTD(3)) SETTINGS (min_compress_block_size = 524288),
    MODIFY COLUMN receipt_id UUID CODEC(ZSTD(3)) SETTINGS (min_compress_block_size = 524288)
