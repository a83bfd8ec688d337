-- What a price says of tools that are billed by the use. Rows from before have none,
-- and are written anew at each start.

ALTER TABLE signalbox.prices_log
    ADD COLUMN IF NOT EXISTS tools_nano_usd_per_use Map(LowCardinality(String), Int64);
