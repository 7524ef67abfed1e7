"""The records of a log as a table, in DuckDB: from sidecars where there are some, from the lines where not."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.inspect.field import BY_NAME, FIELDS, Field
from gateway.inspect.grammar import EVERYTHING, Query
from gateway.inspect.period import Period
from gateway.inspect.reader import MissingExtra, files
from gateway.inspect.sidecar import sidecar_of
from gateway.inspect.sql import condition, quoted, selected

_FETCH: Final = 2048
_MEMORY: Final = "2GB"
_LOOK: Final = 0.1  # seconds between two looks at how far a query has come


class Result(NamedTuple):
    """Columns and rows of an answer."""

    names: Sequence[str]
    rows: Iterator[Sequence[Any]]


class Failed(Exception):  # noqa: N818 - it names what has happened
    """The database cannot answer; says why."""


Progress = Callable[[float], None]
"""Is told how far a query has come, in percent."""


class Database:
    """The records of the log at `path` in a period.

    Raises MissingExtra, OSError for a log that is not there, and Failed for what the files are not fit for.
    """

    def __init__(
        self,
        path: Path,
        period: Period = Period(),
        *,
        progress: Progress | None = None,
        target: Path | None = None,
    ) -> None:
        """`target` is a file that may be written to, and the only one."""
        try:
            import duckdb
        except ImportError:
            raise MissingExtra from None
        self._errors: type[Exception] = duckdb.Error
        self._progress = progress
        self._connection = duckdb.connect()
        lines: list[str] = []
        sidecars: list[str] = []
        for file in files(path):
            if period.since is not None and file.stat().st_mtime < _epoch(period.since):
                continue  # nothing was written to it since
            sidecar = sidecar_of(path, file) if file != path else None
            if sidecar is not None and sidecar.exists():
                sidecars.append(str(sidecar))
            else:
                lines.append(str(file))
        self.files = len(lines) + len(sidecars)
        """How many files the records come from."""
        self._confine(path, target)
        self._view(lines, sidecars, period)

    def close(self) -> None:
        self._connection.close()

    def _confine(self, path: Path, target: Path | None) -> None:
        """Whatever is asked, no other files are read, and nothing is fetched or kept."""
        directories = {str(path.parent), str(path.resolve().parent)}
        self._run(
            f"SET memory_limit = '{_MEMORY}'; SET temp_directory = '';"
            "SET autoinstall_known_extensions = false; SET autoload_known_extensions = false;"
            "SET enable_progress_bar = true; SET enable_progress_bar_print = false;"
            f"SET allowed_directories = [{_literals(sorted(directories))}];"
            f"SET allowed_paths = [{_literals([] if target is None else [str(target)])}];"
            "SET enable_external_access = false"
        )

    def _view(self, lines: Sequence[str], sidecars: Sequence[str], period: Period) -> None:
        parts: list[str] = []
        columns = ", ".join(quoted(field.name) for field in FIELDS)
        if sidecars:
            parts.append(f"SELECT {columns} FROM read_parquet([{_literals(sidecars)}])")
        if lines:
            text, _ = selected(())
            parts.append(text.replace("?", f"[{_literals(lines)}]", 1))
        if not parts:
            nothing = ", ".join(f"NULL::{field.column_type} AS {quoted(field.name)}" for field in FIELDS)
            parts.append(f"SELECT {nothing} WHERE false")
        bounds = [
            f"\"time\" {operator} TIMESTAMP '{bound.isoformat(sep=' ')}'"
            for operator, bound in ((">=", period.since), ("<", period.until))
            if bound is not None
        ]
        self._run(
            f"CREATE VIEW records AS SELECT * FROM ({' UNION ALL '.join(parts)}) WHERE {' AND '.join(bounds) or 'true'};"
            "SET lock_configuration = true"
        )

    # ---- questions

    def records(
        self,
        query: Query = EVERYTHING,
        *,
        columns: Sequence[Field] = FIELDS,
        order: str = "time",
        descending: bool = True,
        limit: int | None = None,
    ) -> Result:
        """The records that are asked for."""
        where = condition(query)
        text = (
            f"SELECT {', '.join(quoted(field.name) for field in columns)} FROM records WHERE {where.text} "
            f"ORDER BY {quoted(BY_NAME[order].name)} {'DESC' if descending else 'ASC'} NULLS LAST"
        )
        if limit is not None:
            text += f" LIMIT {limit:d}"
        return self._answer(text, where.parameters)

    def top(self, by: Field, query: Query = EVERYTHING, *, limit: int = 10) -> Result:
        """The values of a field that most records have, with what became of them."""
        where = condition(query)
        value = quoted(by.name)
        source = f"SELECT *, {value} AS value FROM records WHERE {where.text}"
        if by.kind == "texts":
            source = f"SELECT *, unnest({value}) AS value FROM records WHERE {where.text}"
        return self._answer(
            f"SELECT value AS {value}, {_COUNTS} FROM ({source}) GROUP BY value "
            f"ORDER BY requests DESC, value LIMIT {limit:d}",
            where.parameters,
        )

    def stats(self, query: Query = EVERYTHING) -> Result:
        """How much and how fast, in all and by route and filter that decided."""
        where = condition(query)
        return self._answer(
            f"""
            WITH asked AS (SELECT * FROM records WHERE {where.text}),
            span AS (SELECT epoch(max("time") - min("time")) AS seconds FROM asked)
            SELECT
            CASE WHEN grouping(route) = 1 THEN '(all)' ELSE coalesce(route, '(none)') END AS route,
            CASE WHEN grouping(filter) = 1 THEN '(all)' ELSE coalesce(filter, '(none)') END AS filter,
            {_COUNTS}, round(count(*) / nullif(any_value(seconds), 0), 2) AS "per second"
            FROM asked, span GROUP BY GROUPING SETS ((), (asked.route), (asked.route, asked.filter))
            HAVING count(*) > 0
            ORDER BY grouping(asked.route) DESC, asked.route NULLS LAST, grouping(asked.filter) DESC, requests DESC
            """,
            where.parameters,
        )

    def series(self, every: int, query: Query = EVERYTHING) -> Result:
        """How much and how fast, for each so many seconds in which there is anything."""
        where = condition(query)
        return self._answer(
            f"""
            SELECT time_bucket(to_seconds({every:d}), "time") AS "time", {_COUNTS}
            FROM records WHERE {where.text} GROUP BY ALL ORDER BY "time"
            """,
            where.parameters,
        )

    def sql(self, text: str) -> Result:
        """What a statement of an operator's own says, a SELECT of the table `records`. Raises Failed."""
        import duckdb

        try:
            kinds = [statement.type for statement in self._connection.extract_statements(text)]
        except self._errors as error:
            raise Failed(_plain(error)) from None
        if kinds != [duckdb.StatementType.SELECT]:
            raise Failed("expected one SELECT")
        return self._answer(text, ())

    def export(self, query: Query, target: Path) -> int:
        """Writes the records that are asked for to a Parquet file; how many there are."""
        where = condition(query)
        text = (
            f"COPY (SELECT * FROM records WHERE {where.text}) TO {_literals([str(target)])} "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
        (count,) = self._run(text, where.parameters).fetchone()
        return int(count)

    def _answer(self, text: str, parameters: Sequence[Any]) -> Result:
        cursor = self._run(text, parameters)
        names = [column[0] for column in cursor.description or ()]

        def rows() -> Iterator[Sequence[Any]]:
            while True:
                try:
                    batch = cursor.fetchmany(_FETCH)
                except self._errors as error:
                    raise Failed(_plain(error)) from None
                if not batch:
                    return
                yield from batch

        return Result(names, rows())

    def _run(self, text: str, parameters: Sequence[Any] = ()) -> Any:
        """Raises Failed."""
        watched = threading.Event()
        watcher = None
        if self._progress is not None:
            watcher = threading.Thread(target=self._watch, args=(watched,), daemon=True)
            watcher.start()
        try:
            return self._connection.execute(text, list(parameters))
        except self._errors as error:
            raise Failed(_plain(error)) from None
        finally:
            if watcher is not None:
                watched.set()
                watcher.join()

    def _watch(self, over: threading.Event) -> None:
        assert self._progress is not None
        while not over.wait(_LOOK):
            with suppress(Exception):  # the query may have ended in between
                self._progress(max(0.0, self._connection.query_progress()))


_COUNTS: Final = """
count(*) AS requests,
count(*) FILTER (WHERE status < 400) AS ok,
count(*) FILTER (WHERE status BETWEEN 400 AND 499) AS "4xx",
count(*) FILTER (WHERE status >= 500) AS "5xx",
count(*) FILTER (WHERE decision = 'refuse') AS refused,
round(approx_quantile(duration, 0.5), 2) AS p50,
round(approx_quantile(duration, 0.9), 2) AS p90,
round(approx_quantile(duration, 0.99), 2) AS p99
"""


def _literals(texts: Sequence[str]) -> str:
    return ", ".join("'" + text.replace("'", "''") + "'" for text in texts)


def _epoch(instant: datetime) -> float:
    from datetime import UTC

    return instant.replace(tzinfo=UTC).timestamp()


def _plain(error: Exception) -> str:
    """What the database says, on one line."""
    return " ".join(str(error).split())
