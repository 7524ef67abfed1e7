"""What is in force from one load of the configuration to the next.

An exchange takes the generation of the moment and holds it to its end, so that a reload changes nothing under it; a
generation that is no longer in force ends with its last exchange.
"""

from collections.abc import Callable, Mapping

from gateway.listener.section import Sections
from gateway.plan import Plan
from gateway.upstream.pool import Pool


class Generation:
    """A plan, the pools that its routes go to by name, and the header sections that were judged by it.

    active  exchanges that hold it
    """

    __slots__ = ("_on_over", "active", "plan", "pools", "sections")

    def __init__(self, plan: Plan, pools: Mapping[str, Pool]) -> None:
        self.plan = plan
        self.pools = pools
        self.sections = Sections(plan.uneven)
        self.active = 0
        self._on_over: Callable[[], None] | None = None

    def retire(self, on_over: Callable[[], None]) -> None:
        """It is no longer in force: `on_over` is called once, when no exchange holds it, which may be now."""
        if self.active:
            self._on_over = on_over
        else:
            on_over()

    def leave(self) -> None:
        """An exchange that held it has ended."""
        self.active -= 1
        if self._on_over is not None and not self.active:
            on_over, self._on_over = self._on_over, None
            on_over()
