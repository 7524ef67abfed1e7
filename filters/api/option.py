"""The options of `api`."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from filters._names import Challenge
from gateway.api import Fact, Options, Size
from gateway.api.fact import LENGTH, METHOD, TARGET
from gateway.description.include import included
from gateway.http.template import parse


def _base(value: str) -> str:
    if value and any(segment.name for segment in parse(value.rstrip("/") or "/")):
        raise ValueError("a path without parameters, such as /v2, is expected")
    return value


class ResponseOptions(Options):
    """Which answers are held against the description, in shadow."""

    percent: float = Field(1.0, gt=0, le=100, description="Share of the answers.")
    max_size: Size = Field(
        "256KiB",
        validate_default=True,
        description="Largest body that is looked at; of a larger one only the rest is.",
    )


class ApiConfig(Options):
    description: str = Field(
        min_length=1,
        description="File with the description: OpenAPI 3.0 or 3.1, in YAML or JSON, or WADL. What it refers to must stand "
        "in it; a WADL may include grammars, XML Schema or JSON Schema, from files beside it or below. More than 50,000 schemas, "
        "each counted as often as something else is made of it, stop the start, and so do more than 150,000 compiled ones, which are "
        "all that bodies and parameters reach, with those that say why a value does not fit.",
    )
    base: Annotated[str, AfterValidator(_base)] | None = Field(
        None,
        description="Where its paths begin, such as /v2; the empty text for nowhere. By default the paths of its servers, or "
        "of a WADL's `base`.",
    )
    roles: Literal["check", "ignore"] = Field(
        "check",
        description="Whether callers need the roles that it asks for: scopes or roles of OpenAPI's `security`, "
        "`rax:roles` of a WADL.",
    )
    path_status: Literal[404, 400] = Field(
        404,
        description="Status where the path fits but for the value of a parameter: 404 as Repose answers, or 400.",
    )
    undeclared_query: Literal["pass", "refuse"] = Field(
        "pass",
        description="What becomes of a parameter of the query that it does not have: refuse is 400. One that is named like a member of "
        "an object, and is none, is 400 always.",
    )
    undeclared_body: Literal["pass", "refuse"] = Field(
        "pass", description="What becomes of a body where it has none: refuse is 400."
    )
    unchecked: Literal["refuse", "allow"] = Field(
        "refuse",
        description="Whether a description may ask more of requests than is looked at (cookies, schemas of forms and of XML, "
        "XPath beyond the simplest): refuse says what, and does not start; allow only warns.",
    )
    max_size: Size = Field(
        "112KiB",
        validate_default=True,
        description="Largest body that is read to be judged; a larger one is 413.",
    )
    max_depth: int = Field(32, ge=1, le=128, description="How deep JSON and XML may nest.")
    challenge: Challenge | None = Field(
        None,
        description="WWW-Authenticate of the 401 for who has no principal; that of `token_auth` when unset.",
    )
    validate_responses: ResponseOptions | None = Field(
        None,
        description="Holds answers against the description too; for an entry in shadow alone, since an answer that has been "
        "made helps nobody when it is withheld.",
    )

    def files(self) -> tuple[str, ...]:
        return (self.description,)

    def files_in(self, name: str, content: bytes) -> tuple[str, ...]:
        return included(name, content, self.description)

    def reads(self) -> frozenset[Fact]:
        return frozenset((METHOD, TARGET, LENGTH))
