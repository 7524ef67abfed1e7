"""Revocation: what has been remembered of somebody is forgotten, because it may hold no longer."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gateway.api.principal import Principal


@dataclass(frozen=True, slots=True)
class Revocation:
    """Whose proofs of identity are to be judged anew: those that fit all that is given; everybody's where nothing is.

    token_key   keyed hash of a token, as records have it
    user_id, project_id  of the identity service
    audit_id    of a token, or of the one that it was got with
    domain_id   that the user or the project is in, or that the token is for
    """

    token_key: str | None = None
    user_id: str | None = None
    project_id: str | None = None
    audit_id: str | None = None
    domain_id: str | None = None

    def fits(self, principal: Principal) -> bool:
        return (
            self.token_key in (None, principal.token_key)
            and self.user_id in (None, principal.user_id)
            and (
                self.project_id in (None, principal.project_id, principal.default_project_id)
                or any(self.project_id == held_in for _, held_in in principal.assignments)
            )
            and (self.audit_id is None or self.audit_id in principal.audit_ids)
            and self.domain_id
            in (None, principal.user_domain_id, principal.project_domain_id, principal.domain_id)
        )


@runtime_checkable
class Revocable(Protocol):
    """State of a filter (`Services.state`) that holds what was learned of callers."""

    def revoke(self, revocation: Revocation) -> int:
        """Forgets what fits; how many entries those were. What is being asked meanwhile is not to be kept either."""


@runtime_checkable
class Owing(Protocol):
    """State of a filter that tells others of a revocation, by a store that they share, say."""

    async def owed(self) -> str | None:
        """Waits until they have been told of all that has been revoked: None; or why they could not be, in a few words."""
