"""Refuses what an API's own description does not have: OpenAPI 3.0 or 3.1, or WADL.

A request is held against the description in one order, and the first that is wrong is answered: its path, 404; its method,
405 with Allow (RFC 9110 section 15.5.6); the media type of its body, 415; the roles of the caller, 403, or 401 for who has
none; parameters of header and query, 400; whether the body is well-formed, 400; its schema, 400, with the place that does not
fit as a JSON pointer (RFC 6901). Where a description has several operations for a path and a method, the request must pass
one, and else the refusal of the one that it came furthest with is answered.

Of several paths that fit, the one that is more specific from its beginning on counts alone, whatever methods it has. Paths that
differ in nothing but the names of parameters, or in what these may be, are one path: its methods are those of all that fit. What
parameters of the path may be belongs to the path. Segments are compared percent-decoded; a trailing slash is another path,
and a segment that is a dot segment or has an encoded slash is none. No method implies another.

JSON must be strict, name no key twice, and hold no number beyond a double (an integer of 400 digits is one); a body with a
Content-Encoding is not looked into and so not accepted. XML must be well-formed, and may have no document type. Other bodies
pass by their media type. Needs the extra `openapi`:
pip install 'weir-gateway[openapi]'.
"""

from collections.abc import Awaitable, Iterable, Iterator
from functools import partial
from typing import Final

from filters._body import judged_whole, too_large
from filters.api.operation import JudgedMedia, JudgedOperation, depth, unsupported
from filters.api.option import ApiConfig
from filters.api.parameter import Query, misfit, path_segments, query_of
from filters.api.schema import Schemas
from gateway.api import Body, Exchange, Fault, Filter, OptionError, Refused, Services, Verdict
from gateway.api.fact import BODY, PRINCIPAL, RESPONSE, Fact, header
from gateway.description.matcher import Matcher
from gateway.description.model import Description, Media, Resource
from gateway.description.read import DescriptionError, read_description
from gateway.http.target import decode

_RULE: Final = ("description",)
_NO_QUERY: Final[Query] = {}
_NOT_IN_SEGMENTS: Final = ("/", "\\", "\0")
_DOTS: Final = (".", "..")
_NO_CONTENT: Final = (204, 304)

_UNKNOWN: Final = Fault(404, "path_not_described", "The resource could not be found.", rule=_RULE)


def _not_allowed(methods: Iterable[str]) -> Fault:
    return Fault(
        405,
        "method_not_allowed",
        "Method not allowed.",
        rule=_RULE,
        headers=(("Allow", ", ".join(sorted(methods))),),
    )


class _JudgedResource:
    """A path, compiled."""

    __slots__ = ("beside", "methods", "not_allowed", "particular", "path")

    def __init__(
        self, resource: Resource, beside: list["_JudgedResource"], schemas: Schemas, config: ApiConfig
    ) -> None:
        self.beside = beside
        """All whose paths have its shape, itself among them."""
        self.path = path_segments(resource.parameters, (), resource.segments, schemas, config.max_depth)
        """The segments that have to fit."""
        self.methods: dict[str, list[JudgedOperation]] = {}
        for operation in resource.operations:
            judged = JudgedOperation(operation, resource, schemas, config)
            self.methods.setdefault(operation.method, []).append(judged)
        self.particular = any(one.where == "path" for of in resource.operations for one in of.parameters)
        """Whether operations have parameters of the path that are theirs alone."""
        self.not_allowed = _not_allowed(self.methods)


