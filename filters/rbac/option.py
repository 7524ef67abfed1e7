"""The options of `rbac`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from filters._names import Challenge, MethodName
from filters.rbac.role import RequiredRoles
from gateway.api import Fact, Options
from gateway.api.fact import METHOD, PARAMS, PRINCIPAL, TARGET
from gateway.api.regex import PathRegex
from gateway.http.template import parse


def _template(value: str) -> str:
    parse(value)
    return value


class RowOptions(Options):
    """Requests, and what is asked of who makes them."""

    path: Annotated[str, AfterValidator(_template)] | None = Field(
        None, description="Template of the paths, as routes have it: /v2/{project_id}/servers/{rest*}."
    )
    regex: PathRegex | None = Field(
        None,
        description="In place of `path`: a regular expression that the whole path must match. Where a table has one, a path "
        "of more than 2,048 characters is answered 414.",
    )
    methods: tuple[MethodName, ...] | None = Field(
        None,
        min_length=1,
        description="Methods of the requests; all when unset. No method implies another: list HEAD beside GET.",
    )
    roles: RequiredRoles = Field(
        description="A role, or a list of roles of which the principal has one; an expression of `all`, `any` and "
        "`not`; or `any` alone, for which no principal is needed. Case is ignored."
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> "RowOptions":
        if (self.path is None) == (self.regex is None):
            raise ValueError("a row has one of path and regex")
        return self


class RbacConfig(Options):
    rows: tuple[RowOptions, ...] = Field(min_length=1, description="The rows of the table.")
    match: Literal["first", "all"] = Field(
        "first",
        description="Which rows decide: the first one that has the path and the method; or all that have them, each of "
        "which must be satisfied.",
    )
    default: Literal["deny", "allow"] = Field(
        "deny", description="What becomes of a path that no row has: deny is 403."
    )
    mask: Literal[404] | None = Field(
        None, description="404 answers it in place of 403 and 405, so that nobody learns what there is."
    )
    project_param: str | None = Field(
        None,
        min_length=1,
        description="Parameter of the route's path, of a row's `path`, or group of its `regex`, whose value must be the "
        "project of the principal: 403 for another, and 401 without a principal.",
    )
    strip_prefixes: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        description="Prefixes that the project in the path may have beside the principal's own, such as `AUTH_`: the "
        "longest that it begins with is left out of the comparison.",
    )
    bypass_roles: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        description="Roles whose bearers may name any project; those of the row are asked of them all the same.",
    )
    challenge: Challenge | None = Field(
        None,
        description="WWW-Authenticate of the answer to who has no principal, such as Bearer or "
        'Keystone uri="https://identity.example.org/v3". Unset, that of a `token_auth` before it which delays the decision, '
        "and Keystone where there is none.",
    )

    @model_validator(mode="after")
    def _for_a_project(self) -> "RbacConfig":
        if self.project_param is None and (self.strip_prefixes or self.bypass_roles):
            raise ValueError("strip_prefixes and bypass_roles mean nothing without project_param")
        return self

    def reads(self) -> frozenset[Fact]:
        facts = {METHOD, TARGET, PRINCIPAL}
        if self.project_param is not None:
            facts.add(PARAMS)
        return frozenset(facts)
