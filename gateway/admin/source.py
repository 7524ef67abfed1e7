"""The text of the configuration around a line, without its secrets."""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml
from pydantic import BaseModel

from gateway.api.option import Secret
from gateway.config.load import Loaded
from gateway.http.secret import is_secret_header

MASK: Final = "[secret]"
_AROUND: Final = 6
_SHORT: Final = 4
"""Characters; a shorter secret is masked only where it is a whole value."""
_TELLING: Final = re.compile(r"passw|secret|token|key|credential|auth", re.IGNORECASE)


def around(loaded: Loaded, line: int) -> list[dict[str, Any]]:
    """The lines next to one, from 1 on, each with its number."""
    lines = masked(loaded).split("\n")
    first, last = max(1, line - _AROUND), min(len(lines), line + _AROUND)
    return [{"line": number, "text": lines[number - 1]} for number in range(first, last + 1)]


def masked(loaded: Loaded) -> str:
    """The whole text. A value that is a secret, or holds one, is masked where it stands, whatever the way it is written;
    a comment that may tell of one is too."""
    text = loaded.text.decode("utf-8-sig")
    secrets = {secret for secret in _secrets(loaded.configuration) if secret}
    spans: list[tuple[int, int, str]] = []
    tokens = list(yaml.scan(text, Loader=yaml.SafeLoader))
    for number, token in enumerate(tokens):
        before, key, mark = tokens[number - 3 : number] if number >= 3 else (None, None, None)
        if isinstance(token, yaml.ScalarToken) and (
            _holds(token.value, secrets)
            # As the value of a header field whose name says that it is one.
            or (
                isinstance(before, yaml.KeyToken)
                and isinstance(key, yaml.ScalarToken)
                and isinstance(mark, yaml.ValueToken)
                and is_secret_header(key.value.lower())
            )
        ):
            spans.append((token.start_mark.index, token.end_mark.index, MASK))
    spans += _comments(text, tokens)
    for start, end, mask in sorted(spans, reverse=True):
        # The lines stay as many as they were.
        text = text[:start] + mask + "\n" * text.count("\n", start, end) + text[end:]
    return text


def _holds(value: str, secrets: set[str]) -> bool:
    return any(secret == value or (len(secret) >= _SHORT and secret in value) for secret in secrets)


def _comments(text: str, tokens: list[Any]) -> Iterator[tuple[int, int, str]]:
    """What lies between two tokens is white space and comments."""
    place = 0
    for token in tokens:
        start, end = token.start_mark.index, token.end_mark.index
        for match in re.finditer(r"#[^\n]*", text[place:start]):
            if _TELLING.search(match[0]):
                yield place + match.start(), place + match.end(), "# " + MASK
        place = max(place, end)


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, Secret):
        revealed = value.reveal()
        yield revealed
        yield from (line for line in revealed.splitlines() if len(line) >= 8)
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from _secrets(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _secrets(item)
