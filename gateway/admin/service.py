"""What the admin pages ask of the gateway that they belong to, be it one process or many."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gateway.api.bucket import Selection
from gateway.api.check import Check
from gateway.api.revocation import Revocation
from gateway.buckets import Buckets
from gateway.config.load import Loaded, shown
from gateway.config.model import Entry
from gateway.config.problem import Problem

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class Reload(NamedTuple):
    """How an attempt to put another configuration in force has ended.

    revision    that is in force now
    applied     whether it is the one that was read
    error       why not, in a sentence; None when it is
    problems    of the configuration, where that is the reason
    state_lost  names of entries that leave behind what they have counted or remembered, because their definition or their name is
                another; `ENTRY 'PART'` where it is one limit, say
    state_back  names of parts that go on with what they had counted when they were last defined so
    """

    revision: str
    applied: bool
    error: str | None = None
    problems: Sequence[Problem] = ()
    state_lost: Sequence[str] = ()
    state_back: Sequence[str] = ()


class Revoked(NamedTuple):
    """How a revocation has ended.

    forgotten  entries of all processes that are not remembered any more
    failures   why some may remember yet, each in a few words; none where all have forgotten
    """

    forgotten: int
    failures: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not self.failures


def described(loaded: Loaded, loaded_at: float, last_error: dict[str, Any] | None) -> dict[str, Any]:
    """What `/config` says; instants are seconds since the epoch."""
    return {
        "revision": loaded.revision,
        "file": loaded.marks.file,
        "loaded_at": loaded_at,
        "last_error": last_error,
        "configuration": shown(loaded.configuration, loaded.filled),
    }


def planned(loaded: Loaded) -> dict[str, Any]:
    """What `/plan` says."""
    configuration, marks = loaded.configuration, loaded.marks

    def entries(found: Sequence[Entry]) -> list[dict[str, Any]]:
        return [
            {
                "name": entry.name,
                "type": entry.type,
                "mode": entry.mode,
                "conditional": entry.when is not None,
                "source": str(marks.position(entry.path)),
            }
            for entry in found
        ]

    return {
        "revision": loaded.revision,
        "file": marks.file,
        "filters": entries(configuration.filters),
        "routes": [
            {
                "name": route.name,
                "host": route.host,
                "path": route.path,
                "methods": list(route.methods) if route.methods is not None else None,
                "upstream": route.upstream,
                "filters": entries(route.filters),
                "source": str(marks.position(("routes", number))),
            }
            for number, route in enumerate(configuration.routes)
        ],
    }


class Service(Protocol):
    """The gateway, to its admin listener."""

    async def readiness(self) -> list[Check]:
        """What should hold while requests come."""

    async def families(self) -> "list[Metric]":
        """The metrics of all processes, as one."""

    def loaded(self) -> Loaded:
        """The configuration in force."""

    def config(self) -> dict[str, Any]:
        """The configuration in force, without its secrets, and how it came there."""

    def planned(self) -> dict[str, Any]:
        """Filters and routes in force, in their order, each with its place in the file."""

    def source(self, line: int) -> list[dict[str, Any]]:
        """The configuration's text around a line, without its secrets."""

    def log_path(self) -> str | None:
        """Where the request log is written."""

    async def workers(self) -> list[dict[str, Any]]:
        """What there is to say of each process that carries exchanges."""

    async def upstreams(self) -> dict[str, Any]:
        """The state of each upstream, by name, in each worker."""

    async def reload(self) -> Reload:
        """Reads the configuration again and puts it in force, if it can be."""

    async def revoke_all(self, revocation: Revocation) -> Revoked:
        """Has every process forget what it remembers of those who fit."""

    async def recent_lines(self, after: Mapping[int, int]) -> tuple[list[bytes], Mapping[int, int]]:
        """The request log's lines of all processes since `after`, an empty one the first time; and the next `after`."""

    async def fullest_buckets(self, selection: Selection, count: int) -> Buckets:
        """The fullest buckets that fit, at most `count`."""

    async def empty_buckets(self, selection: Selection) -> Buckets:
        """Empties the buckets that fit; as they were."""
