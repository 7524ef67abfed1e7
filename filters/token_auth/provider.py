"""What a provider is: somebody who can be asked whether a token is good, and for whom."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, TypeAlias

from filters.token_auth.access_rule import AccessRules
from filters.token_auth.tenant import TenantRules
from gateway.api import Exchange, Principal


@dataclass(frozen=True, slots=True)
class Refusal:
    """A definite no: the provider knows the token and refuses it. No other provider is asked.

    lasting  False when the token may become valid by waiting, so that the no must not be remembered
    retry_after  seconds, where it is nobody's fault but the haste's: the answer is 429
    """

    reason: str
    lasting: bool = True
    retry_after: int = 0


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The provider cannot judge the token now, which says nothing of the token. Never remembered."""

    retry_after: int


@dataclass(frozen=True, slots=True)
class Grant:
    """A principal, and more that its provider knows of the token.

    catalog  JSON for X-Service-Catalog
    rules    the only requests that the token may be used for; None where there are no such rules
    tenants  how the request's tenant is found, where the principal depends on it
    token    one that was got by the client's proof, and goes to the upstream in its place
    age      seconds since the identity service was asked
    asked    the monotonic instant at which a service was; None where none was
    """

    principal: Principal
    catalog: str | None = None
    rules: AccessRules | None = None
    tenants: TenantRules | None = None
    token: str | None = None
    age: float = 0.0
    asked: float | None = field(default=None, compare=False)


Answer: TypeAlias = Principal | Grant | Refusal | Unavailable | None
"""None: not a token of this provider, the next one is asked."""


class Provider(Protocol):
    """Asked for a token that is not in the cache; for a client's certificate, with or without a token beside it.

    `look_up` answers at once where it can, and returns an awaitable only where it must ask over the network;
    such a provider joins concurrent questions for one token by itself. It never raises for a bad token.

    kind         its key in the configuration
    needs_token  whether it can say nothing of a request without a token
    header       lower-case name of the field in which a proof of its own comes; empty for the token, and for a certificate
    forwards     whether that field goes on to the upstream, once the provider has accepted what is in it
    pure         whether it needs no network
    judges_expired  whether it has `look_up_expired`: what it says of a token that may have expired
    left_alone   whether it has failed again and again, or has just not answered in time; where something else will do, its
                 answer is not waited for
    fingerprint  changes with whatever the provider trusts (tokens, keys), also where only a file's content
                 changed: what is remembered of tokens is dropped with it. What changes while the provider is in use
                 it tells the filter by the callback that it was made with
    """

    kind: ClassVar[str]
    needs_token: ClassVar[bool]
    pure: ClassVar[bool]
    judges_expired: ClassVar[bool]
    header: bytes
    forwards: bool
    fingerprint: bytes

    @property
    def left_alone(self) -> bool: ...

    def proof(self, value: bytes) -> str | None:
        """What of the value of `header` is to be looked up; None where that is meant for somebody else."""

    def look_up(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]: ...

    def look_up_expired(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]: ...

    def look_up_service(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        """As `look_up`, for a service that vouches for somebody else's request: only its roles and its name matter."""

    def restored(self, grant: Grant) -> Grant:
        """What another has learned of this provider's service, with all that the provider itself adds to it."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...


class LocalProvider:
    """Base of the providers that need no network."""

    needs_token: ClassVar[bool] = True
    pure: ClassVar[bool] = True
    judges_expired: ClassVar[bool] = False
    header: bytes = b""
    forwards: bool = False
    left_alone: ClassVar[bool] = False

    def proof(self, value: bytes) -> str | None:
        return None

    def look_up(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        raise NotImplementedError

    def look_up_service(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        return self.look_up(token, exchange)

    def look_up_expired(self, token: str, exchange: Exchange) -> Answer | Awaitable[Answer]:
        raise NotImplementedError  # judges_expired is False

    def restored(self, grant: Grant) -> Grant:
        return grant

    async def start(self) -> None:
        return

    async def close(self) -> None:
        return
