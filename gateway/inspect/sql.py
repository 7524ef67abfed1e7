"""Records in SQL: a query as a condition, with its values as parameters, and log files as a table.

No text of a query ever becomes text of SQL.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from gateway.inspect.field import FIELDS, Field
from gateway.inspect.grammar import And, Compare, Not, Or, Query
from gateway.inspect.reader import Form


class Condition(NamedTuple):
    """Text for WHERE, with a `?` for each parameter."""

    text: str
    parameters: tuple[Any, ...]


def condition(query: Query) -> Condition:
    """Of columns that are named as the fields are. Where a record lacks the field it may be NULL, which WHERE takes for false."""
    match query:
        case And(parts):
            return _joined(" AND ", parts, "true")
        case Or(parts):
            return _joined(" OR ", parts, "false")
        case Not(part):
            inner = condition(part)
            return Condition(f"NOT coalesce({inner.text}, false)", inner.parameters)
        case Compare(field, operator, values):
            return _comparison(field, operator, values)


def _joined(word: str, parts: Sequence[Query], nothing: str) -> Condition:
    if not parts:
        return Condition(nothing, ())
    conditions = [condition(part) for part in parts]
    text = word.join(f"({each.text})" for each in conditions)
    return Condition(text, tuple(value for each in conditions for value in each.parameters))


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _comparison(field: Field, operator: str, values: tuple[Any, ...]) -> Condition:
    column = quoted(field.name)
    if operator == "null":
        return Condition(f"{column} IS NULL", ())
    if operator == "~":
        values = (_pattern(values[0]),)
    if field.kind == "texts":
        return Condition(
            f"len(list_filter({column}, lambda x: {_holds('x', operator, len(values))})) > 0", values
        )
    return Condition(_holds(column, operator, len(values)), values)


def _holds(value: str, operator: str, count: int) -> str:
    match operator:
        case "in":
            return f"{value} IN ({', '.join('?' * count)})"
        case "range":
            return f"{value} BETWEEN ? AND ?"
        case "~":
            return f"{value} LIKE ? ESCAPE '\\'"
    return f"{value} {operator} ?"


def _pattern(text: str) -> str:
    """A pattern of ours as LIKE has it."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")


def literals(texts: Sequence[str]) -> str:
    """Texts in SQL, separated by commas."""
    return ", ".join("'" + text.replace("'", "''") + "'" for text in texts)


def selected(paths: Sequence[str], form: Form) -> str:
    """SQL for the records of the files at `paths`, which are all compressed in one way."""
    types: dict[str, str] = {"kind": "VARCHAR"}
    for field in FIELDS:
        types[field.key] = field.source_type
    columns = ", ".join(f"'{key}': '{type_}'" for key, type_ in types.items())
    values = ", ".join(f"{field.sql.format(quoted(field.key))} AS {quoted(field.name)}" for field in FIELDS)
    return (
        f"SELECT {values} FROM read_json([{literals(paths)}], format = 'newline_delimited', columns = {{{columns}}}, "
        f"compression = '{form}', ignore_errors = true) WHERE kind = 'request'"
    )
