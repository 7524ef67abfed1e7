"""Revocation: what has been remembered of somebody is forgotten, because it may hold no longer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol, runtime_checkable

from gateway.api.principal import Principal

_KEY: Final = b"\0key"
"""What is no token: its hash tells one key from another."""
_TOLD_APART: Final = 12


@dataclass(frozen=True, slots=True)
class Revocation:
    """Whose proofs of identity are to be judged anew: those that fit all that is given; everybody's where nothing is.

    token_key   keyed hash of a token, as records have it
    hashed_by   what tells the key of that hash from others, see `hashed_by`; empty where that is not known
    user_id, project_id  of the identity service
    audit_id    of a token, or of the one that it was got with
    domain_id   that the user or the project is in, or that the token is for
    """

    token_key: str | None = None
    user_id: str | None = None
    project_id: str | None = None
    audit_id: str | None = None
    domain_id: str | None = None
    hashed_by: str = ""

    def known_by(self, hashed_by: str) -> "Revocation":
        """The same for who knows tokens by the hashes of this key: where the token's is of another, it may be anybody's who fits in
        all else."""
        if self.token_key is None or self.hashed_by in ("", hashed_by):
            return self
        return replace(self, token_key=None)

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


def hashed_by(keyed_hash: Callable[[bytes], str]) -> str:
    """What tells the key of these hashes from others, and nothing else of it."""
    return keyed_hash(_KEY)[:_TOLD_APART]


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
