"""Who is calling, as far as a provider could tell."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller behind a token. Ids and names are text of the identity service; None is unknown.

    roles       names, in the provider's order
    expires_at  seconds since the epoch, or None for never
    token_key   keyed hash of the token, hexadecimal: fit for caches and limits, never the token itself
    provider    name of the provider that vouched for it
    domain_id, domain_name  of the domain that the token is for, where it is for one and no project
    system_scope      "all" of a token for the whole system
    is_admin_project  whether the project is the admins' own; None where the provider knows of no such thing
    """

    user_id: str | None = None
    user_name: str | None = None
    user_domain_id: str | None = None
    user_domain_name: str | None = None
    project_id: str | None = None
    project_name: str | None = None
    project_domain_id: str | None = None
    project_domain_name: str | None = None
    roles: tuple[str, ...] = ()
    expires_at: float | None = None
    token_key: str | None = None
    provider: str = ""
    domain_id: str | None = None
    domain_name: str | None = None
    system_scope: str | None = None
    is_admin_project: bool | None = None
