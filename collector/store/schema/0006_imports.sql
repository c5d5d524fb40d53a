-- Each import and how far it got: reading, complete or removed. The row with
-- the highest seq counts.
CREATE TABLE IF NOT EXISTS imports
(
    site       LowCardinality(String),
    tool       LowCardinality(String),
    state      LowCardinality(String),
    files      Array(String),
    first      Date,
    last       Date,
    row_count  UInt64,
    ts         DateTime64(3, 'UTC'),
    keep_until Date,
    spool_id   UUID,
    seq        UInt64
)
ENGINE = ReplacingMergeTree(seq)
ORDER BY (site, spool_id)
TTL keep_until
SETTINGS non_replicated_deduplication_window = 1000, replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
