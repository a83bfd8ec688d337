-- What people query. Each view is defined anew at every start, so it always is
-- what this program's documentation says.

CREATE OR REPLACE VIEW signalbox.names AS
SELECT tenant, kind, pseudonym, name
FROM signalbox.names_log FINAL
WHERE NOT forgotten;

CREATE OR REPLACE VIEW signalbox.decisions AS
SELECT
    decision_id, call_id, at, tenant, team, app, key_id,
    if(joinGet('signalbox.names_lookup', 'name', toString(tenant), user) = '', user, joinGet('signalbox.names_lookup', 'name', toString(tenant), user)) AS user,
    if(joinGet('signalbox.names_lookup', 'name', toString(tenant), session) = '', session, joinGet('signalbox.names_lookup', 'name', toString(tenant), session)) AS session,
    if(joinGet('signalbox.names_lookup', 'name', toString(tenant), agent) = '', agent, joinGet('signalbox.names_lookup', 'name', toString(tenant), agent)) AS agent,
    tags, gateway, method, path, dialect, model_asked, model, action, changes, reason,
    `reasons.code`, `reasons.message`, `reasons.budget`, `reasons.warning`,
    deployments, input_tokens, max_output_tokens, held_nano_usd, policy_revision, registry_version, zone_rules,
    findings, facts, verdict, prompt_hash, traceparent, retry_count, latency_us, chain_hash,
    partition AS log_partition, offset AS log_offset
FROM signalbox.decisions_log FINAL;

CREATE OR REPLACE VIEW signalbox.usage AS
SELECT
    call_id, decision_id, number AS attempt, at, tenant, team, app, key_id,
    if(joinGet('signalbox.names_lookup', 'name', toString(tenant), user) = '', user, joinGet('signalbox.names_lookup', 'name', toString(tenant), user)) AS user,
    if(joinGet('signalbox.names_lookup', 'name', toString(tenant), session) = '', session, joinGet('signalbox.names_lookup', 'name', toString(tenant), session)) AS session,
    if(joinGet('signalbox.names_lookup', 'name', toString(tenant), agent) = '', agent, joinGet('signalbox.names_lookup', 'name', toString(tenant), agent)) AS agent,
    tags, gateway, dialect,
    attempts.deployment AS deployment,
    attempts.provider AS provider,
    model,
    attempts.upstream_model AS upstream_model,
    attempts.status AS status,
    attempts.outcome AS outcome,
    attempts.input_tokens AS input_tokens,
    attempts.cached_input_tokens AS cached_input_tokens,
    attempts.cache_write_tokens AS cache_write_tokens,
    attempts.cache_write_long_tokens AS cache_write_long_tokens,
    attempts.output_tokens AS output_tokens,
    attempts.reasoning_tokens AS reasoning_tokens,
    attempts.other AS other,
    attempts.service_tier AS service_tier,
    attempts.source AS source,
    over_hold,
    CAST('none' AS LowCardinality(String)) AS cache,
    toInt64(0) AS saved_nano_usd,
    attempts.charged_nano_usd AS charged_nano_usd,
    attempts.ttft_ms AS ttft_ms,
    attempts.latency_ms AS latency_ms,
    ['', 'rule', 'estimate', 'exact'][rank + 1] AS known,
    settled_at, registry_version
FROM signalbox.usage_log FINAL
ARRAY JOIN attempts, arrayEnumerate(`attempts.deployment`) AS number;

CREATE OR REPLACE VIEW signalbox.prices AS
SELECT
    deployment, valid_from, recorded_at, version, removed,
    input_nano_usd_per_mtok, cached_input_nano_usd_per_mtok, cache_write_nano_usd_per_mtok, cache_write_long_nano_usd_per_mtok,
    output_nano_usd_per_mtok, tiers
FROM signalbox.prices_log FINAL;

