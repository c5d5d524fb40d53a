-- One row per admitted event. visitor_id and session_id group faster than the
-- strings they hash. Not sorted by visitor: reports read a site's days, and a
-- withdrawal rewrites visitor and session, which a sorting key forbids.
-- finished_mutations_to_keep: the record of a mutation that anonymises rows
-- holds the key of their new names; it has to go.
CREATE TABLE IF NOT EXISTS events
(
    event_id        String CODEC(ZSTD(1)),
    site            LowCardinality(String),
    test            Bool,
    ts              DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    name            LowCardinality(String),
    visitor         String CODEC(ZSTD(1)),
    visitor_id      UInt64 MATERIALIZED cityHash64(visitor),
    session         String CODEC(ZSTD(1)),
    session_id      UInt64 MATERIALIZED cityHash64(session),
    session_start   DateTime('UTC') CODEC(Delta, ZSTD(1)),
    session_first   Bool,
    hostname        LowCardinality(String),
    path            String CODEC(ZSTD(1)),
    title           String CODEC(ZSTD(1)),
    referrer        String CODEC(ZSTD(1)),
    source          LowCardinality(String),
    channel         LowCardinality(String),
    utm_source      LowCardinality(String),
    utm_medium      LowCardinality(String),
    utm_campaign    LowCardinality(String),
    utm_term        LowCardinality(String),
    utm_content     LowCardinality(String),
    country         LowCardinality(String),
    region          LowCardinality(String),
    city            LowCardinality(String),
    browser         LowCardinality(String),
    browser_version LowCardinality(String),
    os              LowCardinality(String),
    os_version      LowCardinality(String),
    device          LowCardinality(String),
    language        LowCardinality(String),
    screen          LowCardinality(String),
    props           Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    revenue         Decimal(18, 4) CODEC(ZSTD(1)),
    currency        LowCardinality(String),
    items           String CODEC(ZSTD(1)),
    engagement_ms   UInt32 CODEC(ZSTD(1)),
    ip_hash         String CODEC(ZSTD(1)) TTL toDateTime(ts) + INTERVAL 24 HOUR,
    receipt_id      UUID CODEC(ZSTD(1)),
    notice          LowCardinality(String),
    keep_until      Date,
    spool_id        UUID CODEC(ZSTD(1)),
    seq             UInt64 CODEC(Delta, ZSTD(1)),
    INDEX by_receipt receipt_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_seq seq TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (site, toDate(ts), name, ts)
TTL keep_until
SETTINGS non_replicated_deduplication_window = 1000, replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600, finished_mutations_to_keep = 1