class Api(Filter[ApiConfig]):
    name = "api"
    Config = ApiConfig
    access = {
        "roles": ("check", "ignore"),
        "path_status": "none",
        "undeclared_query": ("refuse", "pass"),
        "undeclared_body": ("refuse", "pass"),
        "unchecked": "none",
        "max_size": "greater",
        "max_depth": "greater",
        "challenge": "none",
        "validate_responses": "none",
    }
    only_refuses = True

    def __init__(self, config: ApiConfig, services: Services) -> None:
        super().__init__(config, services)
        try:
            description = read_description(config.description, services.read_file, base=config.base)
        except DescriptionError as error:
            raise OptionError(_RULE, *map(str, error.problems)) from None
        self._tell_unchecked(description)
        schemas = Schemas(description, _asked(description, config))
        self._matcher: Matcher[_JudgedResource] = Matcher()
        for resource in _merged(description.resources):
            beside = self._matcher.at(resource.segments)
            beside.append(_JudgedResource(resource, beside, schemas, config))
        self._too_large = too_large(config.max_size, ("max_size",))
        self._max_size = config.max_size
        self._path_status = config.path_status
        self.also_reads = _facts(description, config)
        answers = config.validate_responses
        self._answers = answers
        if answers is None:
            self.statuses = frozenset()
        else:
            self.shadow_only = (("validate_responses",),)
            self._share = int(answers.percent * 100)

    def _tell_unchecked(self, description: Description) -> None:
        if not description.unchecked:
            return
        if self.config.unchecked == "refuse":
            raise OptionError(
                _RULE,
                *(f"{problem} (`unchecked: allow` has it pass)" for problem in description.unchecked),
            )
        for problem in description.unchecked:
            self.services.warn("description_not_checked", what=str(problem))

    def on_request(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        found = self._operations(exchange)
        if isinstance(found, Fault):
            return found
        if len(found) > 1:
            return self._by_any(found, exchange)
        operation = found[0]
        query = query_of(exchange.query) if operation.reads_query and exchange.query else _NO_QUERY
        media = operation.judge_head(exchange, query)
        if media is None or isinstance(media, Fault):
            return media
        if not media.reads:
            return None
        body = exchange.request.body
        raw = body.complete
        if raw and body.length is not None and body.length <= self._max_size:
            return media.verdict(raw)
        return judged_whole(body, self._max_size, self._too_large, partial(_judged, [(operation, media)]))

    def _by_any(self, found: list[JudgedOperation], exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        """The verdict where several operations have the path and the method, one of which must take the request."""
        query = _NO_QUERY
        worst: Fault | None = None
        left: list[tuple[JudgedOperation, JudgedMedia]] = []
        for operation in found:
            if operation.reads_query and query is _NO_QUERY and exchange.query:
                query = query_of(exchange.query)
            media = operation.judge_head(exchange, query)
            if media is None:
                return None
            if isinstance(media, Fault):
                if worst is None or depth(media) > depth(worst):
                    worst = media
            elif not media.reads:
                return None
            else:
                left.append((operation, media))
        if not left:
            if worst is not None and worst.reason == "content_type_unsupported":
                return unsupported(dict.fromkeys(kind for operation in found for kind in operation.accepted))
            return worst
        return judged_whole(exchange.request.body, self._max_size, self._too_large, partial(_judged, left))

    def _operations(self, exchange: Exchange) -> list[JudgedOperation] | Fault:
        path = exchange.path
        if not path.startswith("/"):
            return _UNKNOWN
        written = parts = path[1:].split("/")
        if "%" in path or ("." in path and "/." in path) or "\\" in path or not path.isascii():
            parts = [decode(part) for part in parts]
            if any(part in _DOTS or any(text in part for text in _NOT_IN_SEGMENTS) for part in parts):
                return _UNKNOWN
        unfit: str | None = None
        for resource in self._matcher.find(parts):
            name = misfit(resource.path, parts, written)
            if name is not None:
                unfit = unfit or name
                continue
            if len(resource.beside) > 1:
                found, name = _of_shape(resource.beside, exchange.method, parts, written)
                if found is not None:
                    return found
                unfit = unfit or name
                continue
            operations = resource.methods.get(exchange.method)
            if operations is None:
                return resource.not_allowed
            if not resource.particular:
                return operations
            misfits = [operation.misfit(parts, written) for operation in operations]
            fitting = [one for one, name in zip(operations, misfits, strict=True) if name is None]
            if fitting:
                return fitting
            unfit = unfit or misfits[0]
        if unfit is None:
            return _UNKNOWN
        if self._path_status == 404:
            message = "The resource could not be found."
        else:
            message = f"The path parameter {unfit} is not as it has to be."
        return Fault(
            self._path_status,
            "path_parameter_invalid",
            message,
            rule=("path_status",),
            facts={"parameter": unfit},
        )

    def on_response(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        response = exchange.response
        assert response is not None and self._answers is not None
        if int.from_bytes(self.services.entropy(2)) * 10_000 >= self._share << 16:
            return None
        found = self._operations(exchange)
        if isinstance(found, Fault):
            return None
        answers = found[0].answers
        status = str(response.status)
        described = answers.get(status, answers.get(f"{status[0]}XX", answers.get("default")))
        if described is None:
            return _answer_fault("answer_not_described", f"The answer's status {status} is not described.")
        if (
            exchange.method == "HEAD"
            or response.status in _NO_CONTENT
            or response.body.length == 0
            or not described
        ):
            return None
        media = described.of(response.headers.all("content-type"))
        if media is None:
            return _answer_fault("answer_not_described", "The answer's media type is not described.")
        length = response.body.length
        if not media.reads or response.headers.has("content-encoding"):
            return None
        if length is not None and length > self._answers.max_size:
            return None
        if response.body.complete is not None:
            return _judged_answer(media, response.body.complete)
        return _collected_answer(media, response.body, self._answers.max_size)


async def _collected_answer(media: JudgedMedia, body: Body, most: int) -> Verdict:
    try:
        return _judged_answer(media, await body.collect(most))
    except Refused:
        return None


def _judged_answer(media: JudgedMedia, raw: bytes) -> Verdict:
    found = media.verdict(raw)
    if found is None:
        return None
    return _answer_fault("answer_mismatch", "The answer does not fit its schema.", found)


def _answer_fault(reason: str, message: str, found: Fault | None = None) -> Fault:
    if found is None:
        return Fault(502, reason, message, rule=("validate_responses",))
    return Fault(
        502,
        reason,
        message,
        rule=("validate_responses",),
        details=found.details or found.message,
        facts=found.facts,
    )


def _of_shape(
    beside: list[_JudgedResource], method: str, parts: list[str], written: list[str]
) -> tuple[list[JudgedOperation] | Fault | None, str | None]:
    """What those of one shape, of which one fits, have for a method; or the parameter that fits no operation."""
    fitting = [resource for resource in beside if misfit(resource.path, parts, written) is None]
    having = [operation for resource in fitting for operation in resource.methods.get(method, ())]
    if not having:
        return _not_allowed({name for resource in fitting for name in resource.methods}), None
    misfits = [operation.misfit(parts, written) for operation in having]
    found = [one for one, name in zip(having, misfits, strict=True) if name is None]
    return (found, None) if found else (None, misfits[0])


def _judged(left: list[tuple[JudgedOperation, JudgedMedia]], raw: bytes) -> Verdict:
    """The verdict on a body: that of the first operation that takes it, or of the one that it came furthest with."""
    worst: Fault | None = None
    for operation, media in left:
        fault = media.verdict(raw) if raw else operation.judge_empty()
        if fault is None:
            return None
        if worst is None or depth(fault) > depth(worst):
            worst = fault
    return worst


def _facts(description: Description, config: ApiConfig) -> frozenset[Fact]:
    """What the description has the filter read."""
    operations = [operation for resource in description.resources for operation in resource.operations]
    facts = {
        header(one.name) for operation in operations for one in operation.parameters if one.where == "header"
    }
    if any(operation.media for operation in operations):
        facts |= {header("content-type"), header("content-encoding")}
    if any(media.form != "other" for operation in operations for media in operation.media):
        facts.add(BODY)
    if config.roles == "check" and any(operation.roles is not None for operation in operations):
        facts.add(PRINCIPAL)
    if config.validate_responses is not None:
        facts.add(RESPONSE)
    return frozenset(facts)


def _asked(description: Description, config: ApiConfig) -> Iterator[str]:
    """The keys of the schemas that requests are held against, and answers where they are."""
    for resource in description.resources:
        parameters = list(resource.parameters)
        media: list[Media] = []
        for operation in resource.operations:
            parameters += operation.parameters
            media += operation.media
            if config.validate_responses is not None:
                media += (one for answer in operation.answers for one in answer.media)
        parts = (
            (one.schema, one.item.schema, *(of.schema for of in one.members.values()), one.others.schema)
            for one in parameters
        )
        yield from (key for keys in parts for key in keys if key is not None)
        yield from (check.schema for one in media for check in one.checks)


def _merged(resources: tuple[Resource, ...]) -> list[Resource]:
    """Those with the same path and the same parameters as one."""
    found: dict[object, Resource] = {}
    for resource in resources:
        key = (resource.segments, tuple((one.name, one.schema) for one in resource.parameters))
        other = found.get(key)
        found[key] = (
            resource
            if other is None
            else other._replace(operations=(*other.operations, *resource.operations))
        )
    return list(found.values())
