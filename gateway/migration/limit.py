"""`rate-limiting`: limits of groups of users, and of all together."""

from typing import Any, Final

from gateway.migration import expression
from gateway.migration.draft import WHO, Chain, Condition, methods
from gateway.migration.source import VARIABLE, Element
from gateway.migration.writing import Noted, Reference

_STORE: Final = "RATE_LIMIT_STORE"

_UNITS: Final = ("SECOND", "MINUTE", "HOUR", "DAY")


def rate_limiting(config: Element, chain: Chain) -> None:
    """One `rate_limit`, counting in windows as Repose does."""
    options: dict[str, Any] = {}
    unknown = _unknown(chain) if config.all("limit-group") else ""
    if unknown:
        chain.left(config, unknown)
        config.forget()
        chain.refuse(config.place)
        return
    captures = config.flag("use-capture-groups", True)
    everybody = config.first("global-limit-group")
    names: set[str] = set()
    if everybody is not None:
        everybody.ignore("@id")
        limits = [_limit(limit, chain, names, captures, True) for limit in everybody.all("limit")]
        options["limits"] = [limit for limit in limits if limit is not None]
        chain.differs(
            everybody,
            "all limits of a request are decided at once, and none is charged where one refuses; Repose charges the caller's "
            "first, then those for all",
        )
    groups, default = [], None
    found = config.all("limit-group")
    for element in found:
        group = _group(element, chain, names, captures)
        if group is None:
            continue
        if not element.flag("default"):
            groups.append(group)
            continue
        default = element, group
        if "for" in group.value and element is not found[-1]:
            groups.append(group)  # whoever is in a later group too is in this one
    if default is not None:
        element, group = default
        rest = {key: value for key, value in group.value.items() if key != "for"}
        if group in groups:
            rest["name"] = f"{rest['name']}-default"
            rest["limits"] = [_renamed(limit, names) for limit in rest["limits"]]
        groups.append(Noted(rest, (f"{element.place}, for everybody else",)))
    if groups:
        options["groups"] = groups
    if config.flag("overLimit-429-responseCode"):
        options["status"] = 429
    _endpoint(config, chain, options)
    _store(config, chain, options)
    _differences(config, chain, options)
    _asked_for_a_user(config, chain)
    if options.get("limits") or groups:
        chain.add("rate_limit", options, config.place)
    else:
        chain.left(config, "there is no limit in it")


def _unknown(chain: Chain) -> str:
    """Why it is not known here who is counted, and in which groups; empty where it is."""
    written = chain.written(*WHO)
    if written is not None:
        return f"its users and groups are those of {written}, which only the upstream is told of"
    if not chain.draft.users:
        return (
            "no filter before this one says who is calling, so its users and groups are in X-PP-User and X-PP-Groups as a node in "
            "front sends them, or anybody else: put a `principal` there that names the peers to be trusted with them "
            "(`sources: [ { repose: { trusted_peers: [...] } } ]`)"
        )
    return ""


def _group(element: Element, chain: Chain, names: set[str], captures: bool) -> Noted | None:
    value: dict[str, Any] = {"name": element.required("id")}
    listed = element.words("groups")
    if listed:
        value["for"] = {"groups": listed}
    elif not element.flag("default"):
        chain.left(element, f"the limit-group {element.get('id')!r} names no group, so that nobody is in it")
        element.forget()
        return None
    limits = [_limit(limit, chain, names, captures, False) for limit in element.all("limit")]
    value["limits"] = [limit for limit in limits if limit is not None]
    return Noted(value, (str(element.place),))


