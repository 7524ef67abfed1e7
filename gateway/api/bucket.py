"""Buckets: what a filter has counted of each key of a limit, for operators to look at and to empty.

A filter that counts offers them by having the methods of `BucketHolder`.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from gateway.api.verdict import Rule


@dataclass(frozen=True, slots=True)
class Selection:
    """Which buckets: those that fit all that is given; all of them where nothing is.

    filter    name of the entry
    limit     label of the limit, as records have it, or a name that several have
    key_hash  keyed hash of the key, as records have it
    parts     of the key, with their values as text
    """

    filter: str | None = None
    limit: str | None = None
    key_hash: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def somebody(self) -> bool:
        """Whether it is of certain keys, and not of all."""
        return self.key_hash is not None or bool(self.parts)

    def fits(self, key: Mapping[str, Hashable]) -> bool:
        """Whether a key has these parts."""
        return all(name in key and str(key[name]) == value for name, value in self.parts.items())


class Bucket(NamedTuple):
    """How a limit stands for one key.

    limit      its label
    rule       where it stands in the filter's options
    key        its parts with their values, without what may be secret
    algorithm, value, unit  the policy: so many requests in a SECOND, MINUTE, ...
    capacity   the most that may come at once
    remaining  how many requests would pass now
    wait       seconds until one more passes, at its cost, 0.0 where it would now; no such time where `value` is 0
    reset      seconds until all has come back, or something where nothing remains; likewise
    override   where a file says that the policy is another for this key, `file:line:column`
    consumers  who has used it, the greatest first, each with about how much, in all processes as far as this one has heard
    exceptions  how many projects have other policies and buckets of their own, where the key says no project: this is that of all
                others
    """

    limit: str
    rule: Rule
    key: Mapping[str, Hashable]
    key_hash: str
    algorithm: str
    value: int
    unit: str
    capacity: int
    remaining: int
    wait: float
    reset: float
    override: str | None = None
    consumers: Sequence[tuple[str, int]] = ()
    exceptions: int = 0

    @property
    def use(self) -> float:
        """How much of it is taken: 0.0 nothing, 1.0 all."""
        return 1 - self.remaining / self.capacity if self.capacity else 1.0

    @property
    def identity(self) -> tuple[Rule, str]:
        """Tells it from all others of the filter."""
        return self.rule, self.key_hash


class Unreadable(Exception):  # noqa: N818 - it names what is wrong
    """The counts cannot be had at the moment; says why, in a few words for operators."""


@runtime_checkable
class BucketHolder(Protocol):
    """A filter whose buckets can be looked at.

    `buckets` and `reset` concern the keys that this process knows, besides those that the selection says whole: what is counted in
    memory that workers share is known by hashes only. Both give a few buckets at a time, or none, so that requests have
    their turn in between. Raise Unreadable.
    """

    @abstractmethod
    def buckets(self, selection: Selection) -> AsyncIterator[Sequence[Bucket]]:
        """Those that fit."""

    @abstractmethod
    def reset(self, selection: Selection) -> AsyncIterator[Sequence[Bucket]]:
        """Empties those that fit, and gives them as they were."""

    @abstractmethod
    def meant(self, selection: Selection) -> bool:
        """Whether the selection names none of the limits, or one that it has."""

    @abstractmethod
    def unseen(self, selection: Selection) -> str | None:
        """What there may be of the selection that it cannot know of, for operators; None where that is nothing to speak of."""
