"""Asks an HTTP service whether a request may go on, as nginx's auth_request and Traefik's forwardAuth do.

The service gets method, target and the listed header fields, never the body. What it does not judge, because it cannot
be reached, is slow, or fails, is answered 503, or passed where `on_error` says so. What a request might have brought about (any
other 4xx, an answer that is too large, a connection that is closed in place of one) never lets it pass. What is remembered
is remembered under a keyed hash.
"""

from collections.abc import Awaitable

from filters._identity import SERVICE_HEADER, STRIPPED
from filters.external_auth.convention import Lines, No, Trouble, Yes, carried, reader, spoken
from filters.external_auth.option import ExternalAuthConfig
from filters.external_auth.service import Service
from gateway.api import Exchange, Fault, Filter, Principal, Services, Verdict
from gateway.http.spelling import spellings


class ExternalAuth(Filter[ExternalAuthConfig]):
    name = "external_auth"
    Config = ExternalAuthConfig
    access = {
        "on_error": ("deny", "allow"),
        "relay_headers": "none",
        "challenge": "none",
    }
    pure = False

    def __init__(self, config: ExternalAuthConfig, services: Services) -> None:
        super().__init__(config, services)
        self._asked = tuple((name, name.lower().encode("ascii")) for name in config.request_headers)
        asked = frozenset(key for _, key in self._asked)
        self.secrets = asked
        back = frozenset(name.lower().encode("ascii") for name in config.response_headers)
        # Who is calling is the service's to say, also where the upstream is not told of it in these fields.
        who = config.principal.names if config.principal is not None else ()
        read = frozenset(name.lower().encode("ascii") for name in who)
        self._identity = STRIPPED | read
        # What an earlier filter has set gives way as a client's own does: there is one line of each for the upstream.
        self._replaced = back | ((read & asked) - STRIPPED)
        self._from_client = self._replaced & asked
        # Under another spelling an upstream that folds `_` into `-` would see a credential that nobody has judged.
        owns = frozenset().union(*map(spellings, (*config.response_headers, *config.request_headers, *who)))
        if config.principal is not None or not back.isdisjoint(STRIPPED):
            owns |= STRIPPED  # it says who is calling, and so the client does not
        # Of what it judges nothing arrives unjudged, unless an earlier filter has found who is calling, and told of it.
        self._claimed = asked & owns & STRIPPED
        # What is asked about is read first, and taken away here.
        self.judges = asked & {SERVICE_HEADER.lower().encode("ascii")}
        self.owns = (owns - asked) | self.judges
        self._service = Service(config, services, reader(config))
        cache = config.cache
        self._caches = cache is not None
        self._by_request = cache is None or cache.by_request
        self._key_names = (
            frozenset(name.lower() for name in cache.headers)
            if cache is not None and cache.headers is not None
            else None
        )
        # By an answer that does not depend on the field, or may have been another request's, nobody has judged it.
        names = self._key_names
        self._ignores = names is not None and any(
            name.decode("ascii") not in names for name in self.judges - back
        )

    def on_request(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        own = carried(exchange, self._asked)
        if own is None:
            return Fault(
                400,
                "credential_unreadable",
                "A header field is no text, or a credential comes twice.",
                rule=("request_headers",),
            )
        told = spoken(exchange, self.config.convention)
        if not self._caches:
            return self._wait(exchange, None, told, own)
        key = self._key(exchange, own)
        answer = self._service.remembered(key, exchange.clock.monotonic)
        if answer is not None:
            return self._settled(exchange, answer, cached=True)
        return self._wait(exchange, key, told, own)

    def suppose(self, exchange: Exchange, principal: Principal | None) -> Verdict:
        """The service says yes to `principal`, and no to nobody."""
        if principal is None:
            return No(403, (), None).verdict()
        exchange.request.headers.drop(self._replaced)
        if self.config.principal is not None:
            self._known(exchange, principal)
        exchange.note("external_auth_allowed", rule=("url",))
        return None

    def _key(self, exchange: Exchange, own: Lines) -> str:
        request = (
            (exchange.method, exchange.target, exchange.host, exchange.scheme, exchange.client)
            if self._by_request
            else ()
        )
        return self.services.keyed_hash(repr((request, self._credentials(own))).encode())

    def _credentials(self, own: Lines) -> Lines:
        names = self._key_names
        return [(name.lower(), value) for name, value in own if names is None or name.lower() in names]

    def _who(self, exchange: Exchange, own: Lines) -> str:
        """Stands for who asks, as far as it can be told: his credentials, or his address where he has none."""
        told = self._credentials(own) or exchange.client
        return self.services.keyed_hash(repr(told).encode())

    async def _wait(self, exchange: Exchange, key: str | None, told: Lines, own: Lines) -> Verdict:
        who = self._who(exchange, own)
        try:
            answer = await self._service.ask(key, [*told, *own], who)
        except Trouble as trouble:
            return self._unjudged(exchange, trouble, who)
        return self._settled(exchange, answer, cached=False)

    def _settled(self, exchange: Exchange, answer: Yes | No, *, cached: bool) -> Verdict:
        if isinstance(answer, No):
            return answer.verdict()
        exchange.request.headers.drop(self._replaced)
        if answer.principal is not None:
            self._known(exchange, answer.principal)
        if self._ignores:
            exchange.leave_unjudged(self)
        exchange.request.headers.extend(answer.fields)
        exchange.note("external_auth_allowed", rule=("url",), cached=cached)
        return None

    def _known(self, exchange: Exchange, principal: Principal) -> None:
        """Takes the place of whom an earlier filter has found, or not found, and of the fields that told of it."""
        exchange.request.headers.drop(self._identity)
        exchange.principal = principal

    def _unjudged(self, exchange: Exchange, trouble: Trouble, who: str) -> Verdict:
        if self.config.on_error == "allow" and trouble.lenient:
            exchange.request.headers.drop(self._from_client)
            if self._claimed and exchange.principal is None:
                exchange.request.headers.drop(self._claimed)
            exchange.leave_unjudged(self)
            exchange.note("external_auth_unavailable", rule=("on_error",), because=trouble.why)
            return None
        return Fault(
            503,
            "external_auth_unavailable",
            "The request cannot be authorised at the moment.",
            rule=("on_error",),
            retry_after=self._service.retry_after(who),
        )
