"""What a description says of an API, whatever language it is written in.

Schemas are JSON Schema 2020-12, kept apart under a key each: they refer to one another, and to themselves, as
`#/$defs/KEY`. Those of parameters are of values that `Parameter` says how to make of text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from gateway.config.problem import Position, Problem
from gateway.http.media import MediaType

Segment: TypeAlias = tuple[str, ...]
"""A segment of a path: its literal texts, decoded, with the names of parameters between them. `("images",)` is a literal,
`("", "image_id", "")` a parameter, `("v", "major", ".json")` both."""

Roles: TypeAlias = tuple[frozenset[str], ...]
"""Sets of roles, in lower case, of which a caller must hold one whole; an empty set is held by whoever is known."""

Types: TypeAlias = frozenset[str]
"""Those of JSON Schema: string, integer, number, boolean, null, array, object."""

Numbers: TypeAlias = Literal["json", "decimal", "double"]

Space: TypeAlias = Literal["preserve", "replace", "collapse"]
"""What becomes of the white space of a text before it is judged (XML Schema 1.1 part 2, section 4.3.6)."""

ALL_TYPES: Final[Types] = frozenset(("string", "integer", "number", "boolean", "null", "array", "object"))


class Part(NamedTuple):
    """An item of a list, or a member of an object.

    types   that it may have
    schema  key of its schema where a text may stand for a value of another type and for itself too; None elsewhere
    """

    types: Types = ALL_TYPES
    schema: str | None = None


class Parameter(NamedTuple):
    """A parameter of a request.

    where      what it is a part of
    schema     key of the schema of its value; None where it may be anything
    form       how the value is written: as one text; as a list of texts, or as one text where `types` has any; as an object,
               each of whose members is given as `name[member]`; or as JSON
    separator  between the texts of a list; None where each has a parameter of its own
    types      that the value of one text may have
    item       each one of a list
    members    of an object: those that are known
    others     of an object: all that are not
    may_be_empty  whether it may stand without a value
    numbers    how they are written: as in JSON (RFC 8259 section 6), or as xsd:decimal or xsd:double (XML Schema 1.1 part 2,
               sections 3.3.3 and 3.3.5), whose integers may have a sign and zeros before them
    space      what becomes of white space in it
    """

    name: str
    where: Literal["path", "query", "header"]
    required: bool
    schema: str | None
    position: Position
    form: Literal["text", "list", "object", "json"] = "text"
    separator: str | None = None
    types: Types = ALL_TYPES
    item: Part = Part()
    members: Mapping[str, Part] = {}
    others: Part = Part()
    may_be_empty: bool = False
    numbers: Numbers = "json"
    space: Space = "preserve"


class Check(NamedTuple):
    """A schema that a body must fit, and what is answered where it does not."""

    schema: str
    status: int = 400
    message: str | None = None


class Media(NamedTuple):
    """A body that may be sent.

    range       of media types: `application/json`, `application/*`, `*/*`
    form        what is known of how it is written
    root        of XML: `{namespace}name` that its element must have; None for any
    parameters  that a media type must have, but for the charset
    charset     that sets it apart from another with the same parameters
    """

    range: str
    form: Literal["json", "xml", "other"]
    checks: tuple[Check, ...] = ()
    root: str | None = None
    parameters: frozenset[tuple[str, str]] = frozenset()
    charset: str | None = None

    @property
    def type(self) -> MediaType:
        """What sets it apart from others."""
        return MediaType(self.range, self.parameters, self.charset)


class Answer(NamedTuple):
    """What may be answered; `status` is a number, a class as `2XX`, or `default`. No media says nothing of the body."""

    status: str
    media: tuple[Media, ...] = ()


class Operation(NamedTuple):
    """A method of a resource. Of several with the same method, a request must fit one.

    parameters    of the query and of header fields, and those of the path that only this operation has
    open_query    whether parameters of other names belong to one of its own
    media         bodies that it takes; empty where nothing is said of a body
    roles         None where nobody is asked who is calling
    """

    method: str
    name: str
    position: Position
    summary: str = ""
    parameters: tuple[Parameter, ...] = ()
    open_query: bool = False
    media: tuple[Media, ...] = ()
    body_required: bool = False
    roles: Roles | None = None
    answers: tuple[Answer, ...] = ()


class Resource(NamedTuple):
    """A path, and what can be done there. Several may have paths of one shape and differ by what parameters may be.

    parameters  of the path
    """

    segments: tuple[Segment, ...]
    parameters: tuple[Parameter, ...]
    operations: tuple[Operation, ...]
    position: Position

    @property
    def path(self) -> str:
        """As people write it."""
        return "".join(f"/{written(segment)}" for segment in self.segments)

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(sorted({operation.method for operation in self.operations}))


@dataclass(frozen=True, slots=True)
class Description:
    """All of it.

    language   "OpenAPI 3.0", "OpenAPI 3.1" or "WADL"
    server     the URL, as far as one is given, of what is described
    schemas    by key
    unchecked  what it asks of requests and nobody here looks at
    """

    file: str
    language: str
    title: str
    server: str
    resources: tuple[Resource, ...]
    schemas: Mapping[str, Any]
    places: Mapping[str, Position]
    """Where each schema stands."""
    unchecked: tuple[Problem, ...] = ()


def written(segment: Segment) -> str:
    """A segment as people write it."""
    return "".join(f"{{{text}}}" if place % 2 else text for place, text in enumerate(segment))


def form_of(media_range: str) -> Literal["json", "xml", "other"]:
    """How a body of this media type is written, as far as it is known here (RFC 6839)."""
    if media_range in ("application/json", "text/json") or media_range.endswith("+json"):
        return "json"
    if media_range in ("application/xml", "text/xml") or media_range.endswith("+xml"):
        return "xml"
    return "other"
