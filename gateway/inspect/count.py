"""Counts of records in SQL, and quantiles of how long they took.

A record that was kept by chance stands for all that are like it: where `gateway.sample` is 0.1, for ten. So counts are
sums of weights, and estimates where there is such a record. Quantiles are read from a histogram, since no aggregate of the
database takes weights: what is told is the greatest duration of the class that a quantile is in, which is exact where the
class has one value, and 1 % too large at most.
"""

from typing import Final

WIDTH: Final = 1.01
"""What the greatest duration of a class may be of its least."""

_WEIGHT: Final = "CASE WHEN sample > 0 AND sample < 1 THEN 1 / sample ELSE 1 END"
_READ: Final = 'sample, duration, "time", status, decision'
_NUMBERS: Final = ("requests", "ok", "client_errors", "server_errors", "refused")
_QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_LEAST: Final = -(1 << 20)  # the class of no time at all
_ROUNDING: Final = 1 - 1e-9


def classes(keys: str, by: str, where: str) -> str:
    """A SELECT of how many of the records that fit `where` are in each class of durations.

    It has a row for each class, weight and value of `by`, which are columns of `keys`; so it hardly grows with the records.
    """
    return f"""
    SELECT {by}, sample,
    CASE WHEN duration > 0 THEN floor(ln(duration) / ln({WIDTH}))::INTEGER
    WHEN duration <= 0 THEN {_LEAST} END AS class,
    max(duration) AS duration, min("time") AS first, max("time") AS last,
    count(*) AS requests,
    count(*) FILTER (WHERE status < 400) AS ok,
    count(*) FILTER (WHERE status BETWEEN 400 AND 499) AS client_errors,
    count(*) FILTER (WHERE status >= 500) AS server_errors,
    count(*) FILTER (WHERE decision = 'refuse') AS refused
    FROM (SELECT {keys}, {_READ} FROM records WHERE {where}) GROUP BY ALL
    """


def counts(by: str, classes: str) -> str:
    """A SELECT of the counts and quantiles by the columns `by` of a table that has what the SELECT above has."""
    sums = ", ".join(f"sum({name} * {_WEIGHT}) AS {name}" for name in _NUMBERS)
    quantiles = ", ".join(
        f"round(min(duration) FILTER (WHERE upto >= {part} * timed * {_ROUNDING}), 2) AS {name}"
        for name, part in _QUANTILES.items()
    )
    timed = f"sum(requests) FILTER (WHERE class IS NOT NULL) OVER (PARTITION BY {by}"
    return f"""
    SELECT {by}, round(sum(requests))::BIGINT AS requests, round(sum(ok))::BIGINT AS ok,
    round(sum(client_errors))::BIGINT AS "4xx", round(sum(server_errors))::BIGINT AS "5xx",
    round(sum(refused))::BIGINT AS refused, {quantiles}
    FROM (
        SELECT *, {timed} ORDER BY class) AS upto, {timed}) AS timed
        FROM (SELECT {by}, class, max(duration) AS duration, {sums} FROM {classes} GROUP BY ALL)
    ) GROUP BY {by}
    """


def top(value: str, where: str, limit: int) -> str:
    """Counts by the values that most records have, the most first."""
    return f"""
    WITH found AS MATERIALIZED ({classes(f"{value} AS value", "value", where)}),
    first AS (
        SELECT value, sum(requests * {_WEIGHT}) AS exact FROM found GROUP BY value
        ORDER BY exact DESC, value LIMIT {limit:d}
    ),
    asked AS (SELECT found.* FROM found JOIN first ON found.value IS NOT DISTINCT FROM first.value)
    SELECT * FROM ({counts("value", "asked")}) ORDER BY requests DESC, value
    """


def stats(where: str) -> str:
    """Counts of all, by route, and by route and filter, and how many there were in a second."""
    keys = 'route, "filter"'
    return f"""
    WITH found AS MATERIALIZED ({classes(keys, keys, where)}),
    span AS (SELECT epoch(max(last) - min(first)) AS seconds FROM found),
    asked AS (
        SELECT found.* REPLACE (
            CASE WHEN level > 0 THEN route END AS route, CASE WHEN level > 1 THEN "filter" END AS "filter"
        ), level
        FROM found, (VALUES (0), (1), (2)) AS levels (level)
    )
    SELECT CASE WHEN level < 1 THEN '(all)' ELSE coalesce(route, '(none)') END AS route,
    CASE WHEN level < 2 THEN '(all)' ELSE coalesce("filter", '(none)') END AS "filter",
    counted.* EXCLUDE (level, route, "filter"), round(requests / nullif(seconds, 0), 2) AS "per second"
    FROM ({counts(f"level, {keys}", "asked")}) AS counted, span
    ORDER BY level = 0 DESC, counted.route NULLS LAST, level, requests DESC
    """


def series(every: int, where: str) -> str:
    """Counts for each so many seconds in which there is anything."""
    moment = f'time_bucket(to_seconds({every:d}), "time") AS moment'
    return f"""
    WITH found AS MATERIALIZED ({classes(moment, "moment", where)})
    SELECT moment AS "time", counted.* EXCLUDE (moment) FROM ({counts("moment", "found")}) AS counted ORDER BY moment
    """
