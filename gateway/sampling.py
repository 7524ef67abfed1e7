"""Which records are kept, where not all of them are: a share of those of which there is nothing to say.

An exchange that was forwarded and answered below 400, soon, at the first attempt, is like many others. All the rest is kept:
refusals, failures, what a filter answered or would have refused in shadow, what took long, what a client asked to be traced. Whether one of the many is kept is
worked out of its id, so that gateways behind each other keep the same ones.
"""

from hashlib import blake2b
from typing import Final

from gateway.flow import Flow
from gateway.record import Record

_WHOLE: Final = 1 << 64


class Sampling:
    """Leaves records out.

    share  of those of which there is nothing to say, 0 to 1, that is kept
    slow   seconds from which on an exchange is no such one
    key    of the hash of the ids; with one that clients do not know, none can choose an id that leaves no record
    """

    def __init__(self, share: float, slow: float, key: bytes = b"") -> None:
        self._share = share
        self._bound = round(share * _WHOLE)
        self._slow = slow
        self._hash = blake2b(key=blake2b(key, digest_size=32).digest() if key else b"", digest_size=8)

    def leaves_out(self, record: Record) -> bool:
        """Whether the record is not kept. One that is kept by chance is told its share."""
        if record.duration >= self._slow or (record.aside is not None and record.aside.traced):
            return False
        flow = record.flow or Flow(record)
        if not flow.ordinary:
            return False
        if not self._keeps(record):
            return True
        record.more().share = self._share
        return False

    def _keeps(self, record: Record) -> bool:
        drawn = self._hash.copy()
        drawn.update(_id_of(record).encode("latin-1"))
        return int.from_bytes(drawn.digest(), "big") < self._bound


def _id_of(record: Record) -> str:
    """The id that an exchange has in common with those that it is part of, or that are part of it."""
    if record.trace is not None:
        return record.trace.trace_id
    # A gateway behind this one is sent either of them as the X-Openstack-Request-Id.
    return record.global_id or record.exchange.request_id
