-- How the way of an event to a destination ended. A forwarder that was killed
-- may report twice: the later row replaces the earlier. event_seq is the seq of
-- the event in the same spool, for two visitors may have chosen one event_id.
-- receipt_id tells them apart as well, but a withdrawal rewrites it, which a
-- sorting key forbids.
CREATE TABLE IF NOT EXISTS forwards
(
    site         LowCardinality(String),
    event_id     String CODEC(ZSTD(1)),
    event_seq    UInt64 CODEC(Delta, ZSTD(1)),
    receipt_id   UUID CODEC(ZSTD(1)),
    destination  LowCardinality(String),
    state        LowCardinality(String),
    reason       LowCardinality(String),
    attempts     UInt32,
    payload_hash String CODEC(ZSTD(1)),
    ts           DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    keep_until   Date,
    spool_id     UUID CODEC(ZSTD(1)),
    seq          UInt64 CODEC(Delta, ZSTD(1)),
    INDEX by_receipt receipt_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_seq seq TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(seq)
PARTITION BY toYYYYMM(ts)
ORDER BY (site, event_id, destination, spool_id, event_seq)
TTL keep_until
SETTINGS non_replicated_deduplication_window = 1000, replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600, finished_mutations_to_keep = 1
