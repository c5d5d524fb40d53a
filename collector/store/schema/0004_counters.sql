-- What happened how often: no identifier of anybody. Read sum(n): a batch of
-- the writer leaves one row per key and hour, and there are many batches.
CREATE TABLE IF NOT EXISTS counters
(
    site       LowCardinality(String),
    hour       DateTime('UTC') CODEC(Delta, ZSTD(1)),
    kind       LowCardinality(String),
    key        LowCardinality(String),
    notice     LowCardinality(String),
    language   LowCardinality(String),
    country    LowCardinality(String),
    n          UInt64,
    keep_until Date,
    spool_id   UUID CODEC(ZSTD(1)),
    seq        UInt64 CODEC(Delta, ZSTD(1)),
    INDEX by_seq seq TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (site, kind, hour, key, notice, language, country)
TTL keep_until
SETTINGS non_replicated_deduplication_window = 1000, replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
