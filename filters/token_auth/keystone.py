"""The provider `keystone`: asks an OpenStack Identity service, v3, whose a token is (GET /v3/auth/tokens).

Its 404 is a no: the token is unknown, expired, revoked or garbage. Its 401 and 403 speak of the gateway's own token and
never of the client's. Whatever else comes, or does not come, is no answer; nobody is refused for it, or let in.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from filters.token_auth.option import KeystoneOptions
from filters.token_auth.provider import Answer, Grant, Refusal
from filters.token_auth.remote import Memory, RemoteProvider, Trouble, segment, tellable
from filters.token_auth.revocation_event import EventReader, Seen
from filters.token_auth.service_token import ServiceToken
from filters.token_auth.spelling import issued_so
from filters.token_auth.token_document import MAX_CATALOG, read_document, read_groups
from gateway.api import Exchange, HttpAnswer, HttpOptions, Revocation, Services

if TYPE_CHECKING:
    from filters.token_auth.shared_cache import SharedCache

MAX_TOKEN: Final = 4096
"""Bytes. Keystone's tokens have some hundreds, and no server before it takes fields that are much longer."""

_EXPIRED = Refusal("token_expired")
_TOLD: Final = {"names": "name", "ids": "id"}
"""What of a group tells it, by the option."""


class Question(NamedTuple):
    """What Keystone is asked: of a token, whether it may have expired, and whether its user's groups matter."""

    token: str
    expired: bool
    groups: bool


class KeystoneMemory(Memory[Question]):
    """What outlives a reload: the gateway's own token too.

    told  whom to tell of a revocation, of all plans that ask this Keystone: one that drains still holds what a roll-back takes up,
          and each event is heard once
    """

    def __init__(self, options: KeystoneOptions) -> None:
        super().__init__(options.breaker)
        self.own = ServiceToken()
        self.seen = Seen()
        self.told: list[Callable[[Revocation], object]] = []

    def close(self) -> None:
        super().close()
        self.own.close()


