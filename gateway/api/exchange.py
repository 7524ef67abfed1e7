"""One request and its answer, as the filters of a chain see it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from mypy_extensions import mypyc_attr

from gateway.api.body import Body
from gateway.api.certificate import Certificate
from gateway.api.principal import Principal
from gateway.api.verdict import Response, Rule
from gateway.http.fields import Fields, Overlay
from gateway.http.target import ambiguity, plain, split


class Instant(NamedTuple):
    """A moment on both clocks: seconds since the epoch, and monotonic seconds."""

    wall: float
    monotonic: float


class Route(NamedTuple):
    """What a filter may know of the route: its name, its path template, its upstream's name."""

    name: str
    template: str
    upstream: str


@mypyc_attr(allow_interpreted_subclasses=True)
class Request:
    """The client's message: header fields and body."""

    __slots__ = ("body", "headers")

    def __init__(self, headers: Fields, body: Body) -> None:
        self.headers = headers
        self.body = body


class Note(NamedTuple):
    """Why a filter passed an exchange, for the record."""

    reason: str
    rule: Rule
    facts: Mapping[str, object]


_NO_PARAMS: Mapping[str, str] = MappingProxyType({})


@mypyc_attr(allow_interpreted_subclasses=True)
class Exchange:
    """One request and its answer.

    method      as received, upper case
    target      the request target in origin form, byte for byte
    path        the raw path as ASCII text, not decoded
    outgoing    the target that the upstream gets: `target`, unless a filter has called `retarget`
    query       the raw query as latin-1 text without the "?", None when there is none
    params      path parameters of the route, percent-decoded once
    scheme      "http" or "https", after trusted proxies
    host        the Host field, or the authority of an absolute-form target
    peer        address of the connection's other end
    client      address of the client, after trusted proxies; the same as `peer` without any
    http_version  of the request as received: "1.0" or "1.1"
    route       None until one is found; stays None for a 404
    principal   None until a filter finds one
    certificate that the client has proven to be its own when it connected, None without one
    request_id  "req-" and a UUID
    clock       the instant the head arrived
    request     header fields and body, to read and edit
    response    None while the request goes inward

    Every edit goes through a method, so that it can be recorded, shown and, in shadow mode, discarded.
    """

    __slots__ = (
        "_deferred",
        "certificate",
        "client",
        "clock",
        "host",
        "http_version",
        "method",
        "outgoing",
        "params",
        "path",
        "peer",
        "principal",
        "query",
        "request",
        "request_id",
        "response",
        "route",
        "scheme",
        "target",
        "trail",
        "unjudged",
    )

    def __init__(
        self,
        method: str,
        target: bytes,
        path: str,
        query: str | None,
        scheme: str,
        host: str,
        peer: str,
        client: str,
        http_version: str,
        request_id: str,
        clock: Instant,
        request: Request,
        route: Route | None = None,
        params: Mapping[str, str] | None = None,
    ) -> None:
        self.method = method
        self.target = self.outgoing = target
        self.path = path
        self.query = query
        self.scheme = scheme
        self.host = host
        self.peer = peer
        self.client = client
        self.http_version = http_version
        self.request_id = request_id
        self.clock = clock
        self.request = request
        self.route = route
        self.params = params or _NO_PARAMS
        self.principal: Principal | None = None
        self.certificate: Certificate | None = None
        self.response: Response | None = None
        self._deferred: list[Callable[[], None]] | None = None
        # The chain's and its filters': what was noted, and when each filter was done. See `gateway.record`.
        self.trail: list[Any] = []
        # The chain's: filters that have let it pass without judging what they judge.
        self.unjudged: tuple[object, ...] = ()

    def note(self, reason: str, *, rule: Rule = (), **facts: object) -> None:
        """Says in the record why the filter that now runs passes the exchange. Raises TypeError for a rule that is none."""
        if not isinstance(rule, tuple):
            raise TypeError(f"a rule is a tuple, not {type(rule).__name__}")
        self.trail.append(Note(reason, rule, facts))

    def leave_unjudged(self, filter: object) -> None:
        """Says that `filter` passes the exchange and has not judged the fields that it `judges`: nobody could be asked, say."""
        self.unjudged += (filter,)

    @property
    def notes(self) -> list[Note]:
        """What filters have noted, in order, as far as no step of the record has taken it."""
        return [item for item in self.trail if isinstance(item, Note)]

    def retarget(self, target: bytes) -> None:
        """Sends the upstream another target, in origin form. Filters go on judging by the one that was received.

        Raises ValueError, with a sentence, for one that could be read in two ways.
        """
        if plain(target) is None:
            problem = ambiguity(split(target))
            if problem is not None:
                raise ValueError(problem)
        self.outgoing = target

    def defer(self, callback: Callable[[], None]) -> None:
        """Runs `callback` once when the exchange is over, however it ends, cancellation included."""
        if self._deferred is None:
            self._deferred = []
        self._deferred.append(callback)

    def take_deferred(self) -> list[Callable[[], None]]:
        """The deferred callbacks, last first, each handed out once. For the chain."""
        deferred, self._deferred = self._deferred, None
        return deferred[::-1] if deferred else []


class ShadowExchange(Exchange):
    """An overlay of an exchange: reads fall through, edits stay here and are dropped with it.

    `body` is what the shadow filters see of the request's body; the chain gives a tap.
    """

    __slots__ = ("_base", "_followed")

    def __init__(self, base: Exchange, body: Body) -> None:
        super().__init__(
            method=base.method,
            target=base.target,
            path=base.path,
            query=base.query,
            scheme=base.scheme,
            host=base.host,
            peer=base.peer,
            client=base.client,
            http_version=base.http_version,
            request_id=base.request_id,
            clock=base.clock,
            request=Request(Overlay(base.request.headers), body),
            route=base.route,
            params=base.params,
        )
        self._base = base
        self.outgoing = base.outgoing
        self._followed: Principal | None = None
        self.certificate = base.certificate

    def follow(self) -> None:
        """Takes the principal over from the exchange, unless a shadow filter has found another."""
        if self.principal is self._followed:
            self.principal = self._followed = self._base.principal
