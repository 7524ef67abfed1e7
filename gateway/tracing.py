"""Traces of exchanges, sent to a collector: made of records when exchanges are over, in a thread of their own.

Nothing here is waited for: what finds the queue full is counted and dropped, and a collector that is away is tried again
until the queue has filled up behind it.
"""

import os
import ssl
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from gateway import __version__
from gateway.config.load import digest
from gateway.config.model import Tracing
from gateway.plan import Plan
from gateway.record import Record
from gateway.state import StateStore

if TYPE_CHECKING:
    from gateway.collector import Collector
    from gateway.span import Spans

BATCH: Final = 128
"""Exchanges in one request to the collector."""
INTERVAL: Final = 1.0
"""Seconds that a batch is given to fill."""
CLOSE: Final = 2.0
"""Seconds that the collector has to take what is left when the gateway ends."""
_PAUSE: Final = 1.0  # seconds before a request that failed is sent again; twice as long each time
_LONGEST: Final = 30.0


class Tracer:
    """Makes spans of records and sends them to the collector that `options` name.

    context   TLS of an https collector
    resource  what the spans say of the gateway, beside what `options` say
    """

    def __init__(
        self,
        options: Tracing,
        context: ssl.SSLContext | None = None,
        *,
        resource: dict[str, str] | None = None,
    ) -> None:
        self._options = options
        self._context = context
        self._resource = {
            "service.name": options.service_name,
            "service.version": __version__,
            **(resource or {}),
            **options.resource,
        }
        self._limit = options.queue
        self._queue: deque[Record] = deque()
        self._awake = False
        self._wake = threading.Event()  # there is something to do
        self._full = threading.Event()  # there is enough of it for a batch
        self._stop = threading.Event()
        self._until = 0.0
        self._thread: threading.Thread | None = None
        self._failing = False
        # Counted by the event loop's thread, and by the tracer's own.
        self._refused = self._lost = 0
        self.exported = 0
        """Spans that the collector has taken."""

    @property
    def dropped(self) -> int:
        """Spans that the collector never got, or would not have."""
        return self._refused + self._lost

    @property
    def ended(self) -> bool:
        """Whether it has sent or dropped all that it ever will."""
        return self._stop.is_set() and self._thread is not None and not self._thread.is_alive()

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._run, name="tracer", daemon=True)
        self._thread.start()

    def observe(self, record: Record) -> None:
        """Takes the record of an exchange whose trace is sampled. Never waits, never raises."""
        queue = self._queue
        if len(queue) >= self._limit:
            self._refused += 1 + len(record.attempts)
            return
        queue.append(record)
        if not self._awake:
            self._awake = True
            self._wake.set()
        elif len(queue) == BATCH:
            self._full.set()

    def close(self) -> None:
        """Asks for the end: what waits is sent if the collector takes it within CLOSE seconds. Does not wait for that."""
        self._limit = 0
        self._until = time.monotonic() + CLOSE
        self._stop.set()
        self._full.set()
        self._wake.set()

    def join(self) -> None:
        """Waits for the end that `close` has asked for, no longer than the collector has for it."""
        if self._thread is not None:
            self._thread.join(max(0.0, self._until - time.monotonic()))

    # ---- in the tracer's thread

    def _run(self) -> None:
        from gateway.collector import (
            Collector,
        )  # these cost a tenth of a second, and only who traces needs them
        from gateway.span import Spans

        spans, collector = Spans(self._resource, __version__), Collector(self._options, self._context)
        stopping = False
        while not stopping:
            self._wake.wait()
            self._full.wait(INTERVAL)
            stopping = self._stop.is_set()
            self._wake.clear()
            self._awake = False
            self._full.clear()
            while self._queue and not self._too_late():
                self._make(spans)
                self._deliver(spans, collector)
        collector.close()
        self._lost += sum(1 + len(record.attempts) for record in self._queue)
        self._queue.clear()

    def _too_late(self) -> bool:
        return self._stop.is_set() and (self._failing or time.monotonic() >= self._until)

    def _make(self, spans: "Spans") -> None:
        for _ in range(min(BATCH, len(self._queue))):
            record = self._queue.popleft()
            try:
                spans.add(record)
            except Exception as error:  # noqa: BLE001 - a plugin's odd rule must not end the traces of all others
                self._lost += 1 + len(record.attempts)
                _log("span_failed", request_id=record.exchange.request_id, error=repr(error))
            # The event loop waits for the interpreter no longer than one exchange's spans take.
            time.sleep(0)

    def _deliver(self, spans: "Spans", collector: "Collector") -> None:
        number = len(spans)
        if not number:
            return
        data = spans.take()
        pause = _PAUSE
        while True:
            outcome = collector.send(data)
            if outcome.failure is None:
                self._recovered()
                self.exported += number - min(number, outcome.rejected)
                self._lost += min(number, outcome.rejected)
                return
            if not self._failing:
                self._failing = True
                _log("traces_failing", collector=str(self._options.endpoint), error=outcome.failure)
            if not outcome.again or self._stop.wait(max(pause, min(outcome.wait, _LONGEST))):
                self._lost += number
                return
            pause = min(2 * pause, _LONGEST)

    def _recovered(self) -> None:
        if self._failing:
            self._failing = False
            _log("traces_recovered", collector=str(self._options.endpoint), dropped=self.dropped)


class Tracers:
    """The tracers of a process: one for each collector that plans name, shared by those that name it alike.

    state   keeps a tracer as long as a plan holds it
    worker  number of this process
    """

    def __init__(self, state: StateStore, worker: int = 0) -> None:
        self._state = state
        host = os.uname().nodename
        self._resource = {"host.name": host, "service.instance.id": f"{host}/{worker}"}
        self._tracers: list[Tracer] = []
        self._exported = self._dropped = 0  # by tracers that are gone

    def attach(self, plan: Plan, holder: object) -> None:
        """Sees to it that the traces of `plan` are exported, as long as `holder` is not released."""
        options = plan.configuration.tracing
        if plan.traces is None or options is None:
            return
        self._forget_ended()
        context = plan.collector_context
        key = digest(options) if context is None else f"{id(context)}"

        def begun() -> Tracer:
            tracer = Tracer(options, context, resource=self._resource)
            tracer.start()
            self._tracers.append(tracer)
            return tracer

        plan.traces.export = self._state.hold(holder, f"tracer/{key}", begun).observe

    @property
    def exported(self) -> int:
        """Spans that collectors have taken."""
        return self._exported + sum(tracer.exported for tracer in self._tracers)

    @property
    def dropped(self) -> int:
        """Spans that no collector has."""
        return self._dropped + sum(tracer.dropped for tracer in self._tracers)

    def _forget_ended(self) -> None:
        for tracer in [tracer for tracer in self._tracers if tracer.ended]:
            self._tracers.remove(tracer)
            self._exported += tracer.exported
            self._dropped += tracer.dropped

    def join(self) -> None:
        """Waits for the tracers that have been released, for a few seconds at most."""
        for tracer in self._tracers:
            tracer.join()


def _log(event: str, **facts: Any) -> None:
    import structlog

    structlog.get_logger("gateway.tracing").warning(event, **facts)