class Keystone(RemoteProvider[Question]):
    """Asks for each token once, however many requests carry it; what it learns is remembered by the filter."""

    kind: ClassVar[str] = "keystone"
    judges_expired: ClassVar[bool] = True

    def __init__(
        self,
        config: KeystoneOptions,
        services: Services,
        shared: "SharedCache | None" = None,
        revoked: Callable[[Revocation], object] = lambda _: None,
        inherited: float = 0.0,
    ) -> None:
        """`inherited`: seconds that what other workers or gateways have learned, and this one may have from them, can be old."""
        self._config = config
        self.fingerprint = hashlib.sha256(repr(config).encode()).digest()
        name = f"keystone {self.fingerprint.hex()}"
        self._client = services.http(
            name,
            HttpOptions(
                config.url,
                config.tls,
                timeout=config.timeout,
                concurrency=config.concurrency,
                queue=config.concurrency * 16,
            ),
        )
        memory = services.state(name, lambda: KeystoneMemory(config))
        super().__init__(services, config.url, memory, shared)
        self._own = memory.own
        self._seen, self._told_to = memory.seen, memory.told
        self._tell = revoked
        self._heard = memory.seen.heard
        self._events = None
        if config.revocation_events is not None:
            every, ask = config.revocation_events, self._with_own_token
            self._events = EventReader(every, ask, memory.seen, services, self._revoked, inherited)
        self._precheck = None
        if config.jws is not None:
            # Its cryptography costs a tenth of a second to import, so that only those pay who verify signatures.
            from filters.token_auth.precheck import Precheck

            self._precheck = Precheck(config.jws, services)
            self.fingerprint = hashlib.sha256(self.fingerprint + self._precheck.fingerprint).digest()
        self._told = _TOLD.get(config.groups or "none")
        flags = [] if config.include_catalog else ["nocatalog"]
        self._path = "/auth/tokens" + _query(flags)
        self._path_expired = "/auth/tokens" + _query([*flags, "allow_expired=1"])

    def _revoked(self, revocation: Revocation) -> None:
        self._memory.revoke(revocation)
        for tell in self._told_to:
            tell(revocation)

    async def start(self) -> None:
        if self._events is None:
            return
        if self._heard != self._seen.heard:
            self._tell(Revocation())  # of what another has heard since this one has had its caches
        self._told_to.append(self._tell)
        self._events.start()

    async def close(self) -> None:
        if self._events is None:
            return
        self._events.close()
        if self._tell in self._told_to:
            self._told_to.remove(self._tell)

    def look_up(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        return self._look_up(token, exchange, groups=self._told is not None)

    def look_up_service(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        return self._look_up(token, exchange)

    def look_up_expired(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        """The same of a token that may have expired; for a request that a service vouches for."""
        return self._look_up(token, exchange, expired=True, groups=self._told is not None)

    def _look_up(
        self, token: str, exchange: Exchange, *, expired: bool = False, groups: bool = False
    ) -> Answer | Awaitable[Answer]:
        if len(token) > MAX_TOKEN or not token.isprintable() or not issued_so(token):
            return None
        if self._precheck is not None:
            early = self._precheck.judge(token, exchange.clock.wall, may_be_over=expired)
            if early is not None:
                return early.answer
        question = Question(token, expired, groups)
        return self._question(question, lambda: self._judge(question), len(token), token)

    async def _judge(self, question: Question) -> Answer:
        token, expired, wants_groups = question
        answer = self._read(await self._asked(token, expired), token, expired)
        if self._told is None or not wants_groups or not isinstance(answer, Grant):
            return answer
        groups = await self._groups(token, answer, self._told)
        return replace(answer, principal=replace(answer.principal, groups=groups))

    async def _groups(self, token: str, grant: Grant, told: str) -> tuple[str, ...]:
        """The user's groups, which Keystone tells everybody of himself (GET /v3/users/ID/groups), and a service of nobody.

        A token that has ended, or that may be used for some requests only, cannot ask.
        """
        user, expires = grant.principal.user_id, grant.principal.expires_at
        assert user is not None and expires is not None
        name = segment(user)
        if name is None:
            raise Trouble("it gave an id of a user that fits in no path", counts=False)
        alone = grant.rules is not None or expires <= self._services.now().wall
        asking = await self._own.get(self._client, self._config, self._services) if alone else token
        answer = await self._client.request(
            "GET",
            f"/users/{name}/groups",
            headers=(("X-Auth-Token", asking), ("Accept", "application/json")),
        )
        if answer.status in (401, 403):
            whose = "the gateway's own account may not be told" if alone else "the user may not be told"
            raise Trouble(f"{whose} the user's groups ({answer.status})", counts=False)
        if answer.status != 200:
            raise self._refused(answer)
        try:
            return read_groups(answer.body, told)
        except ValueError as error:
            # It may be this user's groups that are too many: nothing is wrong with Keystone then.
            raise Trouble(f"it gave groups that cannot be read: {error}", counts=False) from None

    async def _asked(self, token: str, expired: bool) -> HttpAnswer:
        """Keystone's answer, which speaks of the client's token."""
        answer = await self._with_own_token(
            self._path_expired if expired else self._path,
            ("X-Subject-Token", token),
            # Without it Keystone refuses tokens that have access rules: whoever asks could not know of them.
            ("OpenStack-Identity-Access-Rules", "1"),
        )
        if answer.status == 401:
            raise Trouble("it does not accept the gateway's own token")
        if answer.status == 403:
            raise Trouble(
                "the gateway's own account may not validate tokens (403): it lacks the role service"
            )
        return answer

    async def _with_own_token(self, path: str, *headers: tuple[str, str]) -> HttpAnswer:
        """The answer to a GET, with another token of the gateway's where it does not accept the first."""
        config, services, client, own = self._config, self._services, self._client, self._own
        more = (*headers, ("Accept", "application/json"))
        mine = await own.get(client, config, services)
        answer = await client.request("GET", path, headers=(("X-Auth-Token", mine), *more))
        if answer.status in (401, 403):
            mine = await own.other(client, config, services, mine)
            answer = await client.request("GET", path, headers=(("X-Auth-Token", mine), *more))
        return answer

    def _read(self, answer: HttpAnswer, token: str, expired: bool) -> Answer:
        if self._unknown(answer):
            return None  # its body may hold the whole token: it is not looked at
        if answer.status != 200:
            raise self._refused(answer)
        if answer.headers.get("x-subject-token", token) != token:
            raise Trouble("it answered for another token than it was asked for")
        config = self._config
        try:
            document = read_document(
                answer.body,
                service_type=config.service_type,
                provider=self.kind,
                prefixes=config.strip_prefixes,
            )
        except ValueError as error:
            raise Trouble(f"it gave an answer that cannot be read: {error}") from None
        principal = tellable(document.principal)
        assert principal.expires_at is not None
        if not expired and principal.expires_at <= self._services.now().wall:
            return _EXPIRED
        if config.include_catalog and document.catalog is None:
            self._services.warn(
                "catalog_left_out", because=f"it is empty, or longer than {MAX_CATALOG} bytes"
            )
        if document.rules is not None and config.service_type is None:
            self._services.warn("access_rules_unjudged", because="service_type is not set")
        return Grant(principal, document.catalog if config.include_catalog else None, document.rules)


def _query(flags: list[str]) -> str:
    return "?" + "&".join(flags) if flags else ""
