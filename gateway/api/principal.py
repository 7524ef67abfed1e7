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
    groups      of the user, as the provider names them and in its order
    assignments       (role, id of the project that it is held in, or None for every project), where a token is good for
                several projects; `roles` are then those held in `project_id`
    default_project_id  the project that such a token is for where a request names none
    default_region    where the user's resources are
    contact_id  of the user, in the books of whoever runs the cloud
    authenticated_by  how the user has proven who it is, such as PASSWORD
    audit_ids   that the identity service has given the token, and before it the one that it was got with
    impersonator_id, impersonator_name, impersonator_roles  who acts in the user's place, where somebody does
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
    groups: tuple[str, ...] = ()
    assignments: tuple[tuple[str, str | None], ...] = ()
    default_project_id: str | None = None
    default_region: str | None = None
    contact_id: str | None = None
    authenticated_by: tuple[str, ...] = ()
    impersonator_id: str | None = None
    impersonator_name: str | None = None
    impersonator_roles: tuple[str, ...] = ()
    audit_ids: tuple[str, ...] = ()
