-- What another tool counted before Sluice did, added up by day: no row about a
-- person, no event, and so neither consent nor anything to forward. dimension
-- is '' for the whole day. spool_id is the import, seq the number of the row in
-- it, so that a row is there once whatever was interrupted.
CREATE TABLE IF NOT EXISTS imported
(
    site       LowCardinality(String),
    date       Date CODEC(Delta, ZSTD(1)),
    tool       LowCardinality(String),
    dimension  LowCardinality(String),
    value      String CODEC(ZSTD(1)),
    visitors   UInt64 CODEC(T64, ZSTD(1)),
    visits     UInt64 CODEC(T64, ZSTD(1)),
    pageviews  UInt64 CODEC(T64, ZSTD(1)),
    events     UInt64 CODEC(T64, ZSTD(1)),
    bounces    UInt64 CODEC(T64, ZSTD(1)),
    seconds    UInt64 CODEC(T64, ZSTD(1)),
    keep_until Date,
    spool_id   UUID CODEC(ZSTD(1)),
    seq        UInt64 CODEC(Delta, ZSTD(1)),
    INDEX by_seq seq TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(date)
ORDER BY (site, dimension, date, value)
TTL keep_until
SETTINGS non_replicated_deduplication_window = 1000, replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
