"""Weir: an API gateway that says why."""

from importlib.util import find_spec

__version__ = "0.1.0"


def form() -> str:
    """`compiled` where this installation's hot modules were compiled, else `interpreted`."""
    found = find_spec("gateway.wheel")
    return "compiled" if found is not None and str(found.origin).endswith((".so", ".pyd")) else "interpreted"
