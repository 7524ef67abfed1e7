"""Descriptions of APIs: api-validator and openapi-validator."""

import os
from typing import Any, Final

from gateway.config.problem import ConfigurationError
from gateway.description.read import read_description
from gateway.migration.draft import Chain, Condition
from gateway.migration.source import Element

_BODY: Final = 1 << 20
"""Bytes; the largest body that is judged where the container has no limit."""


def api_validator(config: Element, chain: Chain) -> None:
    """`api-validator`: an `api` for each validator, by the roles that it is for."""
    rest = _delegating(config, chain)
    if config.flag("multi-role-match"):
        chain.left(config, "multi-role-match: the first validator whose role the caller has decides")
    validators = config.all("validator")
    default = next((one for one in validators if one.flag("default")), None)
    named: list[str] = []
    for one in validators:
        one.forget()
        roles = one.words("role")
        if one is not default:
            _validator(one, chain, _for(roles, named), rest)
            named += [role for role in roles if role not in named]
    if default is not None:
        _validator(default, chain, [{"not": {"role": named}}] if named else [], rest)
    elif named:
        rows = [{"path": "/{rest*}", "roles": named}]
        chain.add("rbac", {"rows": rows}, config.place, rest=rest)


def _for(roles: list[str], earlier: list[str]) -> list[Condition]:
    condition: Condition = {"role": roles}
    if earlier:
        condition["not"] = {"role": list(earlier)}
    return [condition]


def _validator(element: Element, chain: Chain, when: list[Condition], rest: dict[str, Any]) -> None:
    wadl = element.get("wadl")
    if not wadl:
        chain.left(element, "a description that stands in the validator: put it into a file of its own")
        return
    if element.flag("mask-rax-roles-403"):
        chain.left(element, "mask-rax-roles-403: a role that is missing is 403")
    _add(element, wadl, "check" if element.flag("enable-rax-roles") else "ignore", chain, when, rest)


def openapi_validator(config: Element, chain: Chain) -> None:
    """`openapi-validator`: an `api`."""
    _add(config, config.required("href"), "check", chain, [], {})


def _add(
    element: Element, href: str, roles: str, chain: Chain, when: list[Condition], rest: dict[str, Any]
) -> None:
    installation = chain.draft.installation
    name = installation.named(href)
    if name is None:
        chain.left(
            element, f"{href!r} is not a file of this directory: put the description beside the configuration"
        )
        return
    try:
        read_description(name, lambda file: installation.content(file, element.place))
    except ConfigurationError as error:
        chain.left(element, f"the description: {error.problems[0]}")
        return
    limit = chain.draft.body_limit
    options = {
        "description": os.path.relpath(installation.directory / name, chain.draft.beside),
        "roles": roles,
        "unchecked": "allow",
        "max_size": limit[0] if limit is not None else _BODY,
    }
    chain.differs(
        element,
        "a request is held against the whole description, in one order (path, method, media type, roles, parameters, form, schema); "
        "of XML no more is asked than that it is well-formed, and what is not looked at is told when the configuration is loaded",
    )
    chain.differs(element, f"a body of more than {options['max_size']} bytes is answered 413 (`max_size`)")
    chain.add("api", options, element.place, when=when, rest=rest)


def _delegating(config: Element, chain: Chain) -> dict[str, Any]:
    element = config.first("delegating")
    if element is None:
        return {}
    element.forget()
    return {"mode": "shadow", "delegate": element.number("quality", 0.3)}
