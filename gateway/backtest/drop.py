"""When gateways have dropped what they had counted, as the lines of their configurations have it.

What an entry counts is there for as long as configurations have it: by its name, of its type, and in its mode. When one comes into
force that has not, that is dropped; and where such an entry comes back later, cells begin with nothing, which records then say of
them. Under a configuration that has the entry throughout they would hold what had been counted before.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from gateway.api.filter import Filter
from gateway.backtest.recorded import Past
from gateway.chain import Entry
from gateway.plan import Plan


class Drop(NamedTuple):
    """What entries had counted is dropped: when, in seconds since the epoch, and their places in the plan."""

    at: float
    places: Sequence[int]


def drops(pasts: Iterable[Past], plan: Plan, sinces: AbstractSet[float]) -> list[Drop]:
    """What gateways have dropped of what the plan counts, in the order of time. `sinces` tell the gateways, see `Past.told`; what
    does not tell whose it is may be of any."""
    counting = [entry for entry in plan.entries if _counts_here(entry)]
    if not counting:
        return []
    digests: dict[str, Any] = {entry["name"]: entry["digest"] for entry in plan.describe()["entries"]}
    told: list[tuple[float, frozenset[int]]] = []
    for past in pasts:
        having = frozenset(entry.index for entry in counting if _has(past, entry, digests[entry.name]))
        told += [(at, having) for since, at, _ in past.told if not since or since in sinces]
    found: list[Drop] = []
    had: set[int] = set()
    for at, having in sorted(told, key=lambda each: each[0]):
        had |= having
        lacking = sorted(had - having)
        if lacking:
            found.append(Drop(at, lacking))
    return found


def _counts_here(entry: Entry) -> bool:
    """Whether it counts in memory. What is in a store stays there; shares that were drawn of that are in memory too."""
    store = getattr(entry.filter.config, "store", None)
    return type(entry.filter).charges is not Filter.charges and (
        store is None or getattr(store, "lease", None) is not None
    )


def _has(past: Past, entry: Entry, digest: str) -> bool:
    """Whether what the entry counts outlives that the configuration comes into force."""
    then = past.entries.get(entry.name)
    if then is None or (then.type, then.mode) != (entry.type, entry.mode):
        return False
    return hasattr(entry.filter.config, "remembered") or then.digest == digest
