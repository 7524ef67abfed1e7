"""`system-model.cfg.xml`: nodes, destinations, and the chain with its conditions.

Repose 6 to 8 have it in a `repose-cluster`, of which there may be several; Repose 9 has one, without that element.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from gateway.config.model import parse_endpoint
from gateway.http.fields import is_token
from gateway.migration import expression
from gateway.migration.draft import Chain, Condition, Draft, Router, joined, methods, negated
from gateway.migration.report import Note, Part
from gateway.migration.source import VARIABLE, Element, Place, SourceError
from gateway.migration.template import covers, meets
from gateway.migration.writing import Noted

FILE: Final = "system-model.cfg.xml"

_PORTS: Final = {"http": 80, "https": 443}

_QUALITY: Final = 0.5
"""Of a destination-router that says none."""

_EVERYTHING: Final = "/{rest*}"


class FilterUse(NamedTuple):
    """One filter of the chain: where it stands, and for which requests.

    id      how the chain calls it; its name where it has none
    file    of its configuration; empty where the chain names none
    when    its own conditions
    bypass  for requests that no filter sees
    partly  whether a condition of its own cannot be said, so that it sees more requests than it did
    never   whether no request fulfils its conditions
    """

    element: Element
    name: str
    id: str
    file: str
    when: list[Condition]
    bypass: list[Condition]
    partly: bool = False
    never: bool = False


class Model(NamedTuple):
    """What the other parts need to know of the system model."""

    filters: list[FilterUse]
    services: list[Element]
    upstreams: tuple[str, ...]
    https: int


def read(draft: Draft, *, cluster: str = "", node: str = "") -> Model:
    """Fills in listeners and upstreams. Raises SourceError."""
    root = draft.installation.read(FILE, "system-model")
    if root is None:
        raise SourceError(Place(FILE, 0), f"there is no {FILE}")
    body = _cluster(root, cluster, draft)
    https = _nodes(body, node, draft)
    upstreams = _destinations(body, root, draft)
    part = draft.report.part("filters of the chain", body.place)
    filters = list(_filters(body, part))
    if not part.notes:
        draft.report.parts.remove(part)
    services = [service for found in body.all("services") for service in found.all("service")]
    for service in services:
        service.ignore("@name")
    _tracing(root, draft)
    _url_encoding(root, body, draft)
    for place, what in root.unread():
        draft.report.part(what, place).left(place, "unknown")
    return Model(filters, services, upstreams, https)


def _cluster(root: Element, wanted: str, draft: Draft) -> Element:
    clusters = root.all("repose-cluster")
    if not clusters:
        if wanted:
            raise SourceError(root.place, f"there is no repose-cluster {wanted!r}")
        return root
    ids = [cluster.get("id") for cluster in clusters]
    if wanted and wanted not in ids:
        raise SourceError(root.place, f"there is no repose-cluster {wanted!r}: there are {', '.join(ids)}")
    chosen = clusters[ids.index(wanted)] if wanted else clusters[0]
    for cluster in clusters:
        if cluster is not chosen:
            part = draft.report.part(f"repose-cluster {cluster.get('id')}", cluster.place)
            part.left(cluster.place, "one gateway is one cluster: move it by itself, with --cluster")
            cluster.forget()
    return chosen


def _nodes(body: Element, wanted: str, draft: Draft) -> int:
    """The listener of a node; its https-port, 0 for none."""
    nodes = [node for found in body.all("nodes") for node in found.all("node")]
    if not nodes:
        raise SourceError(body.place, "there are no nodes")
    ids = [node.get("id") for node in nodes]
    if wanted and wanted not in ids:
        raise SourceError(body.place, f"there is no node {wanted!r}: there are {', '.join(ids)}")
    node = nodes[ids.index(wanted)] if wanted else nodes[0]
    draft.nodes = len(nodes)
    for other in nodes:
        other.ignore("@hostname", "@http-port", "@https-port")
    part = draft.report.part(f"node {node.get('id')}", node.place)
    ports = [("http", node.whole("http-port", 0)), ("https", node.whole("https-port", 0))]
    http, https = (_port(number, node) for _, number in ports)
    places: list[str] = [f"0.0.0.0:{http}"] if http else []
    if https:
        # Without its certificate a port must not answer others than this host in the clear.
        places.append(f"127.0.0.1:{https}")
        part.left(
            node.place,
            f"TLS on port {https}: it listens on this host only until a certificate is given as PEM (listen[].tls)",
        )
    if not places:
        raise SourceError(node.place, "the node has neither http-port nor https-port")
    comment = [str(node.place)]
    if https:
        comment.append(
            f'{{ address: "0.0.0.0:{https}", tls: {{ certificate: gateway.pem, key: gateway.key }} }}, with TLS'
        )
    draft.core["listen"] = Noted(places if len(places) > 1 else places[0], tuple(comment))
    part.into.append("listen")
    others = [other for other in nodes if other is not node]
    if others:
        part.differs(
            node.place,
            f"this is the configuration of one of {len(nodes)} nodes; the others need the same, with their own listen",
        )
    return https


def _port(number: int, element: Element) -> int:
    if not 0 <= number <= 65535:
        raise SourceError(element.place, f"a port is 0 to 65535, not {number}")
    return number


def _destinations(body: Element, root: Element, draft: Draft) -> tuple[str, ...]:
    """The names of the upstreams."""
    rewrites = body.flag("rewrite-host-header", True)
    found = [one for destinations in body.all("destinations") for one in destinations.elements()]
    if not found:
        raise SourceError(body.place, "there are no destinations")
    upstreams: dict[str, Any] = {}
    for one in found:
        name = _name(one.required("id"), upstreams)
        part = draft.report.part(f"destination {one.get('id')}", one.place)
        endpoints = list(dict.fromkeys(_endpoints(one, root, part)))
        one.ignore("@chunked-encoding")  # a body travels as the client frames it
        if not endpoints:
            if one.flag("default"):  # no other destination is where these requests may go
                Chain(draft, part, "destination", []).refuse(one.place)
            continue
        options: dict[str, Any] = {"endpoints": endpoints, "host": "upstream" if rewrites else "keep"}
        upstreams[name] = Noted(options, (str(one.place),))
        draft.reads(options, one.place, part)
        part.into.append(f"upstreams.{name}")
        root_path = "/" + one.get("root-path").strip("/")
        if root_path != "/":
            draft.root_paths[name] = root_path
        if one.flag("default") or not draft.default:
            draft.default = name
    if not upstreams:
        raise SourceError(body.place, "none of the destinations can be moved")
    draft.core["upstreams"] = upstreams
    return tuple(upstreams)


def _name(wanted: str, taken: dict[str, Any]) -> str:
    base = re.sub(r"[^A-Za-z0-9_.-]", "-", wanted)[:60].lstrip("_.-") or "upstream"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def _endpoints(one: Element, root: Element, part: Part) -> Iterator[str]:
    protocol = one.get("protocol")
    if one.name == "target":
        yield from _target(one, root, part)
        return
    if not protocol and (one.has("hostname") or one.has("port")):
        protocol = "https" if root.first("repose-cluster") is None else "http"
    if not protocol:
        part.left(
            one.place, "a service inside the same servlet container: name where it listens (protocol, port)"
        )
        return
    port = one.get("port", "0")
    authority = one.get("hostname", "localhost")
    if port not in ("", "0"):
        authority = f"{authority}:{port}"
    yield _endpoint(f"{protocol}://{authority}", one)


def _target(one: Element, root: Element, part: Part) -> Iterator[str]:
    """The nodes of a cluster, in turn."""
    wanted, protocol = one.required("cluster"), one.get("protocol", "http")
    for cluster in (*root.all("service-cluster"), *root.all("repose-cluster")):
        if cluster.get("id") == wanted:
            for node in (node for found in cluster.all("nodes") for node in found.all("node")):
                port = node.whole(f"{protocol}-port", 0) or _PORTS.get(protocol, 0)
                node.ignore("@id", "@http-port", "@https-port")
                yield _endpoint(f"{protocol}://{node.required('hostname')}:{port}", node)
            return
    raise SourceError(one.place, f"there is no cluster {wanted!r}")


def _endpoint(url: str, element: Element) -> str:
    filled = element.filled(url) if VARIABLE.search(url) else url
    try:
        parse_endpoint(filled)
    except ValueError as error:
        raise SourceError(element.place, str(error)) from None
    return url


def _filters(body: Element, part: Part) -> Iterator[FilterUse]:
    """The chain in its order, each filter with the condition under which it sees a request."""
    found = body.first("filters")
    if found is None:
        return
    bypass = _path_condition(found.get("bypass-uri-regex"), found, part)
    for element in found.all("filter"):
        regex = element.get("uri-regex")
        parts = [_paths(regex, element)] if regex else []
        parts += [_criterion(criterion) for criterion in element.elements()]
        said = _folded(parts, every=True)
        for note in said.notes:
            part.left(note.place, note.text)
        name = element.required("name")
        yield FilterUse(
            element,
            name,
            element.get("id") or name,
            element.get("configuration"),
            [one.condition for one in parts if not isinstance(one.condition, bool)],
            [{"not": bypass}] if bypass is not None else [],
            bool(said.notes),
            said.condition is False,
        )


class Said(NamedTuple):
    """A condition of Repose, as far as it can be said.

    condition  True where every request fulfils it, False where none does
    notes      of what cannot be said, and is left out where the filter then sees more requests, never where it sees fewer
    """

    condition: Condition | bool
    notes: tuple[Note, ...] = ()


def _path_condition(regex: str, element: Element, part: Part) -> Condition | None:
    if not regex:
        return None
    try:
        return {"path": expression.paths(regex)}
    except ValueError as error:
        part.left(element.place, f"the condition {regex!r}, so that the filter sees every request: {error}")
        return None


def _unsaid(element: Element, what: str, why: object, *, denied: bool) -> Said:
    """A condition that cannot be said: as if it held, or as if it did not where it is `denied`."""
    text = f"the condition {what}, so that the filter sees more requests than it did: {why}"
    return Said(not denied, (Note("left", element.place, text),))


def _paths(regex: str, element: Element, *, denied: bool = False) -> Said:
    if expression.is_everything(regex):
        return Said(condition=True)
    try:
        return Said({"path": expression.paths(regex)})
    except ValueError as error:
        return _unsaid(element, repr(regex), error, denied=denied)


def _criterion(element: Element, *, denied: bool = False) -> Said:
    """A condition of Repose 8.10 and later. `denied` says that it stands in a `not`."""
    if element.name == "methods":
        return _methods(element, denied=denied)
    if element.name == "header":
        value = element.get("value")
        return Said({"header": {element.required("name"): value if element.has("value") else True}})
    if element.name == "uri":
        return _paths(element.required("regex"), element, denied=denied)
    if element.name not in ("and", "or", "not"):
        raise SourceError(element.place, f"{element.name} is no condition")
    turned = element.name == "not"
    parts = [_criterion(child, denied=denied != turned) for child in element.elements()]
    if not parts or (turned and len(parts) > 1):
        return _unsaid(element, element.name, f"it is of {len(parts)}", denied=denied)
    if not turned:
        return _folded(parts, every=element.name == "and")
    (one,) = parts
    return Said(not one.condition if isinstance(one.condition, bool) else negated(one.condition), one.notes)


def _folded(parts: Sequence[Said], *, every: bool) -> Said:
    """A condition that holds where every part does, or where one does."""
    if any(one.condition is (not every) and not one.notes for one in parts):
        return Said(not every)  # whatever the others are
    notes = tuple(note for one in parts for note in one.notes)
    if any(one.condition is (not every) for one in parts):
        return Said(not every, notes)
    conditions = [one.condition for one in parts if not isinstance(one.condition, bool)]
    if not conditions:
        return Said(every, notes)
    return Said(joined(conditions) if every or len(conditions) == 1 else {"any": conditions}, notes)


def _methods(element: Element, *, denied: bool) -> Said:
    words = element.words("value")
    unfit = [word for word in words if not is_token(word.encode())]
    if unfit or not words:
        why = f"{unfit[0]!r} is no method" if unfit else "it names none"
        return _unsaid(element, "of methods", why, denied=denied)
    listed = methods(words)
    return Said({"method": listed} if listed else True)


def _tracing(root: Element, draft: Draft) -> None:
    tracing = root.first("tracing-header")
    if tracing is not None:
        part = draft.report.part("tracing-header", tracing.place)
        tracing.forget()
        part.left(
            tracing.place,
            "X-Trans-Id: every request has an X-Compute-Request-Id here, which the upstream and the record get; `tracing` "
            "speaks W3C trace context",
        )
    phone_home = root.first("phone-home")
    if phone_home is not None:
        phone_home.forget()
        draft.report.part("phone-home", phone_home.place).left(phone_home.place, "nothing is told to anybody")


def _url_encoding(root: Element, body: Element, draft: Draft) -> None:
    for element in dict.fromkeys((root, body)):
        for one in element.all("url-encode-headers"):
            one.forget()
            draft.report.part("url-encode-headers", one.place).left(
                one.place,
                "values of fields go on as they came; in users and groups that the gateway tells of, what would part them is "
                "percent-encoded",
            )


def destination_router(config: Element, chain: Chain, use: FilterUse, model: Model) -> None:
    """`destination-router`: for the paths of its condition, or for all; `routes` says what becomes of it."""
    target = config.first("target")
    if target is None:
        raise SourceError(config.place, "destination-router needs a target")
    wanted = _wanted(target.required("id"), model, target)
    quality = target.number("quality", _QUALITY)
    paths = _only_paths(use.when) if use.when else [_EVERYTHING]
    if use.when and chain.draft.rewritten is not None:
        chain.left(target, f"its condition is for the path that {chain.draft.rewritten} has made")
        chain.refuse(target.place)
    elif paths is not None and all(not path.startswith(expression.REGEX) for path in paths):
        chain.draft.routers.append(Router(chain, use.element.place, wanted, tuple(paths), quality))
    else:
        chain.left(
            target, "routes go by host and path template, and this condition is neither: write the routes"
        )
        chain.refuse(target.place)  # another destination is not where they may go


def routes(draft: Draft, filters: Sequence[FilterUse]) -> None:
    """The routes of all routers: where several have a path, that of the highest quality decides, and of equals the last one."""
    usual = draft.default
    standing: list[tuple[str, Router]] = []
    for router in sorted(draft.routers, key=lambda one: one.quality):
        for path in router.paths:
            _put(path, router, standing)
    if standing:
        bypass = [path for use in filters[:1] for one in use.bypass for path in _texts(one["not"]["path"])]
        _past(bypass, Router(standing[-1][1].chain, standing[-1][1].place, usual, (), 0), standing)
    for router in draft.routers:
        if all(other is not router for _, other in standing):
            router.chain.part.left(
                router.place, "others decide where its requests go, by their quality or as the last ones"
            )
    for path, router in standing:
        if path == _EVERYTHING:
            draft.default = router.wanted
            router.chain.part.into.append("routes.everything")
            continue
        name = draft.named(f"to-{router.wanted}")
        draft.routes.append(Noted(draft.route(name, path, router.wanted), (str(router.place),)))
        router.chain.part.into.append(f"routes.{name}")


def _put(path: str, router: Router, standing: list[tuple[str, Router]]) -> None:
    """A path of a router, which decides where others so far have that path too."""
    standing[:] = [(other, lower) for other, lower in standing if not covers(path, other)]
    for other, lower in standing:
        # A route for a part of another's paths is asked first.
        if lower.wanted != router.wanted and meets(path, other) and not covers(other, path):
            router.chain.part.left(
                router.place,
                f"it decides of requests to {path} that are to {other} too ({lower.place}), of which neither route is the more "
                "particular",
            )
            router.chain.refuse(router.place, when=[{"path": [path]}, {"path": [other]}])
    standing.append((path, router))


def _past(bypass: Sequence[str], usual: Router, standing: list[tuple[str, Router]]) -> None:
    """What no filter sees, and so no router, goes to the default."""
    known = list(standing)
    for path in bypass:
        template = not path.startswith(expression.REGEX)
        if not any(
            one.wanted != usual.wanted and (not template or meets(path, other)) for other, one in known
        ):
            continue
        if template:
            _put(path, usual, standing)
            continue
        usual.chain.part.left(
            usual.place,
            f"what bypass-uri-regex lets pass goes to {usual.wanted}, and routes go by path templates: write the route",
        )
        usual.chain.refuse(usual.place, when=[{"path": [path]}])


def _wanted(name: str, model: Model, element: Element) -> str:
    wanted = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
    if wanted not in model.upstreams:
        raise SourceError(element.place, f"there is no destination {name!r}")
    return wanted


def _only_paths(when: Sequence[Condition]) -> list[str] | None:
    if len(when) == 1 and list(when[0]) == ["path"]:
        return _texts(when[0]["path"])
    return None


def _texts(value: Any) -> list[str]:
    return list(value) if isinstance(value, list) else [value]
