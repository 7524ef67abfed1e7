"""The records of a log as a table, in DuckDB: from sidecars where there are some, from the lines where not."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.inspect import count
from gateway.inspect.field import BY_NAME, FIELDS, Field
from gateway.inspect.grammar import EVERYTHING, Query
from gateway.inspect.period import Period
from gateway.inspect.reader import Form, MissingExtra
from gateway.inspect.snapshot import Snapshot
from gateway.inspect.sql import condition, literals, quoted, selected

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
        since = None if period.since is None else _epoch(period.since)
        self._snapshot = Snapshot(path, since)
        try:
            self._connection = duckdb.connect()
            self._confine(path, target)
            self._view(period)
        except BaseException:
            self._snapshot.close()
            raise

    @property
    def files(self) -> int:
        """How many files the records come from."""
        return len(self._snapshot.held)

    def close(self) -> None:
        self._connection.close()
        self._snapshot.close()

    def _confine(self, path: Path, target: Path | None) -> None:
        """Whatever is asked, no other files are read, and nothing is fetched or kept."""
        # By directories, for the database goes by what a held file is called at the time.
        directories = {str(path.parent), str(path.resolve().parent)}
        self._run(
            f"SET memory_limit = '{_MEMORY}'; SET temp_directory = '';"
            "SET autoinstall_known_extensions = false; SET autoload_known_extensions = false;"
            "SET enable_progress_bar = true; SET enable_progress_bar_print = false;"
            f"SET allowed_directories = [{literals(sorted(directories))}];"
            f"SET allowed_paths = [{literals([] if target is None else [str(target)])}];"
            "SET enable_external_access = false"
        )

    def _view(self, period: Period) -> None:
        columns = ", ".join(quoted(field.name) for field in FIELDS)
        by_form: dict[Form | None, list[str]] = {}
        for path, form in self._snapshot.held:
            by_form.setdefault(form, []).append(path)
        parts: list[str] = []
        for form, paths in by_form.items():
            if form is None:
                parts.append(f"SELECT {columns} FROM read_parquet([{literals(paths)}])")
            else:
                parts.append(selected(paths, form))
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
        if by.kind == "texts":
            value = f"unnest({value})"
        found = self._answer(count.top(value, where.text, limit), where.parameters)
        return Result([by.name, *found.names[1:]], found.rows)

    def stats(self, query: Query = EVERYTHING) -> Result:
        """How much and how fast, in all and by route and filter that decided."""
        where = condition(query)
        return self._answer(count.stats(where.text), where.parameters)

    def series(self, every: int, query: Query = EVERYTHING) -> Result:
        """How much and how fast, for each so many seconds in which there is anything."""
        where = condition(query)
        return self._answer(count.series(every, where.text), where.parameters)

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
            f"COPY (SELECT * FROM records WHERE {where.text}) TO {literals([str(target)])} "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
        (written,) = self._run(text, where.parameters).fetchone()
        return int(written)

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


def _epoch(instant: datetime) -> float:
    from datetime import UTC

    return instant.replace(tzinfo=UTC).timestamp()


def _plain(error: Exception) -> str:
    """What the database says, on one line."""
    return " ".join(str(error).split())