-- The price in force at a moment is that of the latest valid_from not after it;
-- of one valid_from, the version recorded last. A removed one is none: the price
-- before it is in force again. Of the tiers that fit a call, one for its service
-- tier goes before one for all, and then the longest input goes first.
--
-- 256 bits, because the sum of five products of two 64-bit numbers needs 129.
-- Tokens that do not add up, and a cost above Int64, cost what was charged.
CREATE OR REPLACE VIEW signalbox.costs AS
SELECT
    call_id, decision_id, attempt, at, tenant, team, app, key_id, user, session, agent, tags, gateway, dialect,
    deployment, provider, model, upstream_model, status, outcome,
    input_tokens, cached_input_tokens, cache_write_tokens, cache_write_long_tokens, output_tokens, reasoning_tokens, other,
    service_tier, source, over_hold, cache, saved_nano_usd, charged_nano_usd, ttft_ms, latency_ms, known, settled_at, registry_version,
    if(priced, recorded, NULL) AS price_recorded_at,
    multiIf(
        NOT priced, toInt64(0),
        least(plain, cached_input_tokens, cache_write_tokens, cache_write_long_tokens, output_tokens) < 0, charged_nano_usd,
        nano > 9223372036854775807, charged_nano_usd,
        toInt64(nano)) AS cost_nano_usd
FROM
(
    SELECT
        u.*,
        p.version > 0 AS priced,
        p.recorded_at AS recorded,
        toInt256(u.input_tokens) - u.cached_input_tokens - u.cache_write_tokens - u.cache_write_long_tokens AS plain,
        arrayReverseSort(t -> (t.service_tier != '', t.above),
            arrayFilter(t -> (t.service_tier = '' OR t.service_tier = toString(u.service_tier)) AND (t.above = 0 OR u.input_tokens > t.above), p.tiers)) AS fitting,
        empty(fitting) AS base,
        intDiv(
            plain * if(base, p.input_nano_usd_per_mtok, fitting[1].input)
            + toInt256(u.cached_input_tokens) * if(base, p.cached_input_nano_usd_per_mtok, fitting[1].cached_input)
            + toInt256(u.cache_write_tokens) * if(base, p.cache_write_nano_usd_per_mtok, fitting[1].cache_write)
            + toInt256(u.cache_write_long_tokens) * if(base, p.cache_write_long_nano_usd_per_mtok, fitting[1].cache_write_long)
            + toInt256(u.output_tokens) * if(base, p.output_nano_usd_per_mtok, fitting[1].output)
            + 999999, 1000000) AS nano
    FROM signalbox.usage AS u
    ASOF LEFT JOIN
    (
        SELECT *
        FROM (SELECT * FROM signalbox.prices_log ORDER BY version DESC LIMIT 1 BY deployment, valid_from)
        WHERE NOT removed
    ) AS p ON u.deployment = p.deployment AND u.at >= p.valid_from
);

CREATE OR REPLACE VIEW signalbox.spend_hourly AS
SELECT
    c.tenant AS tenant, c.team AS team, c.app AS app, c.model AS model, c.deployment AS deployment,
    toStartOfHour(c.at) AS hour,
    uniqExact(c.decision_id) AS calls,
    sum(c.input_tokens) + sum(c.output_tokens) AS tokens,
    sum(c.input_tokens) AS input_tokens,
    sum(c.output_tokens) AS output_tokens,
    sum(c.cost_nano_usd) AS cost_nano_usd,
    sum(c.charged_nano_usd) AS charged_nano_usd
FROM signalbox.costs AS c
GROUP BY tenant, team, app, model, deployment, hour;

CREATE OR REPLACE VIEW signalbox.traces AS
SELECT call_id, decision_id, tenant, at, capture, prompt, response
FROM signalbox.traces_log FINAL;

-- Every movement that moved something: an entry counts only if its standing is
-- above all before it in its series, and a settlement or a return counts by what
-- it adds to the one before.
CREATE OR REPLACE VIEW signalbox.ledger AS
SELECT
    at, key AS tenant, budget, unit,
    mapApply((attribute, value) -> (attribute, if(
        attribute NOT IN ('user', 'session', 'agent') OR joinGet('signalbox.names_lookup', 'name', toString(key), value) = '',
        value, joinGet('signalbox.names_lookup', 'name', toString(key), value))), per) AS per,
    window, window_start,
    if(movement.kind = 'settled' AND before > 0, 'corrected', movement.kind) AS kind,
    if(movement.kind IN ('settled', 'returned'), value - value_before, value) AS amount,
    held, call_id, epoch, n, by, why, incarnation, partition AS log_partition, offset AS log_offset
FROM
(
    SELECT
        *,
        max(standing) OVER earlier AS before,
        argMax(value, standing) OVER earlier AS value_before
    FROM signalbox.ledger_log
    WINDOW earlier AS (PARTITION BY key, kind, epoch, n, id, incarnation, unit, meter_per, window
        ORDER BY partition, offset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
) AS movement
WHERE standing > before;
