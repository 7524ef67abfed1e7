"""Values as OTLP (the OpenTelemetry protocol, version 1) has them."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Value: TypeAlias = str | int | float | bool | Sequence[Any] | Mapping[str, Any] | None

_INT64 = 1 << 63


def tell(attributes: Any, values: Mapping[str, Any]) -> None:
    """Adds each value that is there to a list of KeyValue; sequences and mappings may be nested."""
    for key, value in values.items():
        if value is not None:
            _set(attributes.add(key=utf8(key)).value, value)


def _set(told: Any, value: Any) -> None:
    """Sets an AnyValue."""
    if isinstance(value, str):
        told.string_value = utf8(value)
    elif isinstance(value, bool):
        told.bool_value = value
    elif isinstance(value, int):
        if -_INT64 <= value < _INT64:
            told.int_value = value
        else:
            told.string_value = str(value)
    elif isinstance(value, float):
        told.double_value = value
    elif isinstance(value, Mapping):
        told.kvlist_value.SetInParent()
        tell(told.kvlist_value.values, value)
    elif isinstance(value, Sequence):
        told.array_value.SetInParent()
        for member in value:
            _set(told.array_value.values.add(), member)


def utf8(text: str) -> str:
    """The text; what UTF-8 cannot hold is escaped as in a Python literal."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
