"""What the supervisor and a worker say to each other, and how it travels.

A frame is its length in four bytes and a pickle: both ends are one program under one user, at the two ends of a socket
pair that nobody else can reach. The supervisor asks, a worker answers each question by its number. Sockets are handed
over on a second pair, before the message that tells of them.
"""

import asyncio
import pickle
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from gateway.api.bucket import Selection
from gateway.api.revocation import Revocation
from gateway.config.load import Loaded
from gateway.config.model import Place
from gateway.config.problem import Problem

_LENGTH = struct.Struct("!I")
MAX_FRAME = 256 << 20


class Begin(NamedTuple):
    """The first word to a worker.

    slot      its place among the workers, from 0
    number    of the worker, never used again while what is counted lives
    console   whether it prints a readable line for each record
    over      numbers of those that have had its place, and have ended since one began its work there
    beside    numbers of those that begin when it does, where the service starts
    """

    slot: int
    number: int
    console: bool
    over: tuple[int, ...] = ()
    beside: tuple[int, ...] = ()


class Prepare(NamedTuple):
    """Build this beside what is in force. Answer: the problems, none if all is well."""

    loaded: Loaded


class Handed(NamedTuple):
    """An opening of a `listen` entry; `sockets` of it are on their way, 0 where the worker has them already."""

    opening: int
    place: Place
    sockets: int


class Commit(NamedTuple):
    """Put what was prepared in force, and accept from these. Answer: `Committed`."""

    openings: tuple[Handed, ...]


class Committed(NamedTuple):
    """Names of what has left its state behind, and of what goes on as it was when it was last there."""

    lost: tuple[str, ...] = ()
    back: tuple[str, ...] = ()


class Accept(NamedTuple):
    """Accept from these, with what is in force."""

    openings: tuple[Handed, ...]


class Abandon(NamedTuple):
    """Let go of what was prepared."""


class Tell(NamedTuple):
    """Answer: what there is to say of `topic`, a method of the worker's."""

    topic: str


class Revoke(NamedTuple):
    """Forget what is remembered of these callers. Answer: `Forgotten`."""

    revocation: Revocation


class Forgotten(NamedTuple):
    """How many entries were forgotten, and why others have not been told."""

    entries: int
    owed: tuple[str, ...] = ()


class ShowBuckets(NamedTuple):
    """Answer: the fullest buckets of each entry that fit, at most `most`, as `gateway.buckets.Buckets`."""

    selection: Selection
    most: int


class ResetBuckets(NamedTuple):
    """Empty the buckets that fit. Answer: as they were."""

    selection: Selection


class Recent(NamedTuple):
    """Answer: the lines of the request log since `after`, and the next `after`; see `RequestLog.recent`."""

    after: int


class Reopen(NamedTuple):
    """Open the request log's file anew at once."""


class Announce(NamedTuple):
    """From now on, let every answer end its connection."""


class Close(NamedTuple):
    """Accept nothing more."""


class Drain(NamedTuple):
    """End within so many seconds. Answer: whether no exchange had to be cut off; then the worker ends."""

    timeout: float


class Answer(NamedTuple):
    """`error` is for what the worker could not do, and is for the log."""

    value: Any
    error: str | None = None
    problems: tuple[Problem, ...] = ()


def frame(number: int, message: Any) -> bytes:
    data = pickle.dumps((number, message), protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


async def receive(reader: asyncio.StreamReader) -> tuple[int, Any]:
    """The next message and its number. Raises EOFError when the other end is gone."""
    try:
        (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if size > MAX_FRAME:
            raise EOFError(f"a frame of {size} bytes")
        data = await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise EOFError from error
    number, message = pickle.loads(data)  # noqa: S301 - see above
    return number, message


def handed(openings: Sequence[Handed]) -> int:
    """How many sockets are on their way."""
    return sum(opening.sockets for opening in openings)
