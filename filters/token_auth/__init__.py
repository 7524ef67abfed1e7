"""Asks who is calling: takes the token of a request, finds its principal, and tells the upstream.

Providers are asked in order until one knows the token, or the certificate by which the client has made itself known
(then the token, if there is one, stays here: nobody has judged it). A token that none accepts is answered 401 with
WWW-Authenticate (RFC 9110 section 15.5.2), and 503 where the provider that could judge it cannot be reached.
Identity fields such as X-User-Id or X-Roles are always stripped from what the client sent, in every spelling,
and set from the principal.
"""

from collections.abc import Awaitable
from dataclasses import replace
from hashlib import sha256
from inspect import isawaitable
from math import inf
from typing import NamedTuple

from filters.token_auth.cache import Accepted, Refused, TokenCache
from filters.token_auth.identity import INVALID, STRIPPED, identity_fields, spellings
from filters.token_auth.option import ProviderOptions, TokenAuthConfig
from filters.token_auth.provider import Answer, Provider, Refusal, Unavailable
from gateway.api import Certificate, Exchange, Fault, Filter, Note, OptionError, Principal, Services, Verdict

_TOKEN_MAX = 8192
_MESSAGES = {
    "token_missing": "The request you have made requires authentication.",
    "token_invalid": "The token is not valid.",
    "token_expired": "The token has expired.",
    "token_ambiguous": "The request carries more than one token.",
    "certificate_unknown": "The request you have made requires authentication.",
    "certificate_expired": "The certificate has expired.",
}


class _Question(NamedTuple):
    """What providers are asked of: a token, empty where only a certificate is there; and where its answer is kept."""

    cache: TokenCache
    key: bytes
    token: str


