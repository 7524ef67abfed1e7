"""Names of fields that an upstream may take for one another.

An upstream behind WSGI or CGI folds `-` and `_` into one, so a client's `X_User_Id` would arrive as a second value of
`X-User-Id`. Where a name is taken from a request, every spelling of it goes.
"""

from itertools import product


def spellings(name: str) -> frozenset[bytes]:
    """Lower-case `name` with every choice of `-` or `_` at each place that has one of them."""
    parts = name.lower().replace("_", "-").split("-")
    return frozenset(
        "".join(part + mark for part, mark in zip(parts, (*marks, ""), strict=True)).encode("ascii")
        for marks in product("-_", repeat=len(parts) - 1)
    )
