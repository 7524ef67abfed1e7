"""Rows for people and for programs: a table that fits the terminal, JSON, lines of JSON, CSV."""

import csv
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, TextIO

import orjson

from gateway.console import printable

FORMATS: Final = ("table", "json", "jsonl", "csv")

_ENDLESS: Final = 1 << 16  # columns
_RIGHT: Final = (int, float)


def write(
    form: str, names: Sequence[str], rows: Iterator[Sequence[Any]], stream: TextIO | None = None
) -> None:
    """Writes them in one of FORMATS, to standard output by default."""
    stream = stream if stream is not None else sys.stdout
    match form:
        case "jsonl":
            for row in rows:
                stream.write(orjson.dumps(_named(names, row), default=str).decode() + "\n")
        case "json":
            # Not all at once: there may be millions.
            stream.write("[")
            for number, row in enumerate(rows):
                text = orjson.dumps(_named(names, row), default=str).decode()
                stream.write(",\n " + text if number else text)
            stream.write("]\n")
        case "csv":
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(names)
            for row in rows:
                writer.writerow([_plain(value) for value in row])
        case _:
            _table(names, rows, stream)


def _table(names: Sequence[str], rows: Iterator[Sequence[Any]], stream: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = [list(row) for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(names):
        numeric = any(isinstance(row[place], _RIGHT) for row in shown)
        table.add_column(
            Text(printable(name)), justify="right" if numeric else "left", overflow="fold", no_wrap=numeric
        )
    for row in shown:
        table.add_row(*(Text(printable(_plain(value))) for value in row))
    # A terminal wraps; what goes to a file or a pipe keeps each row on one line.
    Console(file=stream, highlight=False, width=None if stream.isatty() else _ENDLESS).print(table)


def _named(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    return {
        name: _instant(value) if isinstance(value, datetime) else value
        for name, value in zip(names, row, strict=True)
    }


def _plain(value: Any) -> str:
    """One cell as text; nothing for what is not there."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, list):
        return ",".join(_plain(item) for item in value)
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value)


def _instant(value: datetime) -> str:
    """As the record has it."""
    return f"{value.isoformat(timespec='milliseconds')}Z"
