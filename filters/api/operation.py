"""One operation of a description, ready to judge requests and answers by."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from filters._body import too_deep
from filters._caller import lowered, unknown_caller
from filters._json import DuplicateKey, TooDeep, loads
from filters._memo import Memo
from filters.api.option import ApiConfig
from filters.api.parameter import FieldParameter, Query, misfit, path_segments
from filters.api.schema import Schemas, failure
from gateway.api import Exchange, Fault
from gateway.description import xml
from gateway.description.model import Media, Operation, Resource
from gateway.http.fields import Fields
from gateway.http.media import MediaType, parsed

_RULE: Final = ("description",)
_KINDS: Final = 8
"""Content-Types that each operation remembers: clients write one media type in few ways."""
_LONGEST_KIND: Final = 64

CONTENT: Final = 3
ROLES: Final = 4
PARAMETERS: Final = 5
WELL_FORMED: Final = 6
SCHEMA: Final = 7
"""How far a request came before it was refused; of several refusals the one that came furthest is answered."""

_DEPTH: Final[Mapping[str, int]] = {
    "content_type_unsupported": CONTENT,
    "content_encoding_unsupported": CONTENT,
    "principal_missing": ROLES,
    "role_missing": ROLES,
    "schema_mismatch": SCHEMA,
    "body_too_complex": SCHEMA,
    "json_invalid": WELL_FORMED,
    "json_too_deep": WELL_FORMED,
    "json_duplicate_key": WELL_FORMED,
    "xml_invalid": WELL_FORMED,
    "body_missing": WELL_FORMED,
}

_UTF_8: Final = ("utf-8", "utf8", "us-ascii", '"utf-8"', '"utf8"', '"us-ascii"')
_NO_JSON: Final = Fault(400, "json_invalid", "The request body is not valid JSON.", rule=_RULE)
_TWICE: Final = Fault(400, "json_duplicate_key", "The request body names a key twice.", rule=_RULE)
_TOO_COMPLEX: Final = Fault(
    400, "body_too_complex", "The request body takes too many steps to be judged.", rule=_RULE
)
_NO_XML: Final = Fault(400, "xml_invalid", "The request body is not valid XML.", rule=_RULE)
_NO_BODY: Final = Fault(400, "body_missing", "A request body is required.", rule=_RULE)
_UNDECLARED_BODY: Final = Fault(
    400, "body_undeclared", "A request body is not accepted here.", rule=("undeclared_body",)
)
_ENCODED: Final = Fault(
    415,
    "content_encoding_unsupported",
    "Unsupported Content-Encoding.",
    rule=_RULE,
    headers=(("Accept-Encoding", "identity"),),
)
_ROLE_MISSING: Final = Fault(403, "role_missing", "Your roles do not allow this.", rule=("roles",))


def depth(fault: Fault) -> int:
    """How far a request came that was refused so; that of a parameter where it is nothing else."""
    return _DEPTH.get(fault.reason, PARAMETERS)


def unsupported(accepted: Iterable[str]) -> Fault:
    """The refusal of a body of no media type that is accepted."""
    accept = ", ".join(accepted)
    return Fault(
        415,
        "content_type_unsupported",
        "Unsupported Content-Type.",
        rule=_RULE,
        headers=(("Accept", accept),),
        details=f"Accepted here: {accept}.",
    )


class JudgedMedia:
    """A body of one kind: what it is held against."""

    __slots__ = ("_checks", "_form", "_max_depth", "_root", "_too_deep", "reads")

    def __init__(self, media: Media, schemas: Schemas, max_depth: int) -> None:
        self._form = media.form
        self._root = media.root
        self._max_depth = max_depth
        self._too_deep = too_deep(max_depth, ("max_depth",))
        self._checks = tuple((schemas.validator(check.schema), check) for check in media.checks)
        self.reads = media.form != "other"
        """Whether the body is looked at, not only its media type."""

    def verdict(self, raw: bytes) -> Fault | None:
        """What is wrong with a body."""
        document = self.document(raw)
        return document if isinstance(document, Fault) else self.judge(document)

    def document(self, raw: bytes) -> Any:
        """The document, of XML its root; or the fault where it is not well-formed."""
        try:
            return loads(raw, self._max_depth) if self._form == "json" else xml.root_of(raw, self._max_depth)
        except (TooDeep, xml.TooDeep):
            return self._too_deep
        except DuplicateKey:
            return _TWICE
        except ValueError:
            return _NO_JSON if self._form == "json" else _NO_XML

    def judge(self, document: Any) -> Fault | None:
        """What is wrong with a well-formed body."""
        for validator, check in self._checks:
            if validator.affordable is not None and not validator.affordable(document):
                return _TOO_COMPLEX
            if not validator.fits(document):
                found = failure(validator, document, counted=True)
                return Fault(
                    check.status,
                    "schema_mismatch",
                    check.message or "The request body does not fit its schema.",
                    rule=_RULE,
                    details=f"At {found.pointer or 'the root'}: {found.why}.",
                    facts={"pointer": found.pointer},
                )
        if self._root is not None and document != self._root:
            return Fault(
                400,
                "schema_mismatch",
                "The request body does not fit its schema.",
                rule=_RULE,
                details=f"The root must be {self._root.removeprefix('{}')}.",
            )
        return None


class Bodies:
    """The bodies that there may be, by their media types."""

    __slots__ = ("_by_range",)

    def __init__(self, media: Iterable[Media], schemas: Schemas, max_depth: int) -> None:
        self._by_range: dict[str, list[tuple[Media, JudgedMedia]]] = {}
        for one in media:
            judged = JudgedMedia(one, schemas, max_depth)
            self._by_range.setdefault(one.range, []).append((one, judged))

    def __bool__(self) -> bool:
        return bool(self._by_range)

    def of(self, values: Sequence[str]) -> JudgedMedia | None:
        """The most particular of them that takes what a Content-Type of these lines names; None for none, and where a parameter
        stands twice, since who reads on may take the other one of the two. What has no media type is only `*/*`."""
        named = parsed(values[0]) if len(values) == 1 else None
        if named is not None:
            if named.parameters is None:
                return None
            for within in (named.kind, f"{named.kind.partition('/')[0]}/*"):
                found = _most_particular(self._by_range.get(within, ()), named)
                if found is not None:
                    return found
        return _most_particular(self._by_range.get("*/*", ()), named)


def _most_particular(
    media: Sequence[tuple[Media, JudgedMedia]], named: MediaType | None
) -> JudgedMedia | None:
    """The one with the most parameters, all of which are named; of equals the one with that charset, or with none."""
    if len(media) == 1 and not media[0][0].parameters:
        return media[0][1]
    if named is None:
        return next((judged for one, judged in media if not one.parameters), None)
    assert named.parameters is not None
    given, charset = named.parameters, named.charset
    fitting = [pair for pair in media if pair[0].parameters <= given]
    if not fitting:
        return None
    return max(
        fitting,
        key=lambda pair: (len(pair[0].parameters), pair[0].charset == charset, pair[0].charset is None),
    )[1]


class JudgedOperation:
    """An operation, compiled."""

    def __init__(self, operation: Operation, resource: Resource, schemas: Schemas, config: ApiConfig) -> None:
        self.operation = operation
        self._path = path_segments(
            tuple(one for one in operation.parameters if one.where == "path"),
            resource.parameters,
            resource.segments,
            schemas,
            config.max_depth,
        )
        self._headers = tuple(
            FieldParameter(one, schemas, config.max_depth)
            for one in operation.parameters
            if one.where == "header"
        )
        self._query = tuple(
            FieldParameter(one, schemas, config.max_depth)
            for one in operation.parameters
            if one.where == "query"
        )
        self._closed = config.undeclared_query == "refuse" and not operation.open_query
        self._objects = tuple(
            f"{one.name}[" for one in self._query if one.is_object and not operation.open_query
        )
        """What begins the names of members of objects: another name that begins so is nobody's."""
        self.reads_query = bool(self._query) or self._closed
        roles = operation.roles if config.roles == "check" else None
        self._asks = roles is not None
        self._one_role = frozenset(role for wanted in roles or () if len(wanted) == 1 for role in wanted)
        """Roles each of which is enough."""
        self._roles = tuple(wanted for wanted in roles or () if len(wanted) != 1)
        self._challenge = config.challenge
        self._required = operation.body_required
        self._refuses_bodies = config.undeclared_body == "refuse"
        self._media = Bodies(operation.media, schemas, config.max_depth)
        self._takes_bodies = bool(operation.media)
        self._by_kind: Memo[bytes, Fault | JudgedMedia] = Memo(self._of_kind, _KINDS)
        self.accepted = tuple(str(media.type) for media in operation.media)
        """Media types of bodies."""
        self._unsupported = unsupported(self.accepted)
        self.answers = {
            answer.status: Bodies(answer.media, schemas, config.max_depth)
            for answer in (operation.answers if config.validate_responses is not None else ())
        }

    def misfit(self, parts: list[str], written: list[str]) -> str | None:
        """The parameter of the path, among those that this operation alone has, that does not fit."""
        return misfit(self._path, parts, written)

    def judge_head(self, exchange: Exchange, query: Query) -> "Fault | JudgedMedia | None":
        """What is wrong with the request before its body is read; else what its body is to be held against, if anything."""
        request = exchange.request
        length = request.body.length
        media: Fault | JudgedMedia | None = None
        if length != 0 and self._takes_bodies:
            media = self._media_of(request.headers)
            if isinstance(media, Fault):
                return media
        if self._asks:
            principal = exchange.principal
            if principal is None:
                return unknown_caller(exchange, ("roles",), self._challenge)
            held = lowered(principal.roles)
            if held.isdisjoint(self._one_role) and not any(map(held.issuperset, self._roles)):
                return _ROLE_MISSING
        for one in self._headers:
            fault = one.of_header(exchange)
            if fault is not None:
                return fault
        if self.reads_query:
            for one in self._query:
                fault = one.of_query(query)
                if fault is not None:
                    return fault
            if self._closed or self._objects:
                fault = self._undeclared(query)
                if fault is not None:
                    return fault
        if length == 0:
            return _NO_BODY if self._required else None
        if not self._takes_bodies:
            return _UNDECLARED_BODY if self._refuses_bodies else None
        return media

    def judge_empty(self) -> Fault | None:
        """What is wrong with a request whose body turns out to be empty."""
        return _NO_BODY if self._required else None

    def _media_of(self, headers: Fields) -> "Fault | JudgedMedia":
        index = headers.index()
        value = index.get(b"content-type")
        if type(value) is bytes and len(value) <= _LONGEST_KIND and b"content-encoding" not in index:
            return self._by_kind[value]
        values = headers.all("content-type")
        media = self._media.of(values)
        if media is None:
            return self._unsupported
        if media.reads and any(
            coding.strip().lower() != "identity" for coding in headers.all("content-encoding")
        ):
            return _ENCODED
        return self._in_charset(media, values)

    def _of_kind(self, value: bytes) -> "Fault | JudgedMedia":
        """What takes a body with this Content-Type and no Content-Encoding."""
        values = [value.decode("latin-1")]
        media = self._media.of(values)
        return self._unsupported if media is None else self._in_charset(media, values)

    def _in_charset(self, media: JudgedMedia, values: Sequence[str]) -> "Fault | JudgedMedia":
        if media.reads and values and "charset" in values[0].lower() and not _is_utf_8(values[0]):
            return self._unsupported
        return media

    def _undeclared(self, query: Query) -> Fault | None:
        for name in query:
            if not self._closed and not name.startswith(self._objects):
                continue
            if not any(one.takes(name) for one in self._query):
                return Fault(
                    400,
                    "query_undeclared",
                    "The request has a query parameter that is not accepted here.",
                    rule=("undeclared_query",) if self._closed else _RULE,
                    facts={"parameter": name[:255]},
                )
        return None


def _is_utf_8(value: str) -> bool:
    for part in value.split(";")[1:]:
        name, _, text = part.partition("=")
        if name.strip().lower() == "charset" and text.strip().lower() not in _UTF_8:
            return False
    return True
