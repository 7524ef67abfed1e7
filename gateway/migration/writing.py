"""Values to the text of a configuration, with comments above the keys and list items that they speak of."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from gateway.config.document import resolve
from gateway.console import printable
from gateway.migration.source import VARIABLE

_PLAIN: Final = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_/.+-]*")
_ESCAPES: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_DOLLAR: Final = re.compile(r"\$(?=[${])")
_WIDTH: Final = 96


class Noted(NamedTuple):
    """A value with the lines of a comment above it; in a mapping it stands in place of the value of a key."""

    value: Any
    comment: tuple[str, ...]


class Reference(NamedTuple):
    """A variable of the environment, in place of a text; `default` for when it is not set."""

    name: str
    default: str = ""
    prefix: str = ""


def written(value: dict[str, Any]) -> str:
    """The document of a mapping: its keys are parted by empty lines."""
    parts = ["\n".join(_mapping({key: item})) for key, item in value.items()]
    return "\n\n".join(parts) + "\n"


def comment(text: str) -> str:
    """A line that is a comment, whatever the text holds."""
    return f"# {printable(text)}".rstrip()


def _mapping(value: dict[str, Any]) -> Iterator[str]:
    for key, item in value.items():
        if isinstance(item, Noted):
            yield from (comment(line) for line in item.comment)
            item = item.value
        name = _key(key)
        short = _short(item, len(name) + 2)
        if short is not None:
            yield f"{name}: {short}"
        else:
            yield f"{name}:"
            yield from (f"  {line}" for line in _block(item))


def _block(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _mapping(value)
        return
    for item in value:
        if isinstance(item, Noted):
            yield from (comment(line) for line in item.comment)
            item = item.value
        short = _short(item, 2)
        if short is not None:
            yield f"- {short}"
            continue
        # What is said of the first key stands above the dash.
        dash = "- "
        for line in _block(item):
            if dash == "- " and line.startswith("#"):
                yield line
            else:
                yield f"{dash}{line}"
                dash = "  "


def _collects(value: Any) -> bool:
    return isinstance(value, (dict, list, tuple)) and not isinstance(value, (Noted, Reference))


def _short(value: Any, before: int) -> str | None:
    """The value on the line of its key or dash; None where it has lines of its own."""
    text = _inline(value)
    if text is None or (_collects(value) and value and len(text) + before > _WIDTH):
        return None
    return text


def _inline(value: Any) -> str | None:
    """The value on one line; None where it holds a comment, or what is plainer on several."""
    if isinstance(value, Noted):
        return None
    if not _collects(value):
        return _scalar(value)
    if isinstance(value, dict):
        parts = []
        for key, item in value.items():
            text = _inline(item)
            if text is None or (isinstance(item, dict) and item and len(value) > 1):
                return None
            parts.append(f"{_key(key)}: {text}")
        return "{ " + ", ".join(parts) + " }" if parts else "{}"
    texts = [_inline(item) for item in value]
    if any(text is None or isinstance(item, dict) for text, item in zip(texts, value, strict=True)):
        return None
    return "[" + ", ".join(text for text in texts if text is not None) + "]"


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(int(value) if value == int(value) else value)
    if isinstance(value, Reference):
        default = f":-{value.default}" if value.default else ""
        return f'"{_before_variable(value.prefix)}${{{value.name}{default}}}"'
    assert isinstance(value, str)
    if _PLAIN.fullmatch(value) and isinstance(resolve(value), str):
        return value
    parts, end = [], 0
    for match in VARIABLE.finditer(value):
        parts += [_before_variable(value[end : match.start()]), f"${{{match[1]}}}"]
        end = match.end()
    return '"' + "".join(parts) + _escaped(_DOLLAR.sub("$$", value[end:])) + '"'


def _key(text: str) -> str:
    """As a text, but that no variable is filled in in a key."""
    return text if _PLAIN.fullmatch(text) and isinstance(resolve(text), str) else f'"{_escaped(text)}"'


def _before_variable(text: str) -> str:
    return _escaped(_DOLLAR.sub("$$", text + "{")[:-1])


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(char) or (char if char.isprintable() else _code(char)) for char in text)


def _code(char: str) -> str:
    number = ord(char)
    return (
        f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"
    )


def plain(value: Any, environment: Mapping[str, str]) -> Any:
    """The value as it reads when the configuration is loaded: without comments, variables filled in."""
    if isinstance(value, Noted):
        return plain(value.value, environment)
    if isinstance(value, Reference):
        return value.prefix + environment.get(value.name, value.default)
    if isinstance(value, dict):
        return {key: plain(item, environment) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, environment) for item in value]
    if isinstance(value, str):
        return VARIABLE.sub(lambda match: environment.get(match[1], ""), value)
    return value


def variables(value: Any) -> Iterator[str]:
    """Names of the variables that a value reads as Repose did, in their order; one that stands twice comes twice."""
    if isinstance(value, Noted):
        yield from variables(value.value)
    elif isinstance(value, Reference):
        return
    elif isinstance(value, dict):
        for item in value.values():
            yield from variables(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from variables(item)
    elif isinstance(value, str):
        yield from VARIABLE.findall(value)
