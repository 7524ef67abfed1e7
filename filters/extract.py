"""Puts a part of the request into a header field for the upstream: of the path, the query or a JSON body.

Every field is the filter's own: a client's is taken from the request first, in every spelling. What is found is percent-decoded
once, as parameters of routes are. A body is read only where it says that it is JSON; one that cannot be read has no part, for
judging it is up to `json_body`. Of several values that a path into JSON leads to, the first counts, and one that is an object or
a list counts as missing; a body that names a key twice is answered 400, since the upstream may take the other one.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson
from pydantic import Field, model_validator

from filters._body import judged_whole, too_large
from filters._json import DuplicateKey, check_keys
from filters._names import EditableName, FieldValue, Quality, rated
from filters._representation import is_json
from gateway.api import Exchange, Fact, Fault, Filter, Options, Rule, Services, Size, Verdict
from gateway.api.fact import BODY, LENGTH, PARAMS, TARGET, header
from gateway.api.json_path import JsonPath, parse_path, places
from gateway.api.regex import LONGEST, PathRegex, compile_path
from gateway.http.spelling import spellings
from gateway.http.target import decode, matchable


class FieldOptions(Options):
    """One field; exactly one of param, path, query and json says where its value is."""

    header: EditableName = Field(description="The field that is set.")
    param: str | None = Field(None, min_length=1, description="A parameter of the route's path.")
    path: PathRegex | None = Field(
        None,
        description="A regular expression for the whole path; each of its groups that takes part is a line, or all of the "
        "path where it has none. In a path of more than 2,048 characters nothing is found.",
    )
    query: str | None = Field(
        None, min_length=1, description="A parameter of the query; one that is there twice is answered 400."
    )
    json_: JsonPath | None = Field(
        None, alias="json", description="A path into the JSON body: `$.server.name`, `$.a['b'][0]`, `$..id`."
    )
    default: FieldValue | None = Field(
        None, description="The value where nothing is found; then no field where unset."
    )
    default_null: FieldValue | None = Field(
        None, description="The value where null is found in JSON; as where nothing is found when unset."
    )
    quality: Quality | None = Field(None, description="A weight, `;q=0.5`, behind the value.")

    @model_validator(mode="after")
    def _one_source(self) -> "FieldOptions":
        if [self.param, self.path, self.query, self.json_].count(None) != 3:
            raise ValueError("expected exactly one of param, path, query, json")
        if self.default_null is not None and self.json_ is None:
            raise ValueError("default_null is for json")
        return self


class ExtractConfig(Options):
    fields: tuple[FieldOptions, ...] = Field(min_length=1, description="The fields that are set.")
    max_size: Size = Field(
        112 * 1024, description="Largest body that is read for `json`; a larger one is answered 413."
    )

    def reads(self) -> frozenset[Fact]:
        facts: set[Fact] = set()
        for field in self.fields:
            if field.param is not None:
                facts.add(PARAMS)
            elif field.json_ is not None:
                facts |= {LENGTH, BODY, header("content-type")}
            else:
                facts.add(TARGET)
        return frozenset(facts)


class _Absent:
    """What stands for a value that is not there; JSON's null is one that is."""


_ABSENT = _Absent()

_Reader = Callable[[Exchange, Any], Sequence[str | None] | Fault]
"""The values of a field: none where nothing is found, None for a null. The document is _ABSENT where there is none."""


class _Planned(NamedTuple):
    options: FieldOptions
    read: _Reader
    unfit: Fault


class Extract(Filter[ExtractConfig]):
    name = "extract"
    Config = ExtractConfig
    access = {"max_size": "greater"}

    def __init__(self, config: ExtractConfig, services: Services) -> None:
        super().__init__(config, services)
        self._planned = tuple(
            _Planned(options, _reader(options, ("fields", place)), _unfit(("fields", place)))
            for place, options in enumerate(config.fields)
        )
        in_json = [place for place, options in enumerate(config.fields) if options.json_ is not None]
        self._reads_body = bool(in_json)
        self._twice = Fault(
            400,
            "extract_ambiguous",
            "The request body names a key twice.",
            rule=("fields", in_json[0], "json") if in_json else (),
        )
        self.owns = frozenset().union(*(spellings(options.header) for options in config.fields))
        self.params = {
            options.param: ("fields", place, "param")
            for place, options in enumerate(config.fields)
            if options.param is not None
        }
        self._too_large = too_large(config.max_size, ("max_size",))

    def on_request(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        if not self._reads_body or not is_json(exchange.request.headers):
            return self._set(exchange, _ABSENT)
        return judged_whole(
            exchange.request.body,
            self.config.max_size,
            self._too_large,
            partial(self._set_by, exchange),
        )

    def _set_by(self, exchange: Exchange, raw: bytes) -> Verdict:
        try:
            document = orjson.loads(raw)
            check_keys(raw, document)
        except orjson.JSONDecodeError:
            document = _ABSENT
        except DuplicateKey:
            return self._twice
        return self._set(exchange, document)

    def _set(self, exchange: Exchange, document: Any) -> Verdict:
        headers = exchange.request.headers
        for options, read, unfit in self._planned:
            found = read(exchange, document)
            if isinstance(found, Fault):
                return found
            for value in found or (_ABSENT,):
                text = value
                if text is None and options.default_null is not None:
                    text = options.default_null
                elif text is None or isinstance(text, _Absent):
                    text = options.default
                if text is None:
                    continue
                try:
                    headers.add(options.header, rated(text, options.quality))
                except ValueError:  # a control character, decoded or in JSON
                    return unfit
        return None


def _unfit(rule: Rule) -> Fault:
    return Fault(400, "extract_unfit", "A part of the request cannot travel in a header field.", rule=rule)


def _reader(options: FieldOptions, rule: Rule) -> _Reader:
    if options.param is not None:
        return _from_param(options.param)
    if options.path is not None:
        return _from_path(options.path)
    if options.query is not None:
        return _from_query(options.query, rule)
    assert options.json_ is not None
    return _from_json(options.json_)


def _from_param(name: str) -> _Reader:
    def read(exchange: Exchange, document: Any) -> Sequence[str]:
        value = exchange.params.get(name)
        return () if value is None else (value,)

    return read


def _from_path(regex: str) -> _Reader:
    fullmatch = compile_path(regex).fullmatch

    def read(exchange: Exchange, document: Any) -> Sequence[str]:
        path = exchange.path
        match = fullmatch(matchable(path)) if len(path) <= LONGEST else None
        if match is None:
            return ()
        return [decode(group) for group in match.groups() or (match[0],) if group is not None]

    return read


def _from_query(name: str, rule: Rule) -> _Reader:
    twice = Fault(
        400,
        "extract_ambiguous",
        "A parameter of the query that counts is there more than once.",
        rule=(*rule, "query"),
    )

    def read(exchange: Exchange, document: Any) -> Sequence[str] | Fault:
        pairs = [part.partition("=") for part in (exchange.query or "").split("&")]
        found = [value for key, _, value in pairs if decode(key.replace("+", " ")) == name]
        return twice if len(found) > 1 else [decode(value.replace("+", " ")) for value in found]

    return read


def _from_json(text: str) -> _Reader:
    path = parse_path(text)

    def read(exchange: Exchange, document: Any) -> Sequence[str | None]:
        if isinstance(document, _Absent):
            return ()
        for container, key in places([document], path):
            value = container[key]
            if value is None:
                return (None,)
            if isinstance(value, (dict, list)):
                return ()
            return (value if isinstance(value, str) else orjson.dumps(value).decode("ascii"),)
        return ()

    return read