def _limit(element: Element, chain: Chain, names: set[str], captures: bool, everybody: bool) -> Noted | None:
    """A limit; None where it cannot be said, and its requests are refused."""
    regex = element.get("uri-regex", ".*") or ".*"
    raw = element.required("value")
    if not VARIABLE.search(raw) and element.whole("value") < 1:
        chain.left(
            element, "a limit of 0, which lets nothing pass: take the requests out with `rbac` or `methods`"
        )
        _refuse(element, regex, chain)
        return None
    unit = element.required("unit").upper()
    if unit not in _UNITS:
        chain.left(element, f"the unit {unit!r}")
        _refuse(element, regex, chain)
        return None
    value: dict[str, Any] = {
        "name": _name(element, names),
        "rate": f"{raw}/{unit.lower()}",
        "algorithm": "fixed_window",
    }
    key = ["global"] if everybody else ["user_id"]
    if not expression.is_everything(regex) or (captures and "(" in regex):
        try:
            text = expression.whole(regex)
            grouped = expression.groups(text) > 0
        except ValueError as error:
            chain.left(element, f"the expression {regex!r}: {error}")
            _refuse(element, regex, chain)
            return None
        value["path"] = expression.REGEX + text
        chain.bounds_paths(element, "counts for this limit whatever it is")
        if captures and grouped and not everybody:
            key.append("captures")
        elif captures and grouped:
            key = ["captures"]
    uri = element.get("uri")
    if uri and uri != value.get("path", "*").removeprefix(expression.REGEX):
        value["uri"] = uri
    value["key"] = key
    listed = methods(element.words("http-methods"))
    if listed:
        value["methods"] = listed
    query = element.words("query-param-names")
    if query:
        value["query"] = query
    if everybody:
        value["status"] = 503
    return Noted(value, (str(element.place),))


def _refuse(element: Element, regex: str, chain: Chain) -> None:
    """For a limit that cannot be said: the requests that it counted are refused, as far as they can be told from others."""
    when: list[Condition] = []
    try:
        if not expression.is_everything(regex):
            when.append({"path": expression.paths(regex)})
    except ValueError:
        pass
    listed = methods(element.words("http-methods"))
    if listed:
        when.append({"method": listed})
    element.forget()
    chain.refuse(element.place, when=when)


def _asked_for_a_user(config: Element, chain: Chain) -> None:
    """Repose counts nobody that it does not know: 401."""
    if chain.knows_everybody():
        return
    chain.add(
        "respond",
        {"status": 401},
        config.place,
        when=[{"header": {"X-PP-User": False}}],
        comment=["Repose refuses who is not known when limits are counted."],
        beside="nobody",
    )


def _store(config: Element, chain: Chain, options: dict[str, Any]) -> None:
    """Where several machines have counted together, they go on to."""
    store = config.get("datastore")
    if chain.draft.nodes < 2 or store.startswith("local") or not (store or chain.draft.shared):
        return
    options["store"] = {"url": Reference(_STORE, "redis://127.0.0.1:6379")}
    options["on_store_error"] = "deny"
    chain.differs(
        config,
        f"the machines count together in a Redis, by the environment variable {_STORE} (`store`); 503 while it gives no answer",
    )


def _name(element: Element, names: set[str]) -> str:
    base = element.get("id") or element.get("uri") or "limit"
    base = base if base != "*" else "limit"
    return _unique(base, names)


def _unique(base: str, names: set[str]) -> str:
    name, number = base, 1
    while name in names:
        number += 1
        name = f"{base}-{number}"
    names.add(name)
    return name


def _renamed(limit: Noted, names: set[str]) -> Noted:
    return Noted({**limit.value, "name": _unique(limit.value["name"], names)}, limit.comment)


def _endpoint(config: Element, chain: Chain, options: dict[str, Any]) -> None:
    element = config.first("request-endpoint")
    if element is None:
        return
    regex = element.get("uri-regex", r"\/limits\/(\d*)\/")
    absolute = element.flag("include-absolute-limits")
    try:
        value: dict[str, Any] = {"path": expression.REGEX + expression.whole(regex)}
    except ValueError as error:
        chain.left(element, f"the expression {regex!r}: {error}")
        return
    if absolute:
        value["absolute"] = True
    options["endpoint"] = Noted(value, (str(element.place),))
    limits = [limit.value for group in options.get("groups", ()) for limit in group.value["limits"]]
    by_path = [limit["name"] for limit in limits if "captures" in limit["key"]]
    if by_path:
        chain.differs(
            element,
            "a limit by a group of its expression has a bucket for each text of it, and is not listed where clients ask for their "
            f"limits: {', '.join(by_path)}",
        )


def _differences(config: Element, chain: Chain, options: dict[str, Any]) -> None:
    chain.differs(
        config,
        "Retry-After is a number of seconds (`retry_after: date` is Repose's form), and the answer has the compute API's body",
    )
    warn = config.get("datastore-warn-limit")
    if warn:
        chain.left(
            config, "datastore-warn-limit: the counters of a user are bounded here, and need no warning"
        )
    if "store" not in options:
        chain.differs(
            config, "each machine counts by itself, unless `store` names a Redis that they all count in"
        )
