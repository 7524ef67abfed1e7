"""The request log's records, sent to a collector: made of their lines, see `gateway.exporter`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from gateway import __version__
from gateway.exporter import Exporter, Exporters
from gateway.plan import Plan
from gateway.request_log import Taker

if TYPE_CHECKING:
    from gateway.log_record import LogRecords


class LogExporter(Exporter[bytes]):
    """Makes log records of lines of the request log."""

    signal: ClassVar[str] = "logs"

    def _encoder(self, resource: Mapping[str, str]) -> "LogRecords":
        from gateway.log_record import (
            LogRecords,
        )  # it costs a tenth of a second, and only who exports needs it

        return LogRecords(resource, __version__)

    def _weight(self, item: bytes) -> int:
        return 1

    def _odd(self, item: bytes, error: Exception) -> None:
        self._tell("log_record_failed", error=repr(error))


class LogExporters(Exporters[LogExporter]):
    """The log exporters of a process."""

    def attach(self, plan: Plan, holder: object) -> Taker | None:
        """What is to take the lines of records, as long as `holder` is not released; None where `plan` exports none."""
        options = plan.configuration.log.otlp
        if options is None:
            return None
        return self.hold(holder, options, plan.log_context, LogExporter).observe
