"""Profiles: which fields tell an upstream who is calling, by what it is used to read.

Whatever the profile, the fields of all of them are stripped from what a client sends.
"""

from typing import Literal, Protocol, TypeAlias

from filters._identity import INVALID, SERVICE_INVALID, identity_fields, service_fields
from filters._repose import Repose, ReposeOptions
from gateway.api import Principal
from gateway.http.fields import Fields

ProfileName: TypeAlias = Literal["keystonemiddleware", "repose", "none"]


class Profile(Protocol):
    """What an upstream is told. Fields are built once for what is remembered, and appended to many requests.

    service_invalid  for a request that somebody vouches for who may not
    """

    service_invalid: Fields

    def fields(self, principal: Principal, catalog: str | None = None, *, chosen: bool = False) -> Fields:
        """Of a caller; unknown things are left out. `chosen`: the request names the project, and it has been judged.

        Raises ValueError, naming the field, for text that cannot travel.
        """

    def service_fields(self, principal: Principal) -> Fields:
        """Of a service that vouches for the request. Raises as `fields` does."""

    def invalid(self, status: int, message: str) -> Fields:
        """For a request that goes on though it would have been answered `status`, with a constant `message`."""


class Keystonemiddleware:
    """What OpenStack's services read."""

    service_invalid = SERVICE_INVALID

    def fields(self, principal: Principal, catalog: str | None = None, *, chosen: bool = False) -> Fields:
        return identity_fields(principal, catalog)

    def service_fields(self, principal: Principal) -> Fields:
        return service_fields(principal)

    def invalid(self, status: int, message: str) -> Fields:
        return INVALID


class Nothing:
    """For an upstream that is to know of nobody."""

    service_invalid = Fields()

    def fields(self, principal: Principal, catalog: str | None = None, *, chosen: bool = False) -> Fields:
        return self.service_invalid

    def service_fields(self, principal: Principal) -> Fields:
        return self.service_invalid

    def invalid(self, status: int, message: str) -> Fields:
        return self.service_invalid


def profile(name: ProfileName, repose: ReposeOptions, component: str) -> Profile:
    """The profile of a name; `component` is what the upstream is told to be the filter."""
    if name == "repose":
        return Repose(repose, component)
    return Keystonemiddleware() if name == "keystonemiddleware" else Nothing()
