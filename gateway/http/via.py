"""The Via field: who has passed a message on, and whether we did before (RFC 9110 section 7.6.3)."""

import hashlib
import re
from collections.abc import Iterable


def member(version: str, pseudonym: str, comment: str | None) -> bytes:
    """Our member of the list, e.g. `1.1 weir-ab12cd34 (Weir/0.1.0)`.

    `version` is that of the message as received, not of the one that carries the field.
    """
    text = f"{version} {pseudonym}"
    if comment is not None:
        text += f" ({_COMMENT_SPECIAL.sub(_escaped, comment)})"
    return text.encode("latin-1")


_COMMENT_SPECIAL = re.compile(r"[()\\]")


def _escaped(special: re.Match[str]) -> str:
    return "\\" + special[0]


def hops(values: Iterable[bytes], pseudonym: bytes) -> int:
    """How many members of the Via lines are wholly ours: a protocol, our pseudonym, and comments at most."""
    ours = pseudonym.lower()
    count = 0
    for value in values:
        folded = value.lower()
        if ours not in folded:
            continue
        for element in _without_comments(folded).split(b","):
            words = element.split()
            if len(words) == 2 and words[1] == ours:
                count += 1
    return count


_MARK = re.compile(rb"[()]|\\.", re.DOTALL)


def _without_comments(value: bytes) -> bytes:
    """The value with a space in place of each comment.

    An opening parenthesis that is never closed opens no comment: otherwise one that a client sends would
    hide the members that gateways append to the same line, and with them a loop.
    """
    if b"(" not in value:
        return value
    opened: list[int] = []
    comments: list[tuple[int, int]] = []
    for mark in _MARK.finditer(value):
        if mark[0] == b"(":
            opened.append(mark.start())
        elif mark[0] == b")" and opened:
            start = opened.pop()
            while comments and comments[-1][0] > start:
                comments.pop()
            comments.append((start, mark.end()))
    kept: list[bytes] = []
    end = 0
    for start, stop in comments:
        kept.append(value[end:start])
        end = stop
    kept.append(value[end:])
    return b" ".join(kept)


def default_pseudonym(host_id: bytes) -> str:
    """The pseudonym of all workers of one host, which does not tell its name (RFC 9110 section 7.6.3)."""
    return f"weir-{hashlib.sha256(host_id).hexdigest()[:8]}"
