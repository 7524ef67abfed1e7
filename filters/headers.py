"""Edits header fields, of the request on its way to the upstream and of the response on its way back.

The rules of one direction run in this order, whatever their order in the file:

1. `keep_only`, then `remove`: what arrived is thinned out.
2. `rename` and `copy`, at once: both go by the names as they arrived, so that two fields can change places,
   and nothing is renamed twice. Lines that already have the new name stay.
3. `set`: the field has this one line, whatever arrived under its name.
4. `add`: one line more.

Names compare without regard to case; order, spelling and repetition of all other lines stay as they came
(RFC 9110 section 5.3). Fields that frame the message or belong to one connection are the gateway's own: no
rule may name them, and `keep_only` keeps them. Response rules also see the answers that the gateway makes.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from filters._names import FieldName
from gateway.api import Exchange, Fact, Filter, Options, Services, Verdict
from gateway.api.fact import RESPONSE, header
from gateway.http.fields import Fields, RawField, encoded, folded

_OWN = {
    "connection": "it belongs to one connection",
    "content-length": "it frames the message",
    "date": "the gateway sees to it that there is exactly one",
    "expect": "the gateway answers or forwards it",
    "host": "the upstream's option host decides it",
    "http2-settings": "it belongs to one connection",
    "keep-alive": "it belongs to one connection",
    "proxy-authenticate": "it belongs to one connection",
    "proxy-authorization": "it belongs to one connection",
    "proxy-connection": "it belongs to one connection",
    "te": "it belongs to one connection",
    "trailer": "it frames the message",
    "transfer-encoding": "it frames the message",
    "upgrade": "it belongs to one connection",
    "via": "the gateway's option via decides it",
}


def _editable(name: str) -> str:
    reason = _OWN.get(name.lower())
    if reason is not None:
        raise ValueError(f"{name} cannot be edited: {reason}")
    return name


EditableName = Annotated[FieldName, AfterValidator(_editable)]


def _value(text: str) -> str:
    encoded("x", text)
    return text.strip(" \t")


FieldValue = Annotated[str, AfterValidator(_value)]


class Rules(Options):
    keep_only: tuple[FieldName, ...] | None = Field(
        None,
        description="Removes every field but these; list Content-Type, Accept and the like too. An empty list "
        "removes all. Of a response, it also removes Retry-After, Allow and WWW-Authenticate unless listed.",
    )
    remove: tuple[EditableName, ...] = Field((), description="Removes every line of these fields.")
    rename: dict[EditableName, EditableName] = Field(
        {}, description="Renames every line of a field: old: new."
    )
    copy_: dict[EditableName, EditableName] = Field(
        {}, alias="copy", description="Copies every line of a field to another name: from: to."
    )
    set: dict[EditableName, FieldValue] = Field(
        {}, description="Gives a field this one value, in place of any that arrived: name: value."
    )
    add: dict[EditableName, FieldValue] = Field({}, description="Adds one line to the message: name: value.")

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        for option, rules in (
            ("rename", self.rename),
            ("copy", self.copy_),
            ("set", self.set),
            ("add", self.add),
        ):
            seen: set[str] = set()
            for name in rules:
                if name.lower() in seen:
                    raise ValueError(f"{option} has two rules for {name}")
                seen.add(name.lower())
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
    if rules.rename or rules.copy_:
        edits.append(_moving(rules.rename, rules.copy_))
    if rules.set:
        edits.append(_setting(rules.set))
    edits.extend(_adding(*encoded(name, value)) for name, value in rules.add.items())
    return tuple(edits)


def _keeping(names: Iterable[str]) -> Edit:
    kept = frozenset(name.lower().encode() for name in (*names, *_OWN))

    def edit(fields: Fields) -> None:
        fields.replace([line for line in fields.raw if folded[line[0]] in kept])

    return edit


def _removing(name: bytes) -> Edit:
    def edit(fields: Fields) -> None:
        fields.remove(name)

    return edit


def _moving(renames: Mapping[str, str], copies: Mapping[str, str]) -> Edit:
    # By folded name: the names under which each of its lines goes on; None is the name as it arrived.
    onward: dict[bytes, tuple[bytes | None, ...]] = {}
    for old in {name.lower() for name in (*renames, *copies)}:
        renamed: list[bytes | None] = [new.encode() for name, new in renames.items() if name.lower() == old]
        copied = [new.encode() for name, new in copies.items() if name.lower() == old]
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
