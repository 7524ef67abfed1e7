-- The request log in ClickHouse: whole lines, and the columns by which they are searched. What has no column is read from the
-- line: JSONExtractString(line, 'tls.protocol.version').
CREATE DATABASE IF NOT EXISTS weir;

CREATE TABLE IF NOT EXISTS weir.requests
(
    line String CODEC(ZSTD(3)),
    timestamp DateTime64(3, 'UTC') MATERIALIZED parseDateTime64BestEffort(JSONExtractString(line, 'timestamp'), 3, 'UTC') CODEC(Delta, ZSTD),
    request_id String MATERIALIZED JSONExtractString(line, 'gateway.request_id'),
    method LowCardinality(String) MATERIALIZED JSONExtractString(line, 'http.request.method'),
    path String MATERIALIZED JSONExtractString(line, 'url.path'),
    route LowCardinality(String) MATERIALIZED JSONExtractString(line, 'gateway.route'),
    status UInt16 MATERIALIZED JSONExtractUInt(line, 'http.response.status_code'),
    decision LowCardinality(String) MATERIALIZED JSONExtractString(line, 'gateway.decision'),
    reason LowCardinality(String) MATERIALIZED JSONExtractString(line, 'gateway.reason'),
    filter LowCardinality(String) MATERIALIZED JSONExtractString(line, 'gateway.filter'),
    source LowCardinality(String) MATERIALIZED JSONExtractString(line, 'gateway.source'),
    project_id String MATERIALIZED JSONExtractString(line, 'gateway.project.id'),
    user_id String MATERIALIZED JSONExtractString(line, 'user.id'),
    client String MATERIALIZED JSONExtractString(line, 'client.address'),
    upstream LowCardinality(String) MATERIALIZED JSONExtractString(line, 'gateway.upstream.name'),
    duration_ms Float32 MATERIALIZED JSONExtractFloat(line, 'gateway.duration_ms'),
    bytes_in UInt64 MATERIALIZED JSONExtractUInt(line, 'http.request.body.size'),
    bytes_out UInt64 MATERIALIZED JSONExtractUInt(line, 'http.response.body.size'),
    revision LowCardinality(String) MATERIALIZED JSONExtractString(line, 'gateway.revision')
)
-- A record that was sent twice is kept once.
ENGINE = ReplacingMergeTree
PARTITION BY toDate(timestamp)
ORDER BY (timestamp, request_id)
TTL toDateTime(timestamp) + INTERVAL 90 DAY;

-- Lines of a file; plans are left out. With `zstdcat requests.log.*.zst` for compressed ones:
--   clickhouse-client --query "$(sed -n '/^INSERT/,$p' clickhouse.sql)" < requests.log.1
INSERT INTO weir.requests (line)
SELECT line FROM input('line String') WHERE JSONExtractString(line, 'kind') = 'request'
FORMAT LineAsString
