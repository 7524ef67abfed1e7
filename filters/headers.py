"""Edits header fields, of the request on its way to the upstream and of the response on its way back.

The rules of one direction run in this order, whatever their order in the file:

1. `keep_only`, then `remove`: what arrived is thinned out.
2. `split`, then `merge`: lists become one line for each member, or one line.
3. `rename` and `copy`, at once: both go by the names as they arrived, so that two fields can change places,
   and nothing is renamed twice. Lines that already have the new name stay.
4. `set`: the field has this one line, whatever arrived under its name.
5. `add`: one line more.
6. `quality`: lines of the field, wherever they come from, get this weight unless they have one.

Names compare without regard to case; order, spelling and repetition of all other lines stay as they came
(RFC 9110 section 5.3). Fields that frame the message or belong to one connection are the gateway's own: no
rule may name them, and `keep_only` keeps them. Response rules also see the answers that the gateway makes.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from filters._names import OWN_FIELDS, EditableName, FieldName, FieldValue, Quality, rated
from gateway.api import Exchange, Fact, Filter, Options, Services, Verdict
from gateway.api.fact import RESPONSE, header
from gateway.http.fields import Fields, RawField, encoded, folded
from gateway.http.listing import members


def _listed(value: Any) -> Any:
    """One name may stand for a list of it."""
    return (value,) if isinstance(value, str) else value


Names = Annotated[
    tuple[EditableName, ...],
    Field(min_length=1),
    BeforeValidator(_listed),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]

_UNMERGEABLE: Final = ("set-cookie", "www-authenticate")
"""What no list can hold, or no client reads from one (RFC 9110 sections 5.3 and 11.6.1)."""


class Rules(Options):
    keep_only: tuple[FieldName, ...] | None = Field(
        None,
        description="Removes every field but these; list Content-Type, Accept and the like too. An empty list "
        "removes all. Of a response, it also removes Retry-After, Allow and WWW-Authenticate unless listed.",
    )
    remove: tuple[EditableName, ...] = Field((), description="Removes every line of these fields.")
    split: tuple[EditableName, ...] = Field(
        (),
        description="Makes a line of each member of a list: of what stands between commas, outside of quotes.",
    )
    merge: tuple[EditableName, ...] = Field(
        (),
        description="Makes one line of all lines of a field, in the place of the first, with `, ` between.",
    )
    rename: dict[EditableName, EditableName] = Field(
        {}, description="Renames every line of a field: old: new."
    )
    copy_: dict[EditableName, Names] = Field(
        {}, alias="copy", description="Copies every line of a field to another name, or to several: from: to."
    )
    set: dict[EditableName, FieldValue] = Field(
        {}, description="Gives a field this one value, in place of any that arrived: name: value."
    )
    add: dict[EditableName, FieldValue] = Field({}, description="Adds one line to the message: name: value.")
    quality: dict[EditableName, Quality] = Field(
        {}, description="Gives lines of a field a weight, unless they have one: name: 0.5 appends `;q=0.5`."
    )

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        for option, rules in (
            ("rename", self.rename),
            ("copy", self.copy_),
            ("set", self.set),
            ("add", self.add),
            ("quality", self.quality),
            ("split", self.split),
            ("merge", self.merge),
        ):
            seen: set[str] = set()
            for name in rules:
                if name.lower() in seen:
                    raise ValueError(f"{option} has two rules for {name}")
                seen.add(name.lower())
        for name in self.merge:
            if name.lower() in _UNMERGEABLE:
                raise ValueError(f"the lines of {name} cannot be merged")
            if name.lower() in {other.lower() for other in self.split}:
                raise ValueError(f"{name} is split and merged")
        return self


_NO_RULES = Rules.model_validate({})


class HeadersConfig(Options):
    request: Rules = Field(_NO_RULES, description="Edits of the request, on its way to the upstream.")
    response: Rules = Field(_NO_RULES, description="Edits of the response, on its way to the client.")

    def reads(self) -> frozenset[Fact]:
        # What is renamed or copied may be what a later filter reads.
        facts = {header(name) for name in (*self.request.rename, *self.request.copy_)}
        if self.response != _NO_RULES:
            facts.add(RESPONSE)
        return frozenset(facts)


class Headers(Filter[HeadersConfig]):
    name = "headers"
    Config = HeadersConfig
    access = {"response": "none"}

    def __init__(self, config: HeadersConfig, services: Services) -> None:
        super().__init__(config, services)
        self._request = _compiled(config.request)
        self._response = _compiled(config.response)

    def on_request(self, exchange: Exchange) -> Verdict:
        for edit in self._request:
            edit(exchange.request.headers)
        return None

    def on_response(self, exchange: Exchange) -> Verdict:
        if self._response and exchange.response is not None:
            for edit in self._response:
                edit(exchange.response.headers)
        return None


Edit = Callable[[Fields], None]


def _compiled(rules: Rules) -> tuple[Edit, ...]:
    """The edits of one direction in their order; none for rules that are not given."""
    edits: list[Edit] = []
    if rules.keep_only is not None:
        edits.append(_keeping(rules.keep_only))
    edits.extend(_removing(name.encode()) for name in rules.remove)
    edits.extend(_splitting(name.encode()) for name in rules.split)
    edits.extend(_merging(name.encode()) for name in rules.merge)
    if rules.rename or rules.copy_:
        edits.append(_moving(rules.rename, rules.copy_))
    if rules.set:
        edits.append(_setting(rules.set))
    edits.extend(_adding(*encoded(name, value)) for name, value in rules.add.items())
    edits.extend(_weighting(name.encode(), quality) for name, quality in rules.quality.items())
    return tuple(edits)


def _keeping(names: Iterable[str]) -> Edit:
    kept = frozenset(name.lower().encode() for name in (*names, *OWN_FIELDS))

    def edit(fields: Fields) -> None:
        fields.replace([line for line in fields.raw if folded[line[0]] in kept])

    return edit


def _removing(name: bytes) -> Edit:
    def edit(fields: Fields) -> None:
        fields.remove(name)

    return edit


def _replacing(name: bytes, change: Callable[[list[bytes]], list[bytes]]) -> Edit:
    """Puts what is made of the values of a field in the place of its first line."""
    key = name.lower()

    def edit(fields: Fields) -> None:
        arrived = fields.index().get(key)
        if arrived is None:
            return
        values = arrived if isinstance(arrived, list) else [arrived]
        changed = change(values)
        if changed == values:
            return
        lines: list[RawField] = []
        placed = False
        for line in fields.raw:
            if folded[line[0]] != key:
                lines.append(line)
            elif not placed:
                placed = True
                lines.extend((line[0], value) for value in changed)
        fields.replace(lines)

    return edit


def _splitting(name: bytes) -> Edit:
    def split(values: list[bytes]) -> list[bytes]:
        found: list[bytes] = []
        for value in values:
            parts = members(value.decode("latin-1"))
            # A quoted string without an end is no list, and an empty line stays one.
            found += [part.encode("latin-1") for part in parts] if parts else [value]
        return found

    return _replacing(name, split)


def _merging(name: bytes) -> Edit:
    return _replacing(name, lambda values: [b", ".join(values)])


_has_weight = re.compile(r";[ \t]*[Qq]=").search


def _weighting(name: bytes, quality: float) -> Edit:
    def weigh(values: list[bytes]) -> list[bytes]:
        texts = [value.decode("latin-1") for value in values]
        return [
            (text if not text or _has_weight(text) else rated(text, quality)).encode("latin-1")
            for text in texts
        ]

    return _replacing(name, weigh)


def _moving(renames: Mapping[str, str], copies: Mapping[str, tuple[str, ...]]) -> Edit:
    # By folded name: the names under which each of its lines goes on; None is the name as it arrived.
    onward: dict[bytes, tuple[bytes | None, ...]] = {}
    for old in {name.lower() for name in (*renames, *copies)}:
        renamed: list[bytes | None] = [new.encode() for name, new in renames.items() if name.lower() == old]
        copied = [new.encode() for name, news in copies.items() if name.lower() == old for new in news]
        onward[old.encode()] = (*(renamed or [None]), *copied)
    touched = frozenset(onward)

    def edit(fields: Fields) -> None:
        lines = fields.raw
        if touched.isdisjoint([folded[name] for name, _ in lines]):
            return
        moved: list[RawField] = []
        for line in lines:
            names = onward.get(folded[line[0]])
            if names is None:
                moved.append(line)
            else:
                moved.extend((line[0] if name is None else name, line[1]) for name in names)
        fields.replace(moved)

    return edit


def _setting(values: Mapping[str, str]) -> Edit:
    lines = tuple((name.lower().encode(), *encoded(name, value)) for name, value in values.items())

    def edit(fields: Fields) -> None:
        arrived = fields.index()
        for key, name, value in lines:
            if key in arrived:
                fields.set(name, value)
            else:  # the same, without a second look at all lines
                fields.add(name, value)

    return edit


def _adding(name: bytes, value: bytes) -> Edit:
    def edit(fields: Fields) -> None:
        fields.add(name, value)

    return edit
