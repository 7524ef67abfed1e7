"""Refuses a request body that is not strict JSON, nests too deep, names a key twice, or breaks the rules for
metadata: 400.

Strict is RFC 8259: UTF-8 without a byte order mark, no NaN or Infinity, no escape that is half a surrogate
pair. Every request of the named methods is judged, whatever its Content-Type says; the body is read whole
first, and forwarded as it came. An empty body passes unless metadata is asked for.

The rules for metadata are those of the compute API: `set` is `{"metadata": {key: value, ...}}`, `item` is
`{"meta": {key: value}}` with the key that the path names; nothing else stands beside them, a key has 1 to
255 characters of letters, digits, `-`, `_`, `:`, `.` and space, a value is a string of at most 255.
"""

import json
import re
from collections.abc import Awaitable
from typing import Any, Literal

import orjson
from pydantic import Field

from filters._body import judged_whole, too_deep, too_large
from filters._json import DuplicateKey, TooDeep, check_depth, check_keys
from filters._names import MethodName
from gateway.api import Exchange, Fact, Fault, Filter, Options, Services, Size, Verdict
from gateway.api.fact import BODY, LENGTH, METHOD, PARAMS


class JSONBodyConfig(Options):
    methods: tuple[MethodName, ...] = Field(
        ("POST", "PUT", "PATCH"), min_length=1, description="Methods whose requests are judged; others pass."
    )
    max_size: Size = Field(
        112 * 1024,
        description="Largest body that is read, such as 64KiB; a larger one is answered 413. The default is what "
        "OpenStack services accept by default, 112KiB.",
    )
    max_depth: int = Field(
        32, ge=1, le=256, description="How deep arrays and objects may nest; a plain object is 1 deep."
    )
    duplicate_keys: Literal["refuse", "last"] = Field(
        "refuse",
        description="What an object that names a key twice gets: refuse, since two readers may take two "
        "different values; or last, to pass it to an upstream whose clients rely on the last value.",
    )
    metadata: Literal["none", "set", "item"] = Field(
        "none",
        description="Rules for metadata: none; set, for the whole metadata of a resource; item, for one entry.",
    )
    max_items: int = Field(
        1000,
        ge=0,
        description="How many entries a metadata set may have. The default is the bound of the API's schema; a "
        "lower quota is the upstream's to answer.",
    )
    key_param: str = Field(
        "key", description="Name of the path parameter that a metadata item's key must equal."
    )

    def reads(self) -> frozenset[Fact]:
        facts = {METHOD, LENGTH, BODY}
        if self.metadata == "item":
            facts.add(PARAMS)
        return frozenset(facts)


_ROOT = {"set": "metadata", "item": "meta"}
_LONGEST = 255  # characters of a key and of a value
_is_key = re.compile(f"[a-zA-Z0-9_:. -]{{1,{_LONGEST}}}").fullmatch


class JSONBody(Filter[JSONBodyConfig]):
    name = "json_body"
    Config = JSONBodyConfig
    access = {
        "methods": "fewer",
        "max_size": "greater",
        "max_depth": "greater",
        "max_items": "greater",
        "duplicate_keys": ("refuse", "last"),
    }
    only_refuses = True

    def __init__(self, config: JSONBodyConfig, services: Services) -> None:
        super().__init__(config, services)
        self._methods = frozenset(config.methods)
        self._max_size = config.max_size
        self._max_depth = config.max_depth
        self._refuses_duplicates = config.duplicate_keys == "refuse"
        self._metadata = config.metadata
        self._root = _ROOT.get(config.metadata, "")
        self._too_large = too_large(config.max_size, ("max_size",))
        self._invalid = Fault(400, "json_invalid", "The request body is not valid JSON.")
        self._too_deep = too_deep(config.max_depth, ("max_depth",))
        self._duplicate = Fault(
            400, "json_duplicate_key", "The request body names a key twice.", rule=("duplicate_keys",)
        )
        self._no_body = _metadata_fault("A request body is required.")
        self._bad_root = _metadata_fault(
            f"The request body must be an object whose only member is {self._root}, an object."
        )
        self._bad_key = _metadata_fault(
            "A metadata key must have 1 to 255 characters: letters, digits, '-', '_', ':', '.' and space."
        )
        self._bad_value = _metadata_fault("A metadata value must be a string of at most 255 characters.")
        self._too_many = _metadata_fault(
            f"At most {config.max_items} metadata entries are accepted.", "max_items"
        )
        if config.metadata == "item":
            self.params = {config.key_param: ("key_param",)}
        self._not_one = _metadata_fault("The request body must have exactly one metadata entry.")
        self._mismatch = _metadata_fault("Request body and URI mismatch.", "key_param")

    def on_request(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        if exchange.method not in self._methods:
            return None
        return judged_whole(
            exchange.request.body, self._max_size, self._too_large, lambda raw: self._judge(exchange, raw)
        )

    def _judge(self, exchange: Exchange, raw: bytes) -> Verdict:
        if not raw:
            return None if self._metadata == "none" else self._no_body
        try:
            check_depth(raw, self._max_depth)
            document = self._parse(raw)
        except TooDeep:
            return self._too_deep
        except DuplicateKey:
            return self._duplicate
        except ValueError:
            return self._invalid
        if self._metadata == "none":
            return None
        return self._judge_metadata(exchange, document)

    def _parse(self, raw: bytes) -> Any:
        """The document; numbers may be rounded or replaced. Raises ValueError or DuplicateKey."""
        try:
            document = orjson.loads(raw)
        except orjson.JSONDecodeError:
            # It knows no number beyond a double, which the grammar allows: the slower reader has the word.
            return _read(raw, _pairs_once if self._refuses_duplicates else dict)
        if self._refuses_duplicates:
            check_keys(raw, document)
        return document

    def _judge_metadata(self, exchange: Exchange, document: Any) -> Verdict:
        if type(document) is not dict or len(document) != 1:
            return self._bad_root
        entries = document.get(self._root)
        if type(entries) is not dict:
            return self._bad_root
        if self._metadata == "item":
            if len(entries) != 1:
                return self._not_one
            if exchange.params.get(self.config.key_param) not in entries:
                return self._mismatch
        elif len(entries) > self.config.max_items:
            return self._too_many
        for key, value in entries.items():
            if _is_key(key) is None:
                return self._bad_key
            if type(value) is not str or len(value) > _LONGEST:
                return self._bad_value
        return None


def _metadata_fault(message: str, option: str = "metadata") -> Fault:
    return Fault(400, "metadata_invalid", message, rule=(option,))


def _pairs_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise DuplicateKey
    return made


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _number(text: str) -> int:
    return 0  # no rule asks for its value, and converting a million digits is what an attacker would like


def _read(raw: bytes, pairs: Any) -> Any:
    """The document by the standard library's reader, with what RFC 8259 forbids refused: ValueError."""
    document = json.loads(
        raw.decode("utf-8"),
        object_pairs_hook=pairs,
        parse_constant=_refuse_constant,
        parse_int=_number,
        parse_float=_number,
    )
    # The standard library lets an escape be half a surrogate pair: no text, and no UTF-8 can hold it.
    json.dumps(document, ensure_ascii=False).encode("utf-8")
    return document
