"""Rows as a table, JSON, lines of JSON and CSV."""

import csv
import io
import json
import re
from datetime import datetime
from typing import Any

import pytest

from gateway.inspect import output

NAMES = ("time", "path", "status", "roles", "duration")
ROWS: list[tuple[Any, ...]] = [
    (datetime(2026, 1, 31, 12, 0, 0, 250_000), '/a,"b"\x1b[31m', 413, ["member", "reader"], 1.25),
    (None, None, None, None, None),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(form: str, rows: list[tuple[Any, ...]] = ROWS) -> str:
    stream = io.StringIO()
    output.write(form, NAMES, iter(rows), stream)
    return stream.getvalue()


def test_json_is_one_document() -> None:
    first, second = json.loads(written("json"))
    assert first["time"] == "2026-01-31T12:00:00.250Z"
    assert (first["status"], first["roles"]) == (413, ["member", "reader"])
    assert set(second.values()) == {None}
    assert json.loads(written("json", [])) == []


def test_lines_of_json_are_documents_each() -> None:
    assert [json.loads(line)["status"] for line in written("jsonl").splitlines()] == [413, None]


def test_csv_is_read_back() -> None:
    header, first, second = csv.reader(io.StringIO(written("csv")))
    assert header == list(NAMES)
    assert first == ["2026-01-31T12:00:00.250Z", '/a,"b"\x1b[31m', "413", "member,reader", "1.25"]
    assert second == [""] * 5


def test_a_table_has_a_line_for_each_row_and_nothing_that_moves_a_cursor() -> None:
    header, first, second = written("table").splitlines()
    assert header.split() == list(NAMES)
    assert "\x1b" not in first
    assert "\\x1b[31m" in first
    assert not second.strip()


@pytest.mark.parametrize("columns", [40, 80])
def test_a_table_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    output.write("table", NAMES, iter([(ROWS[0][0], "/x" * 100, 413, ["member"] * 9, 1.0)]), stream)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert max(map(len, plain.splitlines())) <= columns