class TokenAuth(Filter[TokenAuthConfig]):
    name = "token_auth"
    Config = TokenAuthConfig

    def __init__(self, config: TokenAuthConfig, services: Services) -> None:
        super().__init__(config, services)
        self._header = config.header.lower().encode("ascii")
        # An upstream that folds `_` into `-` would see another token than the one judged here.
        self.secrets = frozenset((self._header,))
        self.owns = STRIPPED | (spellings(config.header) - {self._header})
        self._providers = tuple(
            _provider(options, place, services) for place, options in enumerate(config.providers)
        )
        challenge = "Keystone" if config.auth_url is None else f'Keystone uri="{config.auth_url}"'
        self._challenge = (("WWW-Authenticate", challenge),)
        self._forward = config.forward_token
        self._ttl = config.cache.ttl
        self._negative_ttl = config.cache.negative_ttl
        trusted = sha256(b"".join(provider.fingerprint for provider in self._providers)).hexdigest()
        self._certifies = not all(provider.needs_token for provider in self._providers)

        def cache() -> TokenCache:
            return TokenCache(services.entropy(32), config.cache.size, config.cache.negative_size)

        self._cache = services.state(f"tokens {trusted}", cache)
        # Apart from the other, since no token may be written so that it is taken for a certificate.
        self._certified = services.state(f"certificates {trusted}", cache)

    async def start(self) -> None:
        for provider in self._providers:
            await provider.start()

    async def close(self) -> None:
        for provider in self._providers:
            await provider.close()

    def on_request(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        headers = exchange.request.headers
        index = headers.index()
        value = index.get(self._header)
        if not self.owns.isdisjoint(index):
            headers.drop(self.owns)
        if isinstance(value, list):
            return self._unauthorized("token_ambiguous", None)
        token = value.strip(b" \t") if value is not None else b""
        if self._certifies:
            certificate = exchange.certificate
            if certificate is not None:
                return self._with_certificate(exchange, token, certificate)
        if not token:
            return self._no_principal(exchange, "token_missing", None)
        if len(token) > _TOKEN_MAX or not token.isascii():
            return self._no_principal(exchange, "token_invalid", None)
        cache = self._cache
        key = cache.digest(token)
        clock = exchange.clock
        try:
            accepted = cache.accepted[key]
        except KeyError:
            pass
        else:
            if clock.monotonic < accepted.until and clock.wall < accepted.expires:
                return self._pass(exchange, accepted)
            del cache.accepted[key]
        try:
            refused = cache.refused[key]
        except KeyError:
            pass
        else:
            if clock.monotonic < refused.until:
                return self._no_principal(exchange, refused.reason, refused.place)
            del cache.refused[key]
        return self._ask(exchange, _Question(cache, key, token.decode("ascii")), 0, None)

    def _with_certificate(
        self, exchange: Exchange, token: bytes, certificate: Certificate
    ) -> Verdict | Awaitable[Verdict]:
        """Judges a client that is known by a certificate: what is remembered is said of both, it and the token."""
        if len(token) > _TOKEN_MAX or not token.isascii():
            token = b""  # it can be nobody's
        cache = self._certified
        key = cache.digest(certificate.fingerprint.encode("ascii") + token)
        clock = exchange.clock
        accepted = cache.accepted.get(key)
        if accepted is not None and clock.monotonic < accepted.until and clock.wall < accepted.expires:
            return self._pass(exchange, accepted)
        refused = cache.refused.get(key)
        if refused is not None and clock.monotonic < refused.until:
            return self._no_principal(exchange, refused.reason, refused.place)
        return self._ask(exchange, _Question(cache, key, token.decode("ascii")), 0, None)

    def _ask(
        self, exchange: Exchange, question: _Question, first: int, failure: tuple[Unavailable, int] | None
    ) -> Verdict | Awaitable[Verdict]:
        """Asks the providers from `first` on; `failure` is an earlier one that could not judge."""
        for place in range(first, len(self._providers)):
            provider = self._providers[place]
            if provider.needs_token and not question.token:
                continue
            answer = provider.look_up(question.token, exchange)
            if isawaitable(answer):
                return self._wait(answer, exchange, question, place, failure)
            if isinstance(answer, Unavailable):
                failure = failure or (answer, place)
            elif answer is not None:
                return self._answered(exchange, question, place, answer)
        if failure is not None:
            return self._unavailable(exchange, *failure)
        reason = "token_invalid" if question.token else "certificate_unknown"
        return self._refuse(exchange, question, Refusal(reason), None)

    async def _wait(
        self,
        pending: Awaitable[Answer],
        exchange: Exchange,
        question: _Question,
        place: int,
        failure: tuple[Unavailable, int] | None,
    ) -> Verdict:
        answer = await pending
        if isinstance(answer, Unavailable):
            failure = failure or (answer, place)
        elif answer is not None:
            return self._answered(exchange, question, place, answer)
        verdict = self._ask(exchange, question, place + 1, failure)
        return await verdict if isawaitable(verdict) else verdict

    def _answered(
        self, exchange: Exchange, question: _Question, place: int, answer: Principal | Refusal
    ) -> Verdict:
        if isinstance(answer, Refusal):
            return self._refuse(exchange, question, answer, place)
        cache, key, token = question
        provider, by_token = self._providers[place].kind, self._providers[place].needs_token
        reason, proof = "token_accepted", token
        if not by_token:
            certificate = exchange.certificate
            assert certificate is not None
            reason, proof = "certificate_accepted", f"certificate {certificate.fingerprint}"
        principal = replace(
            answer,
            token_key=self.services.keyed_hash(proof.encode("ascii")),
            provider=answer.provider or provider,
        )
        try:
            fields = identity_fields(principal)
        except ValueError as error:
            self.services.warn("token_claims_unusable", provider=provider, field=str(error))
            return self._refuse(exchange, question, Refusal("token_invalid"), place)
        expires = principal.expires_at if principal.expires_at is not None else inf
        rule = ("providers", place)
        accepted = Accepted(
            exchange.clock.monotonic + self._ttl,
            expires,
            principal,
            fields,
            Note(reason, rule, {"provider": provider, "cached": True}),
            # Beside a certificate that has decided, nobody has judged the token: it may be another caller's.
            self._forward and by_token,
        )
        if self._ttl > 0 and exchange.clock.wall < expires:
            cache.accepted[key] = accepted
        return self._pass(
            exchange,
            accepted._replace(note=Note(reason, rule, {"provider": provider, "cached": False})),
        )

    def _pass(self, exchange: Exchange, accepted: Accepted) -> Verdict:
        _, _, exchange.principal, fields, note, forward = accepted
        headers = exchange.request.headers
        headers.extend(fields)
        exchange.trail.append(note)  # what exchange.note() does, without building the note again
        if not forward:
            headers.remove(self._header)
        return None

    def _refuse(
        self, exchange: Exchange, question: _Question, refusal: Refusal, place: int | None
    ) -> Verdict:
        if refusal.lasting and self._negative_ttl > 0:
            question.cache.refused[question.key] = Refused(
                exchange.clock.monotonic + self._negative_ttl, refusal.reason, place
            )
        return self._no_principal(exchange, refusal.reason, place)

    def _unavailable(self, exchange: Exchange, failure: Unavailable, place: int) -> Verdict:
        if self.config.optional:
            return self._invalid(exchange, "provider_unavailable", place)
        return Fault(
            503,
            "provider_unavailable",
            "The identity service is temporarily unavailable.",
            rule=("providers", place),
            retry_after=max(1, failure.retry_after),
        )

    def _no_principal(self, exchange: Exchange, reason: str, place: int | None) -> Verdict:
        if self.config.optional:
            return self._invalid(exchange, reason, place)
        return self._unauthorized(reason, place)

    def _invalid(self, exchange: Exchange, reason: str, place: int | None) -> Verdict:
        """Lets a request go on without a principal, marked so."""
        exchange.request.headers.extend(INVALID)
        exchange.note("token_optional", rule=("optional",), because=reason, provider=self._kind(place))
        if not self._forward:
            exchange.request.headers.remove(self._header)
        return None

    def _kind(self, place: int | None) -> str | None:
        return None if place is None else self._providers[place].kind

    def _unauthorized(self, reason: str, place: int | None) -> Fault:
        return Fault(
            401,
            reason,
            _MESSAGES.get(reason, _MESSAGES["token_invalid"]),
            rule=("providers",) if place is None else ("providers", place),
            headers=self._challenge,
        )


def _provider(options: ProviderOptions, number: int, services: Services) -> Provider:
    """The provider of one entry; ValueError says what is wrong, and where."""
    place = f"providers[{number}]"
    try:
        if options.static is not None:
            from filters.token_auth.static import Static

            place += ".static"
            return Static(options.static, services)
        if options.client_certificate is not None:
            from filters.token_auth.certificate import ClientCertificate

            place += ".client_certificate"
            return ClientCertificate(options.client_certificate, services)
        # Its cryptography costs a tenth of a second to import, so that only those pay who verify signatures.
        from filters.token_auth.jwt import Jwt

        assert options.jwt is not None
        place += ".jwt"
        return Jwt(options.jwt, services)
    except OptionError as error:
        kind = place.rpartition(".")[2]
        raise OptionError(("providers", number, kind, *error.rule), *error.messages) from None
    except ValueError as error:
        raise ValueError(f"{place}.{error}") from None
