"""X-Delegated: a refusal that is left to somebody further on, as Repose's filters write it in their delegating mode.

A line says which status the request would have been answered with, by whom and why, and how much that weighs beside other lines:
``status_code=404`component=api-validator`message=Resource not found;q=0.3``.
"""

import re
from typing import Final, NamedTuple

NAME: Final = "X-Delegated"
SPELLINGS: Final = frozenset((b"x-delegated", b"x_delegated"))
"""Lower-case names under which an upstream may read it: CGI and WSGI fold `-` and `_` into one."""

_LONGEST: Final = 1024  # characters of a message
_LINE: Final = re.compile(
    r"status_code=([1-9][0-9]{2})`component=([^`]*+)`message=(.*?)(?:;q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?",
    re.DOTALL,
)
_UNFIT: Final = re.compile(r"[`\x00-\x1f\x7f\ud800-\udfff]")


class Delegation(NamedTuple):
    """A refusal that was not given.

    component  whose it is
    quality    its weight, 0.0 to 1.0
    """

    status: int
    component: str
    message: str
    quality: float


def written(delegation: Delegation) -> str:
    """The value of the field. What would part its pieces is replaced."""
    component = _UNFIT.sub("'", delegation.component)
    message = _UNFIT.sub("'", delegation.message[:_LONGEST])
    quality = round(float(delegation.quality), 3)
    return f"status_code={delegation.status}`component={component}`message={message};q={quality}"


def read(value: str) -> Delegation | None:
    """What a value says; None for one that cannot be read. Without a weight it has the whole."""
    match = _LINE.fullmatch(value)
    if match is None:
        return None
    status, component, message, quality = match.groups()
    return Delegation(int(status), component, message, 1.0 if quality is None else float(quality))
