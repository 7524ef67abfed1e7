"""Descriptions of APIs: api-validator and openapi-validator."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from gateway.config.problem import ConfigurationError, Problem
from gateway.description.model import Description
from gateway.description.read import read_description
from gateway.description.source import UNCHECKED_ASSERT, UNCHECKED_ROLE, UNCHECKED_XML, UNCHECKED_XPATH
from gateway.description.xml import role_names
from gateway.migration.draft import Chain, Condition
from gateway.migration.source import Element

_DEPTH: Final = 32
"""How deep JSON and XML may nest, as `max_depth` has it by default."""
_ALWAYS: Final = (
    "an empty segment of a path is one, and a slash at its end begins another: a path with either is answered 404 where the description "
    "has none such (400 at once for an empty segment, unless a route says `target: lenient`)",
)
"""What is told of every description."""
_BODY: Final = 1 << 20
"""Bytes; the largest body that is judged where the container has no limit."""

Asks = Callable[[Problem], bool]
"""Whether Repose has looked at what nobody here does."""

Beyond = Callable[[Description], Iterable[str]]
"""What is looked at here, and Repose has not looked at it."""


def api_validator(config: Element, chain: Chain) -> None:
    """`api-validator`: an `api` for each validator, by the roles that it is for."""
    rest = _delegating(config, chain)
    if config.flag("multi-role-match"):
        chain.left(config, "multi-role-match: the first validator whose role the caller has decides")
    validators = config.all("validator")
    default = next(iter([one for one in validators if one.flag("default")]), None)  # of each it is read
    earlier: list[str] = []
    named: list[str] = []
    own: list[Condition] = []
    for one in validators:
        roles = role_names(one.get("role"))
        if one is default:
            own = _for(roles, earlier) if roles else []
        elif roles:
            _validator(one, chain, _for(roles, earlier), rest)
            named += [role for role in roles if role not in named]
        else:
            one.forget()
            chain.left(one, "a validator for no role, which nobody comes to")
        earlier += [role for role in roles if role not in earlier]
    if named:
        chain.differs(
            config, "the roles that choose a validator are compared without regard to case (`role` of `when`)"
        )
    unknown = bool(named) and not chain.knows_roles(config)
    if unknown and default is not None:
        chain.left(
            config, "without roles the default validator would judge those too who have one of their own"
        )
        chain.refuse(config.place)
    if default is not None:
        others: list[Condition] = [{"not": {"role": named}}] if named else []
        _validator(default, chain, [{"any": [*own, *others]}] if own and others else others, rest)
    elif named:
        rows = [{"path": "/{rest*}", "roles": named}]
        chain.add("rbac", {"rows": rows}, config.place, rest=rest)
    else:
        chain.left(config, "there is no validator that anybody comes to")
        chain.refuse(config.place)


def _for(roles: list[str], earlier: list[str]) -> list[Condition]:
    condition: Condition = {"role": roles}
    if earlier:
        condition["not"] = {"role": list(earlier)}
    return [condition]


def _validator(element: Element, chain: Chain, when: list[Condition], rest: dict[str, Any]) -> None:
    element.ignore(*_AS_EVER)
    wadl, roles = element.get("wadl"), element.flag("enable-rax-roles")
    asked = {
        UNCHECKED_XPATH: element.flag("check-plain-params"),
        UNCHECKED_XML: element.flag("check-xsd-grammar") or element.flag("check-grammars"),
        UNCHECKED_ASSERT: element.flag("enable-assert-extension", True)
        or element.flag("enable-pre-process-extension", True),
        UNCHECKED_ROLE: roles,
    }
    if not wadl:
        element.forget()
        chain.left(element, "a description that stands in the validator: put it into a file of its own")
        chain.refuse(element.place, when=when)
        return
    if element.flag("mask-rax-roles-403"):
        chain.left(element, "mask-rax-roles-403: a role that is missing is 403")
    _add(
        element,
        wadl,
        "check" if roles else "ignore",
        chain,
        when,
        rest,
        lambda problem: asked.get(problem.code, True),
        lambda description: _beyond(description, element),
    )


def _beyond(description: Description, element: Element) -> Iterator[str]:
    """What the description asks for that Repose, without an option, has let pass, and `api` does not."""
    operations = [one for resource in description.resources for one in resource.operations]
    bodies = [media for operation in operations for media in operation.media]
    # A grammar of JSON is a file of its own.
    of_grammars = {
        description.places[check.schema].file != description.file
        for media in bodies
        for check in media.checks
    }
    wheres = {parameter.where for operation in operations for parameter in operation.parameters}
    forms = {media.form for media in bodies}
    if "query" in wheres:
        yield _BEYOND.format("no option has Repose look at the query", _QUERY)
    # Each with those options that bring it along.
    for asked, option, what, others in (
        ("header" in wheres, "check-headers", "header fields that are required, and the types of all", ()),
        ("json" in forms, "check-well-formed", "JSON to be well-formed", ("check-grammars",)),
        ("xml" in forms, "check-well-formed", "XML to be well-formed", _OF_XML),
        (True in of_grammars, "check-grammars", "bodies to fit the JSON Schema", ()),
        (
            False in of_grammars,
            "check-plain-params",
            "required parts of bodies (parameters of style plain)",
            (),
        ),
        (any(media.root for media in bodies), "check-elements", "the root element of XML", ()),
    ):
        if asked and not any(element.flag(name) for name in (option, *others)):
            yield _BEYOND.format(f"{option} is not set", what)


def _of_bodies(description: Description) -> Iterator[str]:
    """What `api` refuses of bodies whatever it is told, and no option has had Repose refuse."""
    operations = [one for resource in description.resources for one in resource.operations]
    forms = {media.form for one in operations for media in one.media}
    if any(one.body_required for one in operations):
        yield "a request without a body, where one is described, is answered 400"
    if "json" in forms:
        yield (
            f"JSON that nests more than {_DEPTH} deep (`max_depth`), names a member of an object twice, or holds a number beyond a "
            "double is answered 400"
        )
    if "xml" in forms:
        yield f"XML that nests more than {_DEPTH} deep (`max_depth`), or has a document type, is answered 400"
    if forms & {"json", "xml"}:
        yield (
            "a body with a Content-Encoding is answered 415, for it is not looked into: a `compression` before this entry decodes it"
        )


_QUERY: Final = "parameters of the query that are required, and the types of all"

_OF_XML: Final = ("check-grammars", "check-xsd-grammar", "check-elements", "check-plain-params")

_BEYOND: Final = (
    "{}, so that requests have passed which `api` refuses (400): it asks for {}; have this entry in shadow first (`mode: shadow`), and see "
    "`weir shadow report`"
)

_AS_EVER: Final = (
    *("@check-well-formed", "@check-elements", "@check-headers", "@do-xsd-grammar-transform", "@remove-dups"),
    *("@xpath-version", "@xsl-engine", "@xsd-engine", "@enable-ignore-xsd-extension", "@join-xpath-checks"),
    *("@enable-api-coverage", "@dot-output", "@validate-checker", "@validator-name", "@use-saxon"),
    *("@disable-saxon-byte-code-gen", "@use-xpath2", "@jmx-reset-time", "@name"),
)
"""What is looked at whether or not Repose was told to, and what says how Repose goes about it."""


def openapi_validator(config: Element, chain: Chain) -> None:
    """`openapi-validator`: an `api`."""
    chain.differs(config, "Accept is not judged: what the service cannot answer with, it says itself (406)")
    href = config.required("href")
    _add(config, href, "check", chain, [], {}, lambda problem: True, lambda description: ())


def _add(
    element: Element,
    href: str,
    roles: str,
    chain: Chain,
    when: list[Condition],
    rest: dict[str, Any],
    asks: Asks,
    beyond: Beyond,
) -> None:
    """An `api`; a refusal in its place where Repose has looked at more of requests than it does."""
    installation = chain.draft.installation
    name = installation.named(href)
    if name is None:
        chain.left(
            element, f"{href!r} is not a file of this directory: put the description beside the configuration"
        )
        chain.refuse(element.place, when=when)
        return
    try:

        def content(file: str, /, *, beside: str | None = None) -> bytes:
            return installation.content(file, element.place, beside)

        description = read_description(name, content)
    except ConfigurationError as error:
        chain.left(element, f"the description: {error.problems[0]}")
        chain.refuse(element.place, when=when)
        return
    lost = [problem for problem in description.unchecked if asks(problem)]
    for problem in lost:
        chain.left(element, f"Repose has looked at this, and `api` does not: {problem}")
    limit = chain.draft.body_limit
    options = {
        "description": os.path.relpath(installation.directory / name, chain.draft.beside),
        "roles": roles,
        "max_size": limit[0] if limit is not None else _BODY,
    }
    if lost:
        chain.refuse(element.place, when=when)
        return
    if description.unchecked:
        options["unchecked"] = "allow"
        for problem in description.unchecked:
            chain.differs(
                element, f"not looked at, as in Repose with these options (`unchecked: allow`): {problem}"
            )
    for text in (*_ALWAYS, *_of_bodies(description), *beyond(description)):
        chain.differs(element, text)
    if roles == "check" and _asks_for_roles(description):
        chain.knows_roles(element)
    chain.differs(
        element,
        "a request is held against the whole description, in one order (path, method, media type, roles, parameters, form, schema)",
    )
    chain.differs(element, f"a body of more than {options['max_size']} bytes is answered 413 (`max_size`)")
    chain.add("api", options, element.place, when=when, rest=rest)


def _asks_for_roles(description: Description) -> bool:
    return any(
        operation.roles is not None for resource in description.resources for operation in resource.operations
    )


def _delegating(config: Element, chain: Chain) -> dict[str, Any]:
    element = config.first("delegating")
    if element is None:
        return {}
    element.forget()
    return {"mode": "shadow", "delegate": chain.quality(element, default=0.3)}
