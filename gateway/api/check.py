"""What should hold while requests come, for those who ask whether the gateway is ready."""

from typing import NamedTuple


class Check(NamedTuple):
    """Something that an operator wants to hold while requests come.

    name    by which it is told, included and excluded
    holds   whether it does
    counts  whether requests are unwelcome while it does not, unless the asker says otherwise
    """

    name: str
    holds: bool
    counts: bool = True
