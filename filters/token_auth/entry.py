"""What is told of a token to others who would have to ask for it, and by which marks a revocation takes it from them."""

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any, Final

from filters.token_auth.access_rule import AccessRule, AccessRules
from filters.token_auth.provider import Grant
from gateway.api import Principal, Revocation

FORM: Final = " ".join(field.name for field in fields(Principal)).encode()
"""Who knows other things of a caller shares nothing."""
MAX_ENTRY: Final = 128 << 10
"""Bytes of an entry; a token with more to it is not shared."""

Mark = tuple[bytes, ...]
"""Whom a revocation takes: what it is of, and the value of that where there is one."""
EVERYBODY: Final[Mark] = (b"all",)


def mark_of(revocation: Revocation) -> Mark:
    """The narrowest mark that takes all who fit."""
    for kind, value in (
        (b"hash", revocation.token_key),
        (b"audit", revocation.audit_id),
        (b"user", revocation.user_id),
        (b"project", revocation.project_id),
        (b"domain", revocation.domain_id),
    ):
        if value is not None:
            return kind, value.encode("utf-8", "surrogatepass")  # as JSON may have it
    return EVERYBODY


def marks_of(principal: Principal, *token_keys: str) -> Iterator[Mark]:
    """All marks that take this caller; of his token, by its hash in each of its spellings."""
    yield EVERYBODY
    for token_key in token_keys:
        yield mark_of(Revocation(token_key=token_key))
    for audit_id in principal.audit_ids:
        yield mark_of(Revocation(audit_id=audit_id))
    if principal.user_id is not None:
        yield mark_of(Revocation(user_id=principal.user_id))
    projects = {
        principal.project_id,
        principal.default_project_id,
        *(each for _, each in principal.assignments),
    }
    for project in sorted(filter(None, projects)):
        yield mark_of(Revocation(project_id=project))
    domains = {principal.user_domain_id, principal.project_domain_id, principal.domain_id}
    for domain in sorted(filter(None, domains)):
        yield mark_of(Revocation(domain_id=domain))


def written(grant: Grant) -> dict[str, Any]:
    """For JSON: all but what its provider adds, its age, and the token that was got for it."""
    rules = grant.rules
    return {
        "principal": asdict(grant.principal),
        "catalog": grant.catalog,
        "rules": None if rules is None else [rules.service, rules.rules, rules.prefixes],
    }


def read(written: Any) -> Grant:
    """Raises TypeError, ValueError or LookupError where it is of another version."""
    told: dict[str, Any] = {name: _frozen(value) for name, value in written["principal"].items()}
    principal = Principal(**told)
    rules = written["rules"]
    made = None
    if rules is not None:
        service, several, prefixes = rules
        made = AccessRules([AccessRule(*rule) for rule in several], service, prefixes)
    return Grant(principal, written["catalog"], made)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
