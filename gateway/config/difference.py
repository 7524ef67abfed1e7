"""What of two configurations is different, by what it means and not by how it is written.

Options are compared in their normal form, so that neither order of keys nor defaults that are written out count. What
has a name is held against what has the same name. Each change says what it does to access: an option declares what more
of it means (`Filter.access` for those of filters); of one that declares nothing a change may do either, and so may an entry
that comes, goes or changes its mode, where its filter does not say that all it does is to refuse. Rates are held
against each other by what they come to: how much in the long run, and how much at once.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.api.filter import Effect, files_read, only_refuses
from gateway.config.beside import MAX_BESIDE, contents
from gateway.config.load import Loaded, normal_form, shown
from gateway.config.model import Entry, Route
from gateway.config.problem import Path
from gateway.http.template import meet
from gateway.registry import Registry

LOOSENS: Final = "loosens"
TIGHTENS: Final = "tightens"
EITHER: Final = "either"
NEUTRAL: Final = "neutral"
RISKS: Final = (LOOSENS, EITHER, TIGHTENS, NEUTRAL)
"""What a change does to access, what is to be looked at first coming first; `either` is not known to do only one of both."""

_OPPOSITE: Final = {LOOSENS: TIGHTENS, TIGHTENS: LOOSENS, EITHER: EITHER, NEUTRAL: NEUTRAL}
_STRICTNESS: Final = ("off", "shadow", "enforce")
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_MONTHS: Final = (28 * 86_400, 31 * 86_400)
"""Seconds of the shortest and of the longest one."""

_RESTART: Final = frozenset(("workers",))
"""What a reload does not change."""

_CORE: Final[Mapping[str, Effect]] = {
    "limits.*": "greater",
    "timeouts": "none",
    "watch": "none",
    "drain_delay": "none",
    "drain_timeout": "none",
    "faults": "none",
    "log": "none",
    "tracing": "none",
    "via.comment": "none",
    "via.max_hops": "greater",
    "routes.methods": "more",
    "routes.target": ("strict", "lenient"),
    "routes.upgrade": "more",
    "routes.record": "none",
    "routes.concurrency": "fewer",
    "routes.concurrency.limit": "greater",
    "routes.concurrency.queue": "greater",
    "routes.concurrency.queue_timeout": "greater",
    "upstreams.balance": "none",
    "upstreams.hash": "none",
    "upstreams.health": "none",
    "upstreams.gateway_errors": "none",
    "upstreams.ejection": "none",
    "upstreams.slow_start": "none",
    "upstreams.panic_percent": "none",
    "upstreams.breaker": "none",
    "upstreams.max_connections": "greater",
    "upstreams.max_pending": "greater",
    "upstreams.pending_timeout": "greater",
    "upstreams.resolve": "none",
    "upstreams.timeouts": "none",
    "upstreams.keepalive": "none",
    "upstreams.max_idle": "none",
    "upstreams.retries": "none",
    "upstreams.concurrency": "fewer",
    "upstreams.concurrency.limit": "greater",
    "upstreams.concurrency.queue": "greater",
    "upstreams.concurrency.queue_timeout": "greater",
    "trace": "more",
    "trace.allow.networks": "more",
    "trace.allow.roles": "more",
}
"""Of the gateway's own options. Of one that is not here a change may do either: whom `trusted_proxies` names is no client any
more, `forwarded` and `host` tell the upstream something else, a mirror gets copies, and some limits are of each worker. How slow a
client may be, and what becomes of an endpoint that is not well, is not counted as access."""


class Change(NamedTuple):
    """One difference.

    kind      added, removed, changed or moved
    what      what it is a part of, as people call it: "rate_limit 'post-images'", "route image-metadata"
    option    the option below that, such as `burst`; empty for the whole
    old, new  both sides as people write them; empty for none
    source    where it stands, on the new side if it is there
    risk      one of RISKS
    restart   whether a reload is not enough
    note      what it comes to, where that is not to be seen
    """

    kind: str
    what: str
    option: str
    old: str
    new: str
    source: str
    risk: str
    restart: bool = False
    note: str = ""

    def __str__(self) -> str:
        subject = f"{self.what} {self.option}".rstrip()
        if self.kind == "changed":
            return f"{subject}: {self.old} -> {self.new}{f' ({self.note})' if self.note else ''}"
        value = self.new or self.old
        return f"{subject}: {self.kind}{f' {value}' if value else ''}"


def differences(old: Loaded, new: Loaded, registry: Registry) -> list[Change]:
    """All changes from `old` to `new`, the riskiest first, else in the order of the configuration."""
    found = list(_Comparison(old, new, registry).changes())
    return sorted(found, key=lambda change: RISKS.index(change.risk))


class _Side(NamedTuple):
    """A value on one side: as it is compared, as people may see it, and where it stands."""

    value: Any
    shown: Any
    path: Path


class _Comparison:
    def __init__(self, old: Loaded, new: Loaded, registry: Registry) -> None:
        self._old = old
        self._new = new
        self._registry = registry

    def changes(self) -> Iterator[Change]:
        old, new = self._old.configuration, self._new.configuration
        yield from self._chain("", old.filters, new.filters)
        yield from self._routes()
        before, after = self._sides(old, self._old, ()), self._sides(new, self._new, ())
        for key in before.value:
            if key in ("filters", "routes"):
                continue
            one, other = _member(before, key), _member(after, key)
            if key == "upstreams":
                yield from self._named("upstream", ("upstreams",), one, other)
            else:
                yield from self._values(key, "", (key,), one, other)

    @staticmethod
    def _sides(value: Any, loaded: Loaded, path: Path) -> _Side:
        return _Side(normal_form(value), shown(value, loaded.filled), path)

    @staticmethod
    def _content(loaded: Loaded, name: str) -> str:
        """What tells the content of a file beside the configuration from another."""
        content = loaded.files.get(name) or contents(loaded.directory, (name,), MAX_BESIDE).get(name)
        return "none" if content is None else hashlib.sha256(content).hexdigest()[:12]

    def _place(self, path: Path, *, old: bool = False) -> str:
        return str((self._old if old else self._new).marks.position(path))

    # ---- routes

    def _routes(self) -> Iterator[Change]:
        olds = {route.name: (place, route) for place, route in enumerate(self._old.configuration.routes)}
        news = {route.name: (place, route) for place, route in enumerate(self._new.configuration.routes)}
        for name, (place, route) in news.items():
            path: Path = ("routes", place)
            what = f"route {name}"
            if name not in olds:
                risk = EITHER if self._meets_another(route) else LOOSENS
                yield Change("added", what, "", "", route.path, self._place(path), risk)
                continue
            old_place, old = olds[name]
            yield from self._chain(what, old.filters, route.filters)
            before = self._sides(old, self._old, ("routes", old_place))
            after = self._sides(route, self._new, path)
            for key in before.value:
                if key not in ("filters", "name"):
                    yield from self._values(
                        what, key, ("routes", key), _member(before, key), _member(after, key)
                    )
        for name, (place, route) in olds.items():
            if name not in news:
                source = self._place(("routes", place), old=True)
                risk = EITHER if self._meets_another(route) else TIGHTENS
                yield Change("removed", f"route {name}", "", route.path, "", source, risk)

    def _meets_another(self, route: Route) -> bool:
        """Whether another route may take some of its requests where it is not there, with other filters.

        Methods do not count: a path that has a route for one method answers the others too, by 405.
        """
        return any(
            other.name != route.name and _hosts_meet(other.host, route.host) and meet(other.path, route.path)
            for side in (self._old, self._new)
            for other in side.configuration.routes
        )

    # ---- filters

    def _chain(self, scope: str, olds: Sequence[Entry], news: Sequence[Entry]) -> Iterator[Change]:
        before = {entry.name: entry for entry in olds}
        after = {entry.name: entry for entry in news}
        for name, entry in after.items():
            what = _entry_name(scope, entry)
            source = self._place(entry.path)
            if name not in before:
                yield Change("added", what, "", "", _mode(entry), source, self._of_entry(entry))
                continue
            yield from self._entry(what, before[name], entry)
        for name, entry in before.items():
            if name not in after:
                yield Change(
                    "removed",
                    _entry_name(scope, entry),
                    "",
                    _mode(entry),
                    "",
                    self._place(entry.path, old=True),
                    _OPPOSITE[self._of_entry(entry)],
                )
        places = {name: place for place, name in enumerate(before)}
        order = [name for name in after if name in places]
        stayed = _rising([places[name] for name in order])
        for number, name in enumerate(order):
            if places[name] in stayed:
                continue
            entry = after[name]
            told = f"behind {order[number - 1]}" if number else f"before {order[1]}"
            judges = _counts(before[name]) or _counts(entry)
            source = self._place(entry.path)
            yield Change(
                "moved", _entry_name(scope, entry), "", "", told, source, EITHER if judges else NEUTRAL
            )

    def _entry(self, what: str, old: Entry, new: Entry) -> Iterator[Change]:
        source = self._place(new.path)
        counts = _counts(old) or _counts(new)
        enforces = "enforce" in (old.mode, new.mode)
        delegates = counts and not enforces
        refuses = enforces and self._only_refuses(old) and self._only_refuses(new)
        if old.type != new.type:
            yield Change("changed", what, "", old.type, new.type, source, EITHER)
            return
        if old.mode != new.mode:
            stricter = _STRICTNESS.index(new.mode) > _STRICTNESS.index(old.mode)
            risk = EITHER
            if not counts:
                risk = NEUTRAL
            elif refuses:
                risk = TIGHTENS if stricter else LOOSENS
            yield Change("changed", what, "mode", old.mode, new.mode, source, risk)
        if old.shadow_percent != new.shadow_percent:
            yield Change(
                *("changed", what, "shadow_percent", f"{old.shadow_percent:g}", f"{new.shadow_percent:g}"),
                *(source, EITHER if delegates else NEUTRAL),
            )
        if old.delegate != new.delegate:
            before, after = (
                f"{entry.delegate:g}" if entry.delegate is not None else "" for entry in (old, new)
            )
            kind = "changed" if before and after else "added" if after else "removed"
            # Whether it refuses anything is up to who reads it.
            yield Change(kind, what, "delegate", before, after, source, EITHER)
        if old.when != new.when:
            before, after = (
                _text(shown(entry.when)) if entry.when is not None else "" for entry in (old, new)
            )
            kind = "changed" if before and after else "added" if after else "removed"
            risk = EITHER
            if refuses:
                # What is judged of fewer requests lets more pass.
                risk = LOOSENS if kind == "added" else TIGHTENS if kind == "removed" else EITHER
            yield Change(
                *(kind, what, "when", before, after, self._place((*new.path, "when"))),
                risk if counts else NEUTRAL,
            )
        for name in files_read(new.options, self._new.files):
            before, after = self._content(self._old, name), self._content(self._new, name)
            if before != after:
                told = f"file {name}", before, after, source, EITHER if counts else NEUTRAL
                yield Change("changed", what, *told, note="what is in it")
        effects = self._registry.get(new.type).access
        before_side = self._sides(old.options, self._old, old.path)
        after_side = self._sides(new.options, self._new, new.path)
        for key in after_side.value:
            for change in self._values(
                what, key, (key,), _member(before_side, key), _member(after_side, key), effects
            ):
                risk = change.risk if counts else NEUTRAL
                if risk != NEUTRAL and delegates:
                    risk = EITHER  # what becomes of it is up to who reads what it delegates
                yield change._replace(risk=risk)

    def _only_refuses(self, entry: Entry) -> bool:
        return only_refuses(self._registry.get(entry.type), entry.options)

    def _of_entry(self, entry: Entry) -> str:
        """What it does to access that an entry is there."""
        if not _counts(entry):
            return NEUTRAL
        # What does more may tell filters behind it, and the upstream, what lets a request pass: who is calling, say.
        return TIGHTENS if entry.mode == "enforce" and self._only_refuses(entry) else EITHER

    # ---- values

    def _named(self, kind: str, place: tuple[str, ...], old: _Side, new: _Side) -> Iterator[Change]:
        """Mappings of what has names."""
        for name in {**old.value, **new.value}:
            what = f"{kind} {name}"
            if name not in old.value:
                yield Change("added", what, "", "", "", self._place((*new.path, name)), NEUTRAL)
            elif name not in new.value:
                yield Change("removed", what, "", "", "", self._place((*old.path, name), old=True), NEUTRAL)
            else:
                before, after = _member(old, name), _member(new, name)
                for key in after.value:
                    yield from self._values(
                        what, key, (*place, key), _member(before, key), _member(after, key)
                    )

    def _values(
        self,
        what: str,
        option: str,
        place: tuple[str, ...],
        old: _Side,
        new: _Side,
        effects: Mapping[str, Effect] = _CORE,
    ) -> Iterator[Change]:
        """`place` names the option without numbers and names."""
        if old.value == new.value:
            return
        if isinstance(old.value, dict) and isinstance(new.value, dict) and not _is_quantity(new.value):
            yield from self._members(what, option, place, old, new, effects)
        elif isinstance(old.value, list) and isinstance(new.value, list):
            yield from self._items(what, option, place, old, new, effects)
        else:
            source = self._place(new.path)
            risk = _risk(place, effects, old.value, new.value)
            before, after = _text(old.shown), _text(new.shown)
            if before == after:  # a secret
                after = "another"
            kind = "changed"
            if old.value is None or new.value is None:
                kind = "added" if old.value is None else "removed"
                before, after = ("", after) if kind == "added" else (before, "")
            yield Change(kind, what, option, before, after, source, risk, restart=place[0] in _RESTART)

    def _members(
        self,
        what: str,
        option: str,
        place: tuple[str, ...],
        old: _Side,
        new: _Side,
        effects: Mapping[str, Effect],
    ) -> Iterator[Change]:
        old, new = _with_each(old, new), _with_each(new, old)
        of_rate = _of_rate(old.value, new.value)
        for key in {**old.value, **new.value}:
            before, after = _member(old, key), _member(new, key)
            inner = f"{option}.{key}" if option else key
            if key in of_rate and _effect((*place, key), effects) == "greater":
                found = of_rate[key]
                if found is not None:
                    told = found.old, found.new, self._place(after.path), found.risk
                    yield Change("changed", what, inner, *told, note=found.note)
                continue
            yield from self._values(what, inner, (*place, key), before, after, effects)

    def _items(
        self,
        what: str,
        option: str,
        place: tuple[str, ...],
        old: _Side,
        new: _Side,
        effects: Mapping[str, Effect],
    ) -> Iterator[Change]:
        """Lists: what is equal is the same item, then what has the same name, then what stands in the same place."""
        olds = [_member(old, number) for number in range(len(old.value))]
        news = [_member(new, number) for number in range(len(new.value))]
        rest = list(olds)
        unmatched: list[_Side] = []
        for item in news:
            same = next((one for one in rest if one.value == item.value), None)
            if same is None:
                unmatched.append(item)
            else:
                rest.remove(same)
        plain = not all(isinstance(side.value, dict) for side in (*rest, *unmatched))
        for item in unmatched:
            name = _name_of(item.value)
            twin = None
            if not plain:
                twin = next((one for one in rest if name and _name_of(one.value) == name), None)
                if twin is None and not name:
                    twin = next(
                        (one for one in rest if one.path[-1] == item.path[-1] and not _name_of(one.value)),
                        None,
                    )
            if twin is None:
                risk = _risk(place, effects, None, item.value)
                yield Change(
                    "added",
                    _item_name(what, name),
                    "" if name else option,
                    "",
                    _text(item.shown),
                    self._place(item.path),
                    risk,
                )
                continue
            rest.remove(twin)
            label = _item_name(what, name) if name else what
            inner = "" if name else f"{option}[{item.path[-1]}]"
            yield from self._members(label, inner, place, twin, item, effects)
        for item in rest:
            name = _name_of(item.value)
            risk = _risk(place, effects, item.value, None)
            yield Change(
                "removed",
                _item_name(what, name),
                "" if name else option,
                _text(item.shown),
                "",
                self._place(item.path, old=True),
                risk,
            )
        if not unmatched and not rest:
            risk = _risk(place, effects, old.value, new.value, order=True)
            yield Change("moved", what, option, "", "", self._place(new.path), risk)


def _rising(numbers: Sequence[int]) -> set[int]:
    """As many of the numbers, all different, as rise in the order in which they stand."""
    ends: list[int] = []  # of the rises of each length, the one whose last number is the lowest
    before: dict[int, int | None] = {}
    for number in numbers:
        length = bisect_left(ends, number)
        before[number] = ends[length - 1] if length else None
        ends[length : length + 1] = [number]
    found: set[int] = set()
    last = ends[-1] if ends else None
    while last is not None:
        found.add(last)
        last = before[last]
    return found


def _member(side: _Side, key: Any) -> _Side:
    value = side.value
    inside = value.get(key) if isinstance(value, dict) else value[key]
    told = side.shown
    if isinstance(told, (dict, list)):
        told = told.get(key) if isinstance(told, dict) else told[key]
    return _Side(inside, told, (*side.path, key))


def _effect(place: tuple[str, ...], effects: Mapping[str, Effect]) -> Effect:
    """What the option declares, or what the nearest that it is a part of declares of its parts.

    That more of the whole lets more pass says nothing of what a part of it does: a parameter that is allowed may be so in one case
    only.
    """
    name = ".".join(place)
    if name in effects:
        return effects[name]
    for end in range(len(place) - 1, 0, -1):
        name = ".".join(place[:end])
        if f"{name}.*" in effects:
            return effects[f"{name}.*"]
        if effects.get(name) in ("none", "either"):
            return effects[name]
    return "either"


def _risk(
    place: tuple[str, ...], effects: Mapping[str, Effect], old: Any, new: Any, *, order: bool = False
) -> str:
    effect = _effect(place, effects)
    if effect == "none":
        return NEUTRAL
    if effect == "either":
        return EITHER
    if order:
        return NEUTRAL if effect in ("more", "fewer") else EITHER
    if isinstance(effect, tuple):
        if old in effect and new in effect:
            return LOOSENS if effect.index(new) > effect.index(old) else TIGHTENS
        return EITHER
    if effect in ("more", "fewer"):
        return _by_presence(effect, old, new)
    if _is_quantity(old) and _is_quantity(new):
        risk = _of_signs(set(_signs(old, new)))
        return risk if effect == "greater" else _OPPOSITE[risk]
    # Where a bound may be left out there is none.
    unbounded = float("inf") if effect == "greater" else float("-inf")
    before, after = (unbounded if value is None else _quantity(value) for value in (old, new))
    if before is None or after is None:
        return EITHER
    grows = after > before
    return LOOSENS if grows == (effect == "greater") else TIGHTENS


def _by_presence(effect: str, old: Any, new: Any) -> str:
    """The risk where what counts is whether something is there."""
    if isinstance(old, bool) and isinstance(new, bool):
        return LOOSENS if new == (effect == "more") else TIGHTENS
    if (old is None) == (new is None):
        return EITHER
    if isinstance(
        old if new is None else new, list
    ):  # a list of what may be, and where there is none all may
        return LOOSENS if (new is None) == (effect == "more") else TIGHTENS
    return LOOSENS if (new is not None) == (effect == "more") else TIGHTENS


def _with_each(side: _Side, other: _Side) -> _Side:
    """With what is said by method on the other side only, which is the default on this one."""
    methods, others = side.value.get("methods"), other.value.get("methods")
    if "default" not in side.value or not (isinstance(methods, dict) and isinstance(others, dict)):
        return side
    filled = {**dict.fromkeys(others, side.value["default"]), **methods}
    told = {**dict.fromkeys(others, side.shown["default"]), **side.shown["methods"]}
    return side._replace(value={**side.value, "methods": filled}, shown={**side.shown, "methods": told})


class _RateChange(NamedTuple):
    """What has become of a rate, or of its burst."""

    old: str
    new: str
    risk: str
    note: str = ""


def _of_rate(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, _RateChange | None]:
    """By its name, each of the options that say how much passes, of two mappings that have a `rate`: None where nothing has
    changed. Empty for others.

    A burst that is as great as the rate's value, which is that of all but gcra, changes with it: then one change is both.
    """
    before, after = old.get("rate"), new.get("rate")
    if not (_is_quantity(before) and _is_quantity(after)):
        return {}
    assert isinstance(before, dict) and isinstance(after, dict)
    bursts = [side.get("burst") or side["rate"]["value"] for side in (old, new)]
    at_once = (bursts[0] < bursts[1]) - (bursts[0] > bursts[1])
    together = bursts == [before["value"], after["value"]]
    found: dict[str, _RateChange | None] = {"rate": None, "burst": None}
    if before != after:
        signs = _signs(before, after)
        notes = []
        if before["unit"] != after["unit"]:
            notes.append(_LONG_RUN[frozenset(signs)])
            if together and at_once:
                notes.append(f"{'more' if at_once > 0 else 'less'} at once: {bursts[0]} -> {bursts[1]}")
        risk = _of_signs({*signs, at_once} if together else set(signs))
        found["rate"] = _RateChange(_text(before), _text(after), risk, ", ".join(notes))
    if at_once and not (together and before != after):
        found["burst"] = _RateChange(str(bursts[0]), str(bursts[1]), _of_signs({at_once}))
    return found


_LONG_RUN: Final = {
    frozenset((0,)): "the same rate",
    frozenset((-1,)): "a lower rate",
    frozenset((1,)): "a higher rate",
    frozenset((0, -1)): "the same rate or a lower one, by the month",
    frozenset((0, 1)): "the same rate or a higher one, by the month",
    frozenset((-1, 1)): "a lower or a higher rate, by the month",
}


def _signs(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[int, ...]:
    """Whether the second rate is the higher one (1), the lower one (-1) or as high, in short and in long months."""

    def sign(month: int) -> int:
        # Whole numbers: 10/minute is to be no other rate than 600/hour.
        seconds = {**_SECONDS, "month": month}
        one = before["value"] * seconds[after["unit"]]
        other = after["value"] * seconds[before["unit"]]
        return int(one < other) - int(one > other)

    return tuple(sign(month) for month in _MONTHS)


def _of_signs(signs: set[int]) -> str:
    """What it does to access that one thing becomes more (1) or less (-1), and another too."""
    if {1, -1} <= signs:
        return EITHER
    return LOOSENS if 1 in signs else TIGHTENS if -1 in signs else NEUTRAL


def _quantity(value: Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, (int, float)):
        return float(value)
    return None


def _is_quantity(value: Any) -> bool:
    """Whether it is a rate."""
    return (
        isinstance(value, dict)
        and value.keys() == {"value", "unit"}
        and (value["unit"] in _SECONDS or value["unit"] == "month")
    )


def _name_of(value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else None
    return name if isinstance(name, str) else ""


def _item_name(what: str, name: str) -> str:
    return f"{what} '{name}'" if name else what


def _entry_name(scope: str, entry: Entry) -> str:
    told = entry.type if entry.name == entry.type else f"{entry.type} {entry.name}"
    return f"{scope}: {told}" if scope else told


def _mode(entry: Entry) -> str:
    return "" if entry.mode == "enforce" else f"in {entry.mode}" if entry.mode == "shadow" else entry.mode


def _counts(entry: Entry) -> bool:
    """Whether anybody but the record hears of what it does."""
    return entry.mode == "enforce" or (entry.mode == "shadow" and entry.delegate is not None)


def _hosts_meet(one: str | None, other: str | None) -> bool:
    """Whether there is a host that both take."""
    if one is None or other is None:
        return True
    one, other = one.lower(), other.lower()
    return one == other or any(
        wide.startswith("*.") and narrow.endswith(wide[1:]) for wide, narrow in ((one, other), (other, one))
    )


def _text(value: Any) -> str:
    """A value as people write it."""
    if _is_quantity(value):
        return f"{value['value']}/{value['unit']}"
    if isinstance(value, dict):
        told = {key: item for key, item in value.items() if item not in (None, [], {})}
        return "{" + ", ".join(f"{key}: {_text(item)}" for key, item in told.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "null" if value is None else str(value)
