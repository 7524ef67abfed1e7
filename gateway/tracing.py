"""Traces of exchanges, sent to a collector: made of records when exchanges are over, see `gateway.exporter`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from gateway import __version__
from gateway.exporter import Exporter, Exporters
from gateway.plan import Plan
from gateway.record import Record

if TYPE_CHECKING:
    from gateway.span import Spans


class Tracer(Exporter[Record]):
    """Makes spans of the records of exchanges whose traces are sampled. It counts spans."""

    signal: ClassVar[str] = "traces"

    def _encoder(self, resource: Mapping[str, str]) -> "Spans":
        from gateway.span import Spans  # it costs a tenth of a second, and only who traces needs it

        return Spans(resource, __version__)

    def _weight(self, item: Record) -> int:
        return 1 + len(item.attempts)

    def _odd(self, item: Record, error: Exception) -> None:
        self._tell("span_failed", request_id=item.exchange.request_id, error=repr(error))


class Tracers(Exporters[Tracer]):
    """The tracers of a process."""

    def attach(self, plan: Plan, holder: object) -> None:
        """Sees to it that the traces of `plan` are exported, as long as `holder` is not released."""
        options = plan.configuration.tracing
        if plan.traces is not None and options is not None:
            tracer = self.hold(holder, options, plan.trace_context, Tracer)
            plan.traces.export = tracer.observe
