-- The tables that the sink fills. They are not what people query (those are the
-- views of views.sql): a row here is one entry of the journal, with its place in
-- it, and the same entry may stand here twice until ClickHouse merges the two.
-- Every table keeps each row's partition and offset, because the place from
-- which to go on is read from the rows themselves.
--
-- No table is partitioned: one insert must be one part, which is there whole or
-- not at all. Parts are synced before they are acknowledged: a loss of power may
-- take the newest rows, which are copied again, but never older ones from among
-- newer ones.

CREATE TABLE IF NOT EXISTS signalbox.decisions_log
(
    partition         Int32,
    offset            Int64,
    origin_epoch      LowCardinality(String),
    origin_seq        UInt64,
    decision_id       String,
    call_id           String,
    at                DateTime64(6, 'UTC'),
    tenant            LowCardinality(String),
    team              LowCardinality(String),
    app               LowCardinality(String),
    key_id            LowCardinality(String),
    user              String,
    session           String,
    agent             String,
    tags              Map(LowCardinality(String), String),
    gateway           LowCardinality(String),
    method            LowCardinality(String),
    path              LowCardinality(String),
    dialect           LowCardinality(String),
    model_asked       LowCardinality(String),
    model             LowCardinality(String),
    action            LowCardinality(String),
    changes           Array(LowCardinality(String)),
    reason            LowCardinality(String),
    `reasons.code`    Array(LowCardinality(String)),
    `reasons.message` Array(String),
    `reasons.budget`  Array(LowCardinality(String)),
    `reasons.warning` Array(Bool),
    deployments       Array(LowCardinality(String)),
    input_tokens      Int64,
    max_output_tokens Int64,
    held_nano_usd     Int64,
    policy_revision   LowCardinality(String),
    registry_version  Int64,
    zone_rules        LowCardinality(String),
    findings          Array(LowCardinality(String)),
    facts             String CODEC(ZSTD(3)),
    verdict           String CODEC(ZSTD(3)),
    prompt_hash       String,
    traceparent       String,
    retry_count       Int64,
    latency_us        Int64,
    chain_hash        String,
    INDEX by_offset offset TYPE minmax GRANULARITY 1,
    INDEX by_at at TYPE minmax GRANULARITY 1,
    INDEX by_id decision_id TYPE bloom_filter GRANULARITY 4,
    INDEX by_call call_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree
ORDER BY (tenant, at, partition, offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS signalbox.usage_log
(
    partition                          Int32,
    offset                             Int64,
    key                                LowCardinality(String),
    hold_epoch                         LowCardinality(String),
    hold_n                             UInt64,
    rank                               UInt8,
    -- Of the settlements of one hold the highest rank counts, and of equal ranks
    -- the first: rank × 2⁵⁶ + (2⁵⁶ − 1 − offset), the greatest stays.
    precedence                         UInt64,
    settled_at                         DateTime64(6, 'UTC'),
    call_id                            String,
    decision_id                        String,
    call_outcome                       LowCardinality(String),
    at                                 DateTime64(6, 'UTC'),
    tenant                             LowCardinality(String),
    team                               LowCardinality(String),
    app                                LowCardinality(String),
    key_id                             LowCardinality(String),
    user                               String,
    session                            String,
    agent                              String,
    tags                               Map(LowCardinality(String), String),
    gateway                            LowCardinality(String),
    dialect                            LowCardinality(String),
    model                              LowCardinality(String),
    registry_version                   Int64,
    over_hold                          Bool,
    `attempts.deployment`              Array(LowCardinality(String)),
    `attempts.provider`                Array(LowCardinality(String)),
    `attempts.upstream_model`          Array(LowCardinality(String)),
    `attempts.status`                  Array(Int32),
    `attempts.outcome`                 Array(LowCardinality(String)),
    `attempts.input_tokens`            Array(Int64),
    `attempts.cached_input_tokens`     Array(Int64),
    `attempts.cache_write_tokens`      Array(Int64),
    `attempts.cache_write_long_tokens` Array(Int64),
    `attempts.output_tokens`           Array(Int64),
    `attempts.reasoning_tokens`        Array(Int64),
    `attempts.other`                   Array(Map(LowCardinality(String), Int64)),
    `attempts.service_tier`            Array(LowCardinality(String)),
    `attempts.source`                  Array(LowCardinality(String)),
    `attempts.charged_nano_usd`        Array(Int64),
    `attempts.ttft_ms`                 Array(Int64),
    `attempts.latency_ms`              Array(Int64),
    INDEX by_offset offset TYPE minmax GRANULARITY 1,
    INDEX by_at at TYPE minmax GRANULARITY 1,
    INDEX by_call call_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (key, hold_epoch, hold_n)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS signalbox.ledger_log
(
    partition    Int32,
    offset       Int64,
    at           DateTime64(6, 'UTC'),
    key          LowCardinality(String),
    kind         LowCardinality(String),
    epoch        LowCardinality(String),
    n            UInt64,
    id           String,
    incarnation  Int64,
    budget       LowCardinality(String),
    unit         LowCardinality(String),
    meter_per    String,
    per          Map(LowCardinality(String), String),
    window       LowCardinality(String),
    window_start Nullable(DateTime64(6, 'UTC')),
    -- Entries of one series (what stands before them in ORDER BY) count only while
    -- standing rises: a settlement's rank, a return's running total, a version.
    standing     Int64,
    value        Int64,
    held         Int64,
    call_id      String,
    by           LowCardinality(String),
    why          String,
    INDEX by_offset offset TYPE minmax GRANULARITY 1,
    INDEX by_at at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (key, kind, epoch, n, id, incarnation, unit, meter_per, window, partition, offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS signalbox.prices_log
(
    deployment                       LowCardinality(String),
    valid_from                       DateTime64(6, 'UTC'),
    recorded_at                      DateTime64(6, 'UTC'),
    version                          Int64,
    removed                          Bool,
    input_nano_usd_per_mtok            Int64,
    cached_input_nano_usd_per_mtok     Int64,
    cache_write_nano_usd_per_mtok      Int64,
    cache_write_long_nano_usd_per_mtok Int64,
    output_nano_usd_per_mtok           Int64,
    -- Resolved: a tier says all its prices, also those that the file left to the
    -- price itself.
    tiers Array(Tuple(above Int64, service_tier String, input Int64, cached_input Int64, cache_write Int64, cache_write_long Int64, output Int64))
)
ENGINE = ReplacingMergeTree
ORDER BY (deployment, valid_from, version);

CREATE TABLE IF NOT EXISTS signalbox.traces_log
(
    partition    Int32,
    offset       Int64,
    origin_epoch LowCardinality(String),
    origin_seq   UInt64,
    tenant       LowCardinality(String),
    call_id      String,
    decision_id  String,
    at           DateTime64(6, 'UTC'),
    capture      LowCardinality(String),
    prompt       String CODEC(ZSTD(3)),
    response     String CODEC(ZSTD(3)),
    INDEX by_offset offset TYPE minmax GRANULARITY 1,
    INDEX by_call call_id TYPE bloom_filter GRANULARITY 4
)
ENGINE = ReplacingMergeTree
ORDER BY (tenant, at, partition, offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS signalbox.names_log
(
    partition    Int32,
    offset       Int64,
    origin_epoch LowCardinality(String),
    origin_seq   UInt64,
    tenant       LowCardinality(String),
    pseudonym    String,
    kind         LowCardinality(String),
    name         String,
    forgotten    Bool,
    INDEX by_offset offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY (tenant, pseudonym)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

-- The same names in memory, for the views to look up. A join would read them for
-- every query, also for one that shows no person; joinGet costs nothing there.
CREATE TABLE IF NOT EXISTS signalbox.names_lookup
(
    tenant    String,
    pseudonym String,
    name      String
)
ENGINE = Join(ANY, LEFT, tenant, pseudonym)
SETTINGS join_any_take_last_row = 1;

-- How far each table's sink has read, where the entries it read made no rows.
CREATE TABLE IF NOT EXISTS signalbox.positions
(
    table     LowCardinality(String),
    partition Int32,
    next      Int64
)
ENGINE = ReplacingMergeTree(next)
ORDER BY (table, partition);
