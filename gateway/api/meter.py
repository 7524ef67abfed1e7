"""How a filter that counts tells what an exchange would be charged, so that it can be counted again elsewhere."""

from abc import abstractmethod
from collections.abc import Hashable
from typing import NamedTuple, Protocol, TypeAlias

from gateway.api.table import Cell
from gateway.api.verdict import Rule

Spec: TypeAlias = tuple[str, tuple[float, ...]]
"""The arithmetic of a limit: its name, and its numbers."""


class Meter(Protocol):
    """The arithmetic of one limit: pure functions of a cell and an instant.

    ordered  whether a cell that began with less never has more than one that began with more, both charged alike
    """

    @property
    @abstractmethod
    def ordered(self) -> bool: ...

    @abstractmethod
    def charge(self, cell: Cell | None, now: float, cost: int = 1) -> tuple[float, Cell]:
        """Seconds to wait (0.0 when the charge fits), and the cell that it leaves."""

    @abstractmethod
    def brink(self, now: float, cost: int) -> Cell:
        """The fullest cell that still has room for a charge; of an ordered one."""

    @abstractmethod
    def owe(self, cell: Cell | None, now: float, cost: int) -> Cell:
        """The cell after a charge that nobody can refuse, as far as anything can be owed."""


class Tariff(NamedTuple):
    """What a limit says with each charge, as long as it counts by the same numbers.

    limit   its name
    spec    of the arithmetic that counts at this instant, see `Filter.meter`
    age     seconds after which a charge counts no more, as it is at this instant
    status  of the refusal
    rule    the limit's place in the options
    late    whether an answer may say that more is to be charged
    """

    limit: str
    spec: Spec
    age: float
    status: int
    rule: Rule
    late: bool = False


class Charge(NamedTuple):
    """What an exchange would be charged by one limit.

    tariff  of the limit; the same object for many exchanges, where that can be had
    key     whose cell
    cost    how much
    """

    tariff: Tariff
    key: Hashable
    cost: int
