"""Sends what is over to a collector by OTLP, in batches, from a thread of its own.

Nothing here is waited for: what finds the queue full is counted and dropped, and a collector that is away is tried again
until the queue has filled up behind it.
"""

import os
import ssl
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol, TypeVar

from gateway import __version__
from gateway.config.load import digest
from gateway.config.model import Export
from gateway.state import StateStore
from gateway.trouble import Trouble

if TYPE_CHECKING:
    from gateway.collector import Collector

T = TypeVar("T")
E = TypeVar("E", bound="Exporter[Any]")
_Taken = TypeVar("_Taken", contravariant=True)

BATCH: Final = 128
"""Items, such as exchanges, in one request to the collector."""
INTERVAL: Final = 1.0
"""Seconds that a batch is given to fill."""
CLOSE: Final = 2.0
"""Seconds that the collector has to take what is left when the gateway ends."""
_PAUSE: Final = 1.0  # seconds before a request that failed is sent again; twice as long each time
_LONGEST: Final = 30.0


class Encoder(Protocol[_Taken]):
    """Makes one request to a collector of some items. Its length is what the collector counts."""

    def __len__(self) -> int: ...

    def add(self, item: _Taken) -> None:
        """Raises what an odd item may raise, and has added nothing then."""

    def take(self) -> bytes:
        """The request; what is in it is forgotten."""


class Exporter(ABC, Generic[T]):
    """Sends items to the collector that `options` name.

    context   TLS of an https collector
    resource  what is said of the gateway, beside what `options` say
    """

    signal: ClassVar[str]
    """What it sends, in the names of its thread and of what it tells."""

    def __init__(
        self,
        options: Export,
        context: ssl.SSLContext | None = None,
        *,
        resource: Mapping[str, str] | None = None,
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
        self._queue: deque[T] = deque()
        self._awake = False
        self._wake = threading.Event()  # there is something to do
        self._full = threading.Event()  # there is enough of it for a batch
        self._stop = threading.Event()
        self._until = 0.0
        self._thread: threading.Thread | None = None
        self._failing = False
        self._trouble = Trouble(f"{self.signal}_failing", f"{self.signal}_recovered", self._tell)
        # Counted by the thread that hands items over, and by the exporter's own.
        self._refused = self._lost = 0
        self.exported = 0
        """What the collector has taken."""

    @abstractmethod
    def _encoder(self, resource: Mapping[str, str]) -> Encoder[T]:
        """Made in the exporter's thread, and used there."""

    @abstractmethod
    def _weight(self, item: T) -> int:
        """For how many of what the collector counts an item stands."""

    @abstractmethod
    def _odd(self, item: T, error: Exception) -> None:
        """Tells that an item could not be encoded."""

    @property
    def dropped(self) -> int:
        """What the collector never got, or would not have."""
        return self._refused + self._lost

    @property
    def ended(self) -> bool:
        """Whether it has sent or dropped all that it ever will."""
        return self._stop.is_set() and self._thread is not None and not self._thread.is_alive()

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._run, name=self.signal, daemon=True)
        self._thread.start()

    def observe(self, item: T) -> None:
        """Takes an item. Never waits, never raises."""
        queue = self._queue
        if len(queue) >= self._limit:
            self._refused += self._weight(item)
            return
        queue.append(item)
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

    # ---- in the exporter's thread

    def _run(self) -> None:
        from gateway.collector import Collector  # it costs a tenth of a second, and only who exports needs it

        encoder, collector = self._encoder(self._resource), Collector(self._options, self._context)
        stopping = False
        while not stopping:
            self._wake.wait()
            self._full.wait(INTERVAL)
            stopping = self._stop.is_set()
            self._wake.clear()
            self._awake = False
            self._full.clear()
            while self._queue and not self._too_late():
                self._make(encoder)
                self._deliver(encoder, collector)
        collector.close()
        self._lost += sum(map(self._weight, self._queue))
        self._queue.clear()

    def _too_late(self) -> bool:
        return self._stop.is_set() and (self._failing or time.monotonic() >= self._until)

    def _make(self, encoder: Encoder[T]) -> None:
        for _ in range(min(BATCH, len(self._queue))):
            item = self._queue.popleft()
            try:
                encoder.add(item)
            except Exception as error:  # noqa: BLE001 - a plugin's odd rule must not end the export of all others
                self._lost += self._weight(item)
                self._odd(item, error)
            # The event loop waits for the interpreter no longer than one item takes.
            time.sleep(0)

    def _deliver(self, encoder: Encoder[T], collector: "Collector") -> None:
        number = len(encoder)
        if not number:
            return
        data = encoder.take()
        pause = _PAUSE
        while True:
            outcome = collector.send(data)
            if outcome.failure is None:
                self._failing = False
                self._trouble.ends(collector=str(self._options.endpoint), dropped=self.dropped)
                self.exported += number - min(number, outcome.rejected)
                self._lost += min(number, outcome.rejected)
                return
            self._failing = True
            self._trouble.begins(
                collector=str(self._options.endpoint), error=outcome.failure, dropped=self.dropped
            )
            if not outcome.again or self._stop.wait(max(pause, min(outcome.wait, _LONGEST))):
                self._lost += number
                return
            pause = min(2 * pause, _LONGEST)

    def _tell(self, event: str, /, **facts: object) -> None:
        import structlog

        structlog.get_logger(f"gateway.{self.signal}").warning(event, **facts)


class Exporters(Generic[E]):
    """The exporters of one kind in a process: one for each collector that plans name, shared by those that name it alike.

    state   keeps an exporter as long as a plan holds it
    worker  number of this process
    """

    def __init__(self, state: StateStore, worker: int = 0) -> None:
        self._state = state
        host = os.uname().nodename
        self._resource = {"host.name": host, "service.instance.id": f"{host}/{worker}"}
        self._exporters: list[E] = []
        self._exported = self._dropped = 0  # by exporters that are gone

    def hold(
        self,
        holder: object,
        options: Export,
        context: ssl.SSLContext | None,
        make: Callable[..., E],
    ) -> E:
        """The exporter, started, for `options`, as long as `holder` is not released; `make` takes what an Exporter does."""
        self._forget_ended()
        key = digest(options) if context is None else f"{id(context)}"

        def begun() -> E:
            exporter = make(options, context, resource=self._resource)
            exporter.start()
            self._exporters.append(exporter)
            return exporter

        return self._state.hold(holder, f"{type(self).__name__}/{key}", begun)

    @property
    def exported(self) -> int:
        """What collectors have taken."""
        return self._exported + sum(exporter.exported for exporter in self._exporters)

    @property
    def dropped(self) -> int:
        """What no collector has."""
        return self._dropped + sum(exporter.dropped for exporter in self._exporters)

    def _forget_ended(self) -> None:
        for exporter in [exporter for exporter in self._exporters if exporter.ended]:
            self._exporters.remove(exporter)
            self._exported += exporter.exported
            self._dropped += exporter.dropped

    def join(self) -> None:
        """Waits for the exporters that have been released, for a few seconds at most."""
        for exporter in self._exporters:
            exporter.join()
