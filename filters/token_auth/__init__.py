"""Asks who is calling: takes the token of a request, finds its principal, and tells the upstream.

Providers are asked in order until one knows the token, or the certificate, password or key by which the client makes
itself known (then the token, if there is one, stays here: nobody has judged it). A token that none accepts is answered 401 with
WWW-Authenticate (RFC 9110 section 15.5.2), and 503 where the provider that could judge it cannot be reached.
What is accepted is remembered for a time, and so is, for seconds, a definite no; a failure never is. A service may
vouch by a token of its own (X-Service-Token) for the request that it makes for a user.
Identity fields such as X-User-Id or X-Roles are always stripped from what the client sent, in every spelling,
and set from the principal.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from inspect import isawaitable
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from filters._identity import SERVICE_HEADER, STORAGE_HEADER, STRIPPED
from filters._profile import ProfileName, profile
from filters._repose import ReposeOptions
from filters.token_auth.access_rule import AccessRules
from filters.token_auth.cache import Accepted, Refused, TenantScope, TokenCache
from filters.token_auth.common_cache import CommonCache
from filters.token_auth.entry import FORM
from filters.token_auth.option import CacheOptions, ProviderOptions, TokenAuthConfig
from filters.token_auth.provider import Answer, Grant, Provider, Refusal, Unavailable
from filters.token_auth.spelling import twin
from gateway.api import (
    Certificate,
    Exchange,
    Fault,
    Filter,
    Instant,
    Note,
    OptionError,
    Pending,
    Principal,
    Revocation,
    Rule,
    Services,
    Verdict,
    hashed_by,
)
from gateway.http.fields import Fields, encoded
from gateway.http.spelling import spellings

if TYPE_CHECKING:  # its cryptography costs a tenth of a second to import
    from filters.token_auth.shared_cache import SharedCache

_TOKEN_MAX = 8192
_KNOWN_MAX = 256
_KNOWN_SIZE = 4096
"""Bytes of the values of a section that is remembered."""
_PATIENCE: Final = 0.5
"""Seconds for which an answer is waited for where something may stand in."""
_TWICE: Final = "\n"
"""In place of a proof that comes twice; no field value holds it."""
_BEARER: Final = 'Bearer realm="weir"'
"""RFC 6750 section 3: the scheme never stands alone."""
_SERVICE_TOKEN = SERVICE_HEADER.lower().encode("ascii")
_STORAGE_TOKEN = STORAGE_HEADER.lower().encode("ascii")
_ANSWERS: Final[dict[str, tuple[int, str]]] = {
    "token_missing": (401, "The request you have made requires authentication."),
    "token_invalid": (401, "The token is not valid."),
    "token_expired": (401, "The token has expired."),
    "token_ambiguous": (401, "The request carries more than one token."),
    "token_restricted": (401, "The application credential does not allow the request."),
    "service_token_invalid": (401, "The service token is not valid."),
    "certificate_unknown": (401, "The request you have made requires authentication."),
    "certificate_expired": (401, "The certificate has expired."),
    "credentials_invalid": (401, "The name or the password is not right."),
    "key_invalid": (401, "The key is not valid."),
    "key_expired": (401, "The key has expired."),
    "attempts_exceeded": (429, "There have been too many wrong passwords."),
    "tenant_forbidden": (403, "The token is not for the project of the request."),
    "provider_unavailable": (503, "The identity service is temporarily unavailable."),
}
"""What a reason is answered with."""
_ACCEPTED: Final = {"mtls": "certificate_accepted", "basic": "password_accepted", "api_key": "key_accepted"}
_UNKNOWN: Final = {"mtls": "certificate_unknown", "basic": "credentials_invalid", "api_key": "key_invalid"}
"""Why a request passes, or is refused, by the kind of the provider where the proof is no token."""


class _Question(NamedTuple):
    """What providers are asked of: a token, empty where there is only another proof; and where its answer is kept.

    stale   what was remembered of it, and may stand in while nobody can judge
    beside  whether a service vouches for the request, so that the token may have expired
    epoch   of the cache when it was asked
    proofs  what each provider is asked of, by its place, where there is another proof than the token; None is nothing
    """

    cache: TokenCache
    key: bytes
    token: str
    epoch: int
    stale: Accepted | None = None
    beside: bool = False
    proofs: tuple[str | None, ...] | None = None

    @property
    def told(self) -> str:
        """All that it is asked of, as one text: whoever has another proof has another."""
        if self.proofs is None:
            return self.token
        return "".join(
            f"{place} {len(proof)} {proof}" for place, proof in enumerate(self.proofs) if proof is not None
        )

    @property
    def name(self) -> bytes:
        """Where the workers keep its answer in common."""
        return f"{self.cache.kind} {self.told}".encode()

    def fallback(self) -> Accepted | None:
        """What may stand in, unless somebody has been revoked since."""
        return self.stale if self.epoch == self.cache.epoch else None


class TokenAuth(Filter[TokenAuthConfig]):
    name = "token_auth"
    Config = TokenAuthConfig
    # Where the decision is delayed, one token more, or one that is good for longer, may have its bearer refused by a filter behind
    # that lets pass whom nobody knows. So of them a change may do either.
    access = {
        "auth_url": "none",
        "delay_auth_decision": "more",
        "cache.size": "none",
        "cache.negative_size": "none",
        "cache.jitter": "none",
    }

    def __init__(self, config: TokenAuthConfig, services: Services) -> None:
        super().__init__(config, services)
        self._header = config.header.lower().encode("ascii")
        self._by_default = self._header == b"x-auth-token"
        # An upstream that folds `_` into `-` would see another token than the one judged here.
        owns = STRIPPED | (spellings(config.header) - {self._header})
        vouching = config.service_tokens
        self._service_roles = frozenset(vouching.roles if vouching is not None else ())
        # An upstream that asks Keystone itself would let an expired token pass beside one that nobody has judged.
        owns |= spellings(SERVICE_HEADER) - ({_SERVICE_TOKEN} & {self._header})
        if vouching is not None or self._header == _SERVICE_TOKEN:
            self.judges = frozenset((_SERVICE_TOKEN,))
        for options in config.providers:
            if options.api_key is not None:
                owns |= spellings(options.api_key.header) - {options.api_key.header.lower().encode("ascii")}
        owns |= spellings(STORAGE_HEADER) - ({_STORAGE_TOKEN} if self._by_default else set())
        self.owns = owns
        self._dropped = owns - self.judges
        self._shared = shared = _shared_cache(config.cache, services)
        self._providers = tuple(
            _provider(
                options,
                place,
                services,
                partial(self._changed, place),
                self._revoked,
                shared,
                config.headers,
                _inherited(config.cache),
            )
            for place, options in enumerate(config.providers)
        )
        self._profile = profile(config.headers, config.repose or ReposeOptions(), self.name)
        self._bearer = self._header == b"authorization"
        self._challenge = tuple(("WWW-Authenticate", challenge) for challenge in _challenges(config))
        # RFC 6750 section 3.1: only who has brought a token is told that it is not good.
        self._objection = tuple(
            (name, challenge + ', error="invalid_token"' if challenge == _BEARER else challenge)
            for name, challenge in self._challenge
        )
        asks_keystone = any(options.keystone or options.keystone_v2 for options in config.providers)
        tells = asks_keystone or config.auth_url is not None or config.delay_auth_decision
        self.statuses = frozenset((401,) if tells else ())
        self._forward = config.forward_token
        self._pending: Pending[Answer] = Pending()
        # Sections that come again are the same object: the digests of their tokens, where nothing else is to be done. Each
        # is held on to, so that no other can have its id.
        self._known: dict[int, tuple[Mapping[bytes, bytes | list[bytes]], bytes]] = {}
        self._ttl = config.cache.ttl
        self._negative_ttl = config.cache.negative_ttl
        # Under another hash key tokens have other names in records, and revocations name them by those: what is known begins anew.
        keyed = services.keyed_hash(FORM).encode()
        trusted = sha256(b"".join((keyed, *(each.fingerprint for each in self._providers)))).hexdigest()
        # Whether anybody looks at another proof than the token, and at which fields.
        self._beside_token = not all(provider.needs_token for provider in self._providers)
        self._certifies = any(not (one.needs_token or one.header) for one in self._providers)
        fields = frozenset(provider.header for provider in self._providers if provider.header)
        self._proof_fields = fields
        self.secrets = fields | {self._header}
        self.params = _params(config)
        self.pure = all(provider.pure for provider in self._providers)
        self._jitter = config.cache.jitter / 100
        self._stale_for = config.cache.stale_if_error

        def cache(kind: str) -> TokenCache:
            name = f"{kind} {trusted}"
            size, negative_size = config.cache.size, config.cache.negative_size
            told_apart = hashed_by(services.keyed_hash)
            return services.state(
                name, lambda: TokenCache(services.entropy(32), size, negative_size, kind, told_apart)
            )

        self._cache = cache("tokens")
        # Apart from the other, since no token may be written so that it is taken for a certificate.
        self._certified = cache("certificates")
        # Apart, since a token may be accepted here that has expired; and apart, since a service is to have its role.
        self._beside = cache("tokens beside services")
        self._vouching = cache("services")
        self._common = _common_cache(config, trusted, services)

    def on_response(self, exchange: Exchange) -> Verdict:
        """Says how to get a token where an upstream's 401 does not (RFC 9110 section 15.5.2 wants it said)."""
        response = exchange.response
        if response is not None and response.status == 401 and not response.headers.has(b"www-authenticate"):
            for name, value in self._challenge:
                response.headers.add(name, value)
        return None

    async def start(self) -> None:
        for provider in self._providers:
            await provider.start()

    async def close(self) -> None:
        for provider in self._providers:
            await provider.close()

    def _changed(self, place: int, gone: bool) -> None:
        """Forgets what a provider has said that trusts others now; `gone`: one that it trusted is among them no more.

        A no may have been one only because the provider did not know yet whom it trusts now.
        """
        for cache in (self._cache, self._certified, self._beside, self._vouching):
            cache.refused.clear()
            if gone:
                cache.forget(place)

    def _revoked(self, revocation: Revocation) -> None:
        for cache in (self._cache, self._certified, self._beside, self._vouching):
            cache.revoke(revocation)
        for others in (self._common, self._shared):
            if others is not None:
                others.revoke(revocation)
        self.services.void_unattended()

    def on_request(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        headers = exchange.request.headers
        index = headers.index()
        known = self._known.get(id(index))
        if known is not None:
            accepted = self._cache.accepted.get(known[1])
            clock = exchange.clock
            if accepted is not None and clock.monotonic < accepted.until and clock.wall < accepted.expires:
                return self._pass(exchange, accepted)
        value = index.get(self._header)
        if _STORAGE_TOKEN in index and self._by_default:
            value = self._fallback(headers, value or index[_STORAGE_TOKEN])
            index = headers.index()
            plain = False
        else:
            plain = not self._beside_token
        if not self._dropped.isdisjoint(index):
            headers.drop(self._dropped)
            plain = False
        if isinstance(value, list):
            return self._unauthorized("token_ambiguous", None)
        token = value.strip(b" \t") if value is not None else b""
        if self._bearer:
            scheme, _, token = token.partition(b" ")
            token = token.strip(b" \t") if scheme.lower() == b"bearer" else b""
        if self._beside_token:
            certificate = exchange.certificate if self._certifies else None
            if certificate is not None or not self._proof_fields.isdisjoint(index):
                proofs = self._proofs(token, index, certificate)
                if proofs is not None:
                    return self._with_proofs(exchange, token, proofs)
        if self._service_roles and _SERVICE_TOKEN in index:
            return self._with_service(exchange, token, index[_SERVICE_TOKEN])
        if not token:
            return self._no_principal(exchange, "token_missing", None)
        if len(token) > _TOKEN_MAX or not token.isascii():
            return self._no_principal(exchange, "token_invalid", None)
        cache = self._cache
        key = cache.digest(token)
        if (
            plain
            and headers.shared
            and len(index) == len(headers)
            and sum(map(len, index.values())) < _KNOWN_SIZE
        ):
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[id(index)] = index, key
        clock = exchange.clock
        accepted = cache.accepted.get(key)
        if accepted is not None:
            if clock.monotonic < accepted.until and clock.wall < accepted.expires:
                return self._pass(exchange, accepted)
            stale = self._forget(cache, key, accepted, exchange)
            return self._ask_anew(exchange, _Question(cache, key, token.decode("ascii"), cache.epoch, stale))
        refused = cache.refused.get(key)
        if refused is not None:
            if clock.monotonic < refused.until:
                return self._no_principal(exchange, refused.reason, refused.place)
            cache.refused.drop(key)
        return self._ask_anew(exchange, _Question(cache, key, token.decode("ascii"), cache.epoch))

    def suppose(self, exchange: Exchange, principal: Principal | None) -> Verdict:
        """The request of `principal`, or of somebody whose token nobody knows.

        Whose other proofs are, and whether a service vouches, nobody has said: what of them stays here goes.
        """
        headers = exchange.request.headers
        index = headers.index()
        if _STORAGE_TOKEN in index and self._by_default:
            self._fallback(headers, index.get(self._header) or index[_STORAGE_TOKEN])
        headers.drop(self._dropped)
        if self._service_roles:
            headers.remove(_SERVICE_TOKEN)
        asked = self._supposed(exchange, principal.provider if principal is not None else "")
        for provider in self._providers:
            if not (provider is asked and provider.forwards) and _proves(provider, headers):
                headers.remove(provider.header)
        if principal is None:
            return self._no_principal(exchange, "token_invalid", None)
        told = replace(principal, provider=principal.provider or asked.kind)
        note = Note("token_accepted", (), {"provider": told.provider})
        return self._pass(
            exchange,
            Accepted(
                inf,
                inf,
                told,
                self._profile.fields(told, None),
                note,
                self._forward and asked.needs_token,
                None,
            ),
        )

    def _supposed(self, exchange: Exchange, kind: str) -> Provider:
        """Who would have been asked: the provider of a kind, or the first that the request has something for."""
        headers = exchange.request.headers
        for provider in self._providers:
            if provider.kind == kind:
                return provider
        for provider in self._providers:
            if provider.needs_token:
                brings = headers.has(self._header)
            else:
                brings = _proves(provider, headers) if provider.header else exchange.certificate is not None
            if brings:
                return provider
        return self._providers[0]

    def _fallback(self, headers: Fields, value: bytes | list[bytes]) -> bytes | list[bytes]:
        """The token that counts where there is an X-Storage-Token, which goes: servers read one where the other is not."""
        headers.remove(_STORAGE_TOKEN)
        if isinstance(value, bytes):
            headers.set(self._header, value)
        return value

    def _proofs(
        self, token: bytes, index: Mapping[bytes, bytes | list[bytes]], certificate: Certificate | None
    ) -> tuple[str | None, ...] | None:
        """What each provider is to look at, or that it came twice; None where there is nothing but the token."""
        if len(token) > _TOKEN_MAX or not token.isascii():
            token = b""  # it can be nobody's
        proofs: list[str | None] = []
        others = False
        for provider in self._providers:
            if provider.needs_token:
                proofs.append(token.decode("ascii") or None)
                continue
            proof = None
            if provider.header:
                value = index.get(provider.header)
                if isinstance(value, list):
                    proof = _TWICE if any(provider.proof(line) is not None for line in value) else None
                elif value is not None:
                    proof = provider.proof(value.strip(b" \t"))
            elif certificate is not None:
                proof = certificate.fingerprint
            others = others or proof is not None
            proofs.append(proof)
        return tuple(proofs) if others else None

    def _with_proofs(
        self, exchange: Exchange, token: bytes, proofs: tuple[str | None, ...]
    ) -> Verdict | Awaitable[Verdict]:
        """Judges a request with another proof than the token: what is remembered is said of all that it brings."""
        headers = exchange.request.headers
        for provider, proof in zip(self._providers, proofs, strict=True):
            if provider.header and proof is not None:
                headers.remove(provider.header)  # whoever decides: passwords and keys stay here
        if self._service_roles:
            headers.remove(_SERVICE_TOKEN)  # nobody judges it
        if _TWICE in proofs:
            return self._unauthorized("token_ambiguous", None)
        text = next(
            (proof for one, proof in zip(self._providers, proofs, strict=True) if one.needs_token and proof),
            "",
        )
        cache = self._certified
        question = _Question(cache, b"", text, cache.epoch, proofs=proofs)
        return self._judge(exchange, question._replace(key=cache.digest(question.told.encode())))

    def _with_service(
        self, exchange: Exchange, token: bytes, value: bytes | list[bytes]
    ) -> Verdict | Awaitable[Verdict]:
        """Judges a request that a service vouches for: first the service, then the user's token."""
        service = value.strip(b" \t") if isinstance(value, bytes) else b""
        if isinstance(value, list) or len(service) > _TOKEN_MAX or not service.isascii():
            return self._no_service(exchange, None)
        if not self._forward or not service:
            exchange.request.headers.remove(_SERVICE_TOKEN)
        if not service:
            return self._for_user(exchange, token, beside=False)
        cache, clock = self._vouching, exchange.clock
        key = cache.digest(service)
        accepted = cache.accepted.get(key)
        if accepted is not None:
            if clock.monotonic < accepted.until and clock.wall < accepted.expires:
                return self._vouched(exchange, token, accepted)
            accepted = self._forget(cache, key, accepted, exchange)
        refused = cache.refused.get(key)
        if refused is not None and clock.monotonic < refused.until:
            return self._no_service(exchange, refused.place)
        question = _Question(cache, key, service.decode("ascii"), cache.epoch, accepted)
        known, question = self._learned(exchange, question)
        if known is not None:
            return self._vouched(exchange, token, known)
        return self._ask_of_service(exchange, token, question)

    async def _ask_of_service(self, exchange: Exchange, token: bytes, question: _Question) -> Verdict:
        failure: tuple[Unavailable, int] | None = None
        for place, provider in enumerate(self._providers):
            if not provider.needs_token:
                continue
            spared = provider.left_alone and question.fallback() is not None
            answer = provider.look_up_service(question.token, exchange)
            if isawaitable(answer):
                learn = partial(self._learn, exchange.clock, question, place)
                if spared:
                    self._pending.tell(answer, learn)
                    answer = Unavailable(1)
                else:
                    answer = await self._in_time(answer, question, learn)
            if isinstance(answer, Unavailable):
                failure = failure or (answer, place)
            elif answer is not None:
                return await self._known_service(exchange, token, question, place, answer)
        if failure is not None:
            stale = question.fallback()
            if stale is None:
                self._unvouch(exchange)
                return self._unavailable(exchange, question, *failure)
            verdict = self._vouched(exchange, token, stale)
            return await verdict if isawaitable(verdict) else verdict
        return self._refuse_service(exchange, question, Refusal("service_token_invalid"), None)

    async def _known_service(
        self,
        exchange: Exchange,
        token: bytes,
        question: _Question,
        place: int,
        answer: Principal | Grant | Refusal,
    ) -> Verdict:
        accepted = self._learn(exchange.clock, question, place, answer)
        if accepted is None:
            return self._no_service(exchange, place)
        verdict = self._vouched(exchange, token, accepted)
        return await verdict if isawaitable(verdict) else verdict

    def _made_of_service(
        self, clock: Instant, question: _Question, place: int, grant: Grant
    ) -> Accepted | Refusal:
        token_key = self.services.keyed_hash(question.token.encode("ascii"))
        principal = replace(grant.principal, token_key=token_key)
        try:
            fields = self._profile.service_fields(principal)
        except ValueError:
            return Refusal("service_token_invalid")
        if self._service_roles.isdisjoint(principal.roles):
            return Refusal("service_token_invalid")
        return Accepted(
            clock.monotonic + self._lifetime(place, question) - grant.age,
            principal.expires_at if principal.expires_at is not None else inf,
            principal,
            fields,
            Note("token_accepted", ("providers", place), {}),
            self._forward,
            grant.rules,
            self._twin_key(question.token),
        )

    def _vouched(self, exchange: Exchange, token: bytes, accepted: Accepted) -> Verdict | Awaitable[Verdict]:
        rules = accepted.rules
        if isinstance(rules, AccessRules) and not rules.allow(exchange.method, exchange.path):
            self._unvouch(exchange)
            return self._no_principal(exchange, "token_restricted", _place(accepted.note))
        exchange.request.headers.extend(accepted.fields)
        return self._for_user(exchange, token, beside=True)

    def _for_user(self, exchange: Exchange, token: bytes, *, beside: bool) -> Verdict | Awaitable[Verdict]:
        if not token:
            return self._no_principal(exchange, "token_missing", None)
        if len(token) > _TOKEN_MAX or not token.isascii():
            return self._no_principal(exchange, "token_invalid", None)
        cache = self._beside if beside else self._cache
        question = _Question(cache, cache.digest(token), token.decode("ascii"), cache.epoch, None, beside)
        return self._judge(exchange, question)

    def _refuse_service(
        self, exchange: Exchange, question: _Question, refusal: Refusal, place: int | None
    ) -> Verdict:
        self._remember_no(exchange.clock, question, Refusal("service_token_invalid", refusal.lasting), place)
        return self._no_service(exchange, place)

    def _no_service(self, exchange: Exchange, place: int | None) -> Verdict:
        """A request that somebody vouches for who may not is refused, however good the user's token is."""
        self._unvouch(exchange)
        return self._no_principal(exchange, "service_token_invalid", place)

    def _unvouch(self, exchange: Exchange) -> None:
        """Takes away a service's token that is not good for the request; one that goes on all the same is marked."""
        headers = exchange.request.headers
        headers.remove(_SERVICE_TOKEN)
        if self.config.delay_auth_decision:
            headers.extend(self._profile.service_invalid)

    def _judge(self, exchange: Exchange, question: _Question) -> Verdict | Awaitable[Verdict]:
        """By what is remembered, where that is enough."""
        cache, key, clock = question.cache, question.key, exchange.clock
        accepted = cache.accepted.get(key)
        if accepted is not None:
            if clock.monotonic < accepted.until and clock.wall < accepted.expires:
                return self._pass(exchange, accepted)
            stale = self._forget(cache, key, accepted, exchange)
            return self._ask_anew(exchange, question._replace(stale=stale))
        refused = cache.refused.get(key)
        if refused is not None and clock.monotonic < refused.until:
            return self._no_principal(exchange, refused.reason, refused.place)
        return self._ask_anew(exchange, question)

    def _ask_anew(self, exchange: Exchange, question: _Question) -> Verdict | Awaitable[Verdict]:
        """By what another worker has learned, where that is enough; else all providers are asked."""
        known, question = self._learned(exchange, question)
        if known is not None:
            return self._pass(exchange, known)
        return self._ask(exchange, question, 0, None)

    def _learned(self, exchange: Exchange, question: _Question) -> tuple[Accepted | None, _Question]:
        """What another worker has learned, remembered here too; where that is past its time, None, and it may stand in."""
        common, clock = self._common, exchange.clock
        if common is None:
            return None, question
        # Where something stands in already, only what is good is better.
        found = common.find(question.name, -inf if question.stale is None else clock.monotonic - self._ttl)
        if found is None:
            return None, question
        place, grant = found
        assert grant.asked is not None
        grant = self._providers[place].restored(replace(grant, age=clock.monotonic - grant.asked))
        accepted = self._made(clock, question, place, grant)
        if isinstance(accepted, Refusal) or clock.wall >= accepted.expires:
            return None, question
        good = clock.monotonic < accepted.until
        if not good and clock.monotonic >= accepted.until + self._stale_for:
            return None, question
        self._remember(clock, question, accepted)
        return (accepted, question) if good else (None, question._replace(stale=accepted))

    def _tell(self, question: _Question, place: int, grant: Grant, accepted: Accepted) -> None:
        """Has the other workers know it."""
        if self._common is not None:
            keys = (accepted.principal.token_key, accepted.twin_key)
            self._common.keep(question.name, place, grant, *(key for key in keys if key is not None))

    def _forget(
        self, cache: TokenCache, key: bytes, accepted: Accepted, exchange: Exchange
    ) -> Accepted | None:
        """What is past its time; it is kept, and given back, where it may yet stand in while nobody can judge."""
        clock = exchange.clock
        if clock.monotonic < accepted.until + self._stale_for and clock.wall < accepted.expires:
            return accepted
        cache.accepted.drop(key)
        return None

    def _ask(
        self, exchange: Exchange, question: _Question, first: int, failure: tuple[Unavailable, int] | None
    ) -> Verdict | Awaitable[Verdict]:
        """Asks the providers from `first` on; `failure` is an earlier one that could not judge."""
        for place in range(first, len(self._providers)):
            provider = self._providers[place]
            if question.proofs is None:
                proof = question.token if provider.needs_token else None
            else:
                proof = question.proofs[place]
            if proof is None:
                continue
            # What stands in does not wait for one who is left alone, and who is asked all the same: to hear when he is back.
            spared = provider.left_alone and question.fallback() is not None
            if question.beside and provider.judges_expired:
                answer = provider.look_up_expired(question.token, exchange)
            else:
                answer = provider.look_up(proof, exchange)
            if isawaitable(answer):
                if not spared:
                    return self._wait(answer, exchange, question, place, failure)
                self._pending.tell(answer, partial(self._learn, exchange.clock, question, place))
                answer = Unavailable(1)
            if isinstance(answer, Unavailable):
                failure = failure or (answer, place)
            elif answer is not None:
                return self._answered(exchange, question, place, answer)
        if failure is not None:
            return self._unavailable(exchange, question, *failure)
        return self._refuse(exchange, question, Refusal(self._unknown(question)), None)

    def _unknown(self, question: _Question) -> str:
        """The reason where nobody knows what the request brings: the token's, where there is one."""
        if not question.token and question.proofs is not None:
            for provider, proof in zip(self._providers, question.proofs, strict=True):
                if proof is not None:
                    return _UNKNOWN.get(provider.kind, "token_invalid")
        return "token_invalid"

    async def _wait(
        self,
        pending: Awaitable[Answer],
        exchange: Exchange,
        question: _Question,
        place: int,
        failure: tuple[Unavailable, int] | None,
    ) -> Verdict:
        learn = partial(self._learn, exchange.clock, question, place)
        answer = await self._in_time(pending, question, learn)
        if isinstance(answer, Unavailable):
            failure = failure or (answer, place)
        elif answer is not None:
            return self._answered(exchange, question, place, answer)
        verdict = self._ask(exchange, question, place + 1, failure)
        return await verdict if isawaitable(verdict) else verdict

    async def _in_time(
        self, pending: Awaitable[Answer], question: _Question, learn: Callable[[Answer], object]
    ) -> Answer:
        """The answer; where something may stand in, it is not waited for much longer than a service that is well takes."""
        if question.fallback() is None:
            return await pending
        try:
            return await self._pending.within(_PATIENCE, pending, learn)
        except TimeoutError:
            return Unavailable(1)

    def _learn(self, clock: Instant, question: _Question, place: int, answer: Answer) -> Accepted | None:
        """Remembers what the provider at `place` has said of what was asked at `clock`, and what is to be had by it.

        It may be said late: what has been revoked meanwhile is remembered nowhere.
        """
        if isinstance(answer, Unavailable):
            return None
        if answer is None:
            kept = question.cache.accepted.get(question.key)
            if kept is not None and _place(kept.note) == place:  # he has vouched for it before
                question.cache.accepted.drop(question.key)
            if self._common is not None:
                self._common.drop(question.name, place)
            return None
        if not isinstance(answer, Refusal):
            grant = answer if isinstance(answer, Grant) else Grant(answer)
            accepted = self._made(clock, question, place, grant)
            if isinstance(accepted, Accepted):
                self._remember(clock, question, accepted)
                self._tell(question, place, grant, accepted)
                return accepted
            answer = accepted
        if question.cache is self._vouching:
            answer = Refusal("service_token_invalid", answer.lasting)
        self._remember_no(clock, question, answer, place)
        return None

    def _answered(
        self, exchange: Exchange, question: _Question, place: int, answer: Principal | Grant | Refusal
    ) -> Verdict:
        if isinstance(answer, Refusal):
            return self._refuse(exchange, question, answer, place)
        accepted = self._learn(exchange.clock, question, place, answer)
        if accepted is None:
            return self._no_principal(exchange, "token_invalid", place)
        fresh = {**accepted.note.facts, "cached": False}
        return self._pass(exchange, accepted._replace(note=accepted.note._replace(facts=fresh)))

    def _made(self, clock: Instant, question: _Question, place: int, grant: Grant) -> Accepted | Refusal:
        """All that a request needs of what a provider has said; a refusal where the upstream cannot be told of it."""
        if question.cache is self._vouching:
            return self._made_of_service(clock, question, place, grant)
        asked = self._providers[place]
        provider, by_token = asked.kind, asked.needs_token
        reason, proof = _ACCEPTED.get(provider, "token_accepted"), question.token
        if not by_token and question.proofs is not None:
            own = question.proofs[place] or ""
            proof = f"{provider if asked.header else 'certificate'} {own}"
        principal = replace(
            grant.principal,
            token_key=self.services.keyed_hash(proof.encode()),
            provider=grant.principal.provider or provider,
        )
        try:
            fields = self._profile.fields(principal, grant.catalog)
            travels = self._travelling(asked, question, place, grant)
            if travels:
                fields = Fields([*fields, *travels])
        except ValueError as error:
            self.services.warn("token_claims_unusable", provider=provider, field=str(error))
            return Refusal("token_invalid")
        # Of a token that may have expired, its end says nothing.
        ends = principal.expires_at if not (question.beside and asked.judges_expired) else None
        return Accepted(
            clock.monotonic + self._lifetime(place, question) - grant.age,
            ends if ends is not None else inf,
            principal,
            fields,
            Note(reason, ("providers", place), {"provider": provider, "cached": True}),
            # Beside a certificate that has decided, nobody has judged the token: it may be another caller's.
            self._forward and by_token,
            grant.rules if grant.tenants is None else TenantScope(grant.tenants, grant.catalog),
            self._twin_key(question.token) if by_token else None,
        )

    def _twin_key(self, token: str) -> str | None:
        other = twin(token)
        return None if other is None else self.services.keyed_hash(other.encode("ascii"))

    def _travelling(
        self, asked: Provider, question: _Question, place: int, grant: Grant
    ) -> list[tuple[bytes, bytes]]:
        """What goes on in place of the proof: the token that was got by it, or a key that is to go on."""
        lines = []
        if grant.token is not None and self._forward:
            lines.append(encoded(self.config.header, grant.token))
        if asked.header and asked.forwards and question.proofs is not None:
            lines.append(encoded(asked.header, question.proofs[place] or ""))
        return lines

    def _remember(self, clock: Instant, question: _Question, accepted: Accepted) -> None:
        fresh = question.epoch == question.cache.epoch  # else it may have been revoked since it was asked
        if fresh and self._ttl > 0 and clock.wall < accepted.expires:
            question.cache.accepted.put(question.key, accepted)

    def _lifetime(self, place: int, question: _Question) -> float:
        """Seconds for which an answer of a provider is remembered: of one token as many each time, in each worker others."""
        if self._providers[place].pure:
            return self._ttl
        return self._ttl * (1 - self._jitter * question.key[0] / 255)

    def _pass(self, exchange: Exchange, accepted: Accepted) -> Verdict:
        _, _, principal, fields, note, forward, rules, _ = accepted
        if rules is not None:
            narrowed = self._narrowed(exchange, principal, fields, rules)
            if isinstance(narrowed, str):
                return self._no_principal(exchange, narrowed, _place(note))
            principal, fields = narrowed
        exchange.principal = principal
        headers = exchange.request.headers
        if not forward:
            headers.remove(self._header)
        headers.extend(fields)
        exchange.trail.append(note)  # what exchange.note() does, without building the note again
        return None

    def _narrowed(
        self, exchange: Exchange, principal: Principal, fields: Fields, rules: AccessRules | TenantScope
    ) -> tuple[Principal, Fields] | str:
        """What of a token the request may have, and how the upstream is told; or the reason why it may have nothing."""
        if isinstance(rules, AccessRules):
            if rules.allow(exchange.method, exchange.path):
                return principal, fields
            return "token_restricted"
        tenant = rules.rules.named(exchange)
        if tenant is None:
            return "tenant_forbidden"
        known = rules.known.get(tenant)
        if known is not None:
            return known
        narrow = rules.rules.narrowed(principal, tenant)
        if narrow is None:
            return "tenant_forbidden"
        try:
            made = narrow, self._profile.fields(narrow, rules.catalog, chosen=narrow.project_id is not None)
        except ValueError as error:
            self.services.warn("token_claims_unusable", provider=principal.provider, field=str(error))
            return "token_invalid"
        if rules.rules.bounded(principal):
            rules.remember(tenant, made)
        return made

    def _refuse(
        self, exchange: Exchange, question: _Question, refusal: Refusal, place: int | None
    ) -> Verdict:
        self._remember_no(exchange.clock, question, refusal, place)
        verdict = self._no_principal(exchange, refusal.reason, place)
        if refusal.retry_after and isinstance(verdict, Fault):
            verdict.retry_after = refusal.retry_after
        return verdict

    def _remember_no(self, clock: Instant, question: _Question, refusal: Refusal, place: int | None) -> None:
        question.cache.accepted.drop(question.key)
        if self._common is not None:
            self._common.drop(question.name)
        if refusal.lasting and self._negative_ttl > 0:
            question.cache.refused.put(
                question.key, Refused(clock.monotonic + self._negative_ttl, refusal.reason, place)
            )

    def _unavailable(
        self, exchange: Exchange, question: _Question, failure: Unavailable, place: int
    ) -> Verdict:
        stale = question.fallback()
        if stale is not None:
            reason, rule, facts = stale.note
            note = Note(reason, rule, {**facts, "stale": True})
            return self._pass(exchange, stale._replace(note=note))
        if self.config.delay_auth_decision:
            return self._invalid(exchange, "provider_unavailable", place)
        status, message = _ANSWERS["provider_unavailable"]
        return Fault(
            status,
            "provider_unavailable",
            message,
            rule=("providers", place),
            retry_after=max(1, failure.retry_after),
        )

    def _no_principal(self, exchange: Exchange, reason: str, place: int | None) -> Verdict:
        if self.config.delay_auth_decision:
            return self._invalid(exchange, reason, place)
        return self._unauthorized(reason, place)

    def _invalid(self, exchange: Exchange, reason: str, place: int | None) -> Verdict:
        """Lets a request go on without a principal, marked so; one that an earlier filter has found would say another thing."""
        exchange.principal = None
        status, message = _ANSWERS.get(reason, _ANSWERS["token_invalid"])
        exchange.request.headers.extend(self._profile.invalid(status, message))
        exchange.note(
            "auth_decision_delayed", rule=("delay_auth_decision",), because=reason, provider=self._kind(place)
        )
        # Whatever else it is taken for, a service's token never goes on that is not good.
        if not self._forward or self._header == _SERVICE_TOKEN:
            exchange.request.headers.remove(self._header)
        return None

    def _kind(self, place: int | None) -> str | None:
        return None if place is None else self._providers[place].kind

    def _unauthorized(self, reason: str, place: int | None) -> Fault:
        status, message = _ANSWERS.get(reason, _ANSWERS["token_invalid"])
        return Fault(
            status,
            reason,
            message,
            rule=("providers",) if place is None else ("providers", place),
            headers=()
            if status != 401
            else self._challenge
            if reason == "token_missing"
            else self._objection,
        )


def _proves(provider: Provider, headers: Fields) -> bool:
    """Whether a request has a proof for the provider in a field of its own."""
    return bool(provider.header) and any(
        provider.proof(value.encode("latin-1")) is not None for value in headers.all(provider.header)
    )


def _place(note: Note) -> int | None:
    """The number of the provider that a note is of."""
    place = note.rule[1]
    return place if isinstance(place, int) else None


def _provider(
    options: ProviderOptions,
    number: int,
    services: Services,
    changed: Callable[[bool], None],
    revoked: Callable[[Revocation], None],
    shared: "SharedCache | None",
    headers: ProfileName,
    inherited: float,
) -> Provider:
    """The provider of one entry; ValueError says what is wrong, and where.

    `changed` is for it to call when it trusts others than before, with True where it no longer trusts one; `revoked` when
    it hears that somebody is to be judged anew. `headers` are how the upstream is told. What is had from others is at most
    `inherited` seconds old.
    """
    place = f"providers[{number}]"
    try:
        if options.static is not None:
            from filters.token_auth.static import Static

            place += ".static"
            return Static(options.static, services)
        if options.mtls is not None:
            from filters.token_auth.mtls import Mtls

            place += ".mtls"
            return Mtls(options.mtls, services)
        if options.keystone is not None:
            from filters.token_auth.keystone import Keystone

            place += ".keystone"
            keystone = options.keystone
            if keystone.groups is None and headers == "repose":
                keystone = keystone.model_copy(update={"groups": "names"})
            return Keystone(keystone, services, shared, revoked, inherited)
        if options.basic is not None:
            from filters.token_auth.basic import Basic

            place += ".basic"
            return Basic(options.basic, services)
        if options.api_key is not None:
            from filters.token_auth.api_key import ApiKeys

            place += ".api_key"
            return ApiKeys(options.api_key, services)
        if options.introspection is not None:
            from filters.token_auth.introspection import Introspection

            place += ".introspection"
            return Introspection(options.introspection, services, shared)
        if options.keystone_v2 is not None:
            from filters.token_auth.keystone_v2 import KeystoneV2

            place += ".keystone_v2"
            return KeystoneV2(options.keystone_v2, services, shared)
        # Its cryptography costs a tenth of a second to import, so that only those pay who verify signatures.
        from filters.token_auth.jwt import FetchedJwt, Jwt

        assert options.jwt is not None
        place += ".jwt"
        if options.jwt.keys is None:
            return FetchedJwt(options.jwt, services, changed)
        return Jwt(options.jwt, services)
    except OptionError as error:
        kind = place.rpartition(".")[2]
        raise OptionError(("providers", number, kind, *error.rule), *error.messages) from None
    except ValueError as error:
        raise ValueError(f"{place}.{error}") from None


def _inherited(options: CacheOptions) -> float:
    """Seconds that what other workers or gateways have learned can be old when it is had from them."""
    if not options.common and options.shared is None:
        return 0.0
    return options.ttl + (options.stale_if_error if options.common else 0.0)


def _shared_cache(options: CacheOptions, services: Services) -> "SharedCache | None":
    if options.shared is None or options.ttl <= 0:
        return None
    from filters.token_auth.shared_cache import Marks, SharedCache

    sharing, ttl = options.shared, options.ttl
    try:
        # Held by each plan, not by the first alone.
        store = services.store("shared tokens", sharing)
        # With other options here, the names in the store may be the same: what is owed to it is found by all of this entry.
        shelf = services.shelf("owed marks", of_any=True)
        marks = services.state("shared marks", lambda: Marks(shelf))
        # The client is another where one of its files has changed, and the first is closed then. As long as there is a cache that
        # stands on a client, no other has its id.
        name = f"memo shared cache {services.keyed_hash(FORM)} {id(store):x}"
        return services.state(name, lambda: SharedCache(sharing, ttl, services, store, marks))
    except OptionError as error:
        raise OptionError(("cache", "shared", *error.rule), *error.messages) from None


def _common_cache(config: TokenAuthConfig, trusted: str, services: Services) -> CommonCache | None:
    cache = config.cache
    asks = any(one.keystone or one.keystone_v2 or one.introspection or one.basic for one in config.providers)
    if not (asks and cache.common) or cache.ttl <= 0:
        return None
    # Not by whoever makes the state: each plan that has it must hold what it stands on.
    shelf = services.shelf(f"tokens {trusted}")
    life = cache.ttl + cache.stale_if_error
    return services.state(f"common {trusted}", lambda: CommonCache(shelf, life, services))


def _params(config: TokenAuthConfig) -> dict[str, Rule]:
    """The path parameters that name a tenant."""
    params: dict[str, Rule] = {}
    for place, options in enumerate(config.providers):
        v2 = options.keystone_v2
        if v2 is not None and v2.tenant is not None and v2.tenant.param is not None:
            params[v2.tenant.param] = ("providers", place, "keystone_v2", "tenant", "param")
    return params


def _challenges(config: TokenAuthConfig) -> list[str]:
    """How clients may prove who they are (RFC 9110 section 11.6.1), each way once."""
    told: dict[str, None] = {}
    for options in config.providers:
        if options.basic is not None:
            told[f'Basic realm="{options.basic.realm}", charset="UTF-8"'] = None
        elif options.api_key is not None:
            told[f'ApiKey header="{options.api_key.header}"'] = None
        elif options.mtls is None:
            if config.header.lower() == "authorization":
                told[_BEARER] = None
                continue
            told["Keystone" if config.auth_url is None else f'Keystone uri="{config.auth_url}"'] = None
    return list(told) or ["Keystone"]
