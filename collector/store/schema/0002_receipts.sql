-- The ledger: one row per decision, hash-chained by (chain_id, n). body is the
-- canonical JSON that hash was computed over; the other columns repeat parts
-- of it for queries.
CREATE TABLE IF NOT EXISTS receipts
(
    chain_id    UUID CODEC(ZSTD(1)),
    n           UInt64 CODEC(Delta, ZSTD(1)),
    receipt_id  UUID CODEC(ZSTD(1)),
    consent_id  UUID CODEC(ZSTD(1)),
    site        LowCardinality(String),
    ts          DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    expires     DateTime('UTC') CODEC(Delta, ZSTD(1)),
    notice      LowCardinality(String),
    notice_hash LowCardinality(String),
    shown_hash  LowCardinality(String),
    language    LowCardinality(String),
    variant     LowCardinality(String),
    method      LowCardinality(String),
    legal_basis LowCardinality(String),
    gpc         Bool,
    purposes    Map(LowCardinality(String), Bool),
    services    Map(LowCardinality(String), Bool),
    country     LowCardinality(String),
    prev_hash   String CODEC(ZSTD(1)),
    hash        String CODEC(ZSTD(1)),
    body        String CODEC(ZSTD(3)),
    keep_until  Date,
    spool_id    UUID CODEC(ZSTD(1)),
    seq         UInt64 CODEC(Delta, ZSTD(1)),
    INDEX by_receipt receipt_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_consent consent_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_seq seq TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (chain_id, n)
TTL keep_until
SETTINGS non_replicated_deduplication_window = 1000, replicated_deduplication_window = 1000, merge_with_ttl_timeout = 3600
