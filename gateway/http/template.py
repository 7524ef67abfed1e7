"""Path templates: `/v2/{project_id}/images`, `/static/{rest*}`.

A segment is a literal or one whole parameter; a parameter with a star ends the template and takes all that
is left of the path. Templates match the form of a path that `gateway.http.target.matchable` gives.
"""

import re
from typing import NamedTuple

from gateway.http.target import matchable


class Segment(NamedTuple):
    """One segment of a template.

    literal  its text, with escapes of unreserved characters decoded; None for a parameter
    name     of the parameter, "" for a literal
    rest     whether the parameter takes the slashes too
    """

    literal: str | None
    name: str
    rest: bool


_LITERAL = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*")
_PARAMETER = re.compile(r"\{([a-z_][a-z0-9_]*)(\*?)\}")
_DOTS = (".", "..")

# Deeper than any API, and shallower than what a regular expression can nest.
_DEEPEST = 64


def parse(template: str) -> tuple[Segment, ...]:
    """The segments of a template. Raises ValueError with one sentence for a bad one.

    A template that ends in "/" has an empty literal as its last segment.
    """
    if not template.startswith("/"):
        raise ValueError(f"a path template begins with '/', got {template!r}")
    texts = template[1:].split("/")
    if len(texts) > _DEEPEST:
        raise ValueError(f"a path template has at most {_DEEPEST} segments")
    segments: list[Segment] = []
    names: set[str] = set()
    for place, text in enumerate(texts, 1):
        parameter = _PARAMETER.fullmatch(text)
        if parameter is None:
            segments.append(Segment(_literal(text, last=place == len(texts)), "", False))
            continue
        name, star = parameter.groups()
        if name in names:
            raise ValueError(f"the parameter {name!r} occurs twice")
        if star and place < len(texts):
            raise ValueError(f"{text} takes the rest of the path, so nothing can follow it")
        names.add(name)
        segments.append(Segment(None, name, bool(star)))
    return tuple(segments)


def _literal(text: str, *, last: bool) -> str:
    if "{" in text or "}" in text:
        raise ValueError(
            f"a parameter is a whole segment with a name of a-z, 0-9 and '_', as in {{image_id}}: got {text!r}"
        )
    if not text and not last:
        raise ValueError("a path template has no empty segments")
    if _LITERAL.fullmatch(text) is None:
        raise ValueError(f"the segment {text!r} holds a character that a path cannot hold unencoded")
    literal = matchable(text)
    if literal in _DOTS:
        raise ValueError("a path template has no dot segments")
    return literal


def meet(one: str, other: str) -> bool:
    """Whether there may be a path that both templates match."""
    ones, others = parse(one), parse(other)
    for first, second in zip(ones, others, strict=False):
        if first.rest or second.rest:
            return True
        if first.literal is not None and second.literal is not None:
            if re.fullmatch(literal_pattern(first.literal), second.literal) is None:
                return False
        elif "" in (first.literal, second.literal):  # a parameter holds one character at least
            return False
    return len(ones) == len(others)


_ESCAPE = re.compile(r"(%[0-9A-Fa-f]{2})")


def literal_pattern(literal: str) -> str:
    """The regular expression for a literal segment; escapes match in either case (RFC 3986 6.2.2.1)."""
    return "".join(
        f"(?i:{part})" if place % 2 else re.escape(part) for place, part in enumerate(_ESCAPE.split(literal))
    )


def parameter_pattern(segment: Segment, *, alone: bool) -> str:
    """The regular expression for a parameter; `alone` says that it is the whole template.

    A parameter holds one character at least, but `/{rest*}` is every path, "/" included.
    """
    if not segment.rest:
        return "[^/]++"
    return ".*+" if alone else ".++"


def pattern(template: str) -> re.Pattern[str]:
    """A regular expression to `fullmatch` a matchable path, with a group for each parameter's name."""
    segments = parse(template)
    text = "".join(
        f"/(?P<{segment.name}>{parameter_pattern(segment, alone=len(segments) == 1)})"
        if segment.literal is None
        else f"/{literal_pattern(segment.literal)}"
        for segment in segments
    )
    return re.compile(text, re.DOTALL)
