"""`container.cfg.xml` and `http-connection-pool.cfg.xml`: limits, timeouts, Via and TLS of the server."""

from typing import Any, Final

from gateway.migration.draft import Chain, Draft
from gateway.migration.report import Part
from gateway.migration.source import Element
from gateway.migration.writing import Noted

FILE: Final = "container.cfg.xml"
POOLS: Final = "http-connection-pool.cfg.xml"

_TOTAL: Final = 300
"""Seconds; `timeouts.total` of an upstream by default."""

_OF_THE_CONTAINER: Final = (
    "@http-port",
    "@https-port",
    "@jmx-reset-time",
    "@soLingerTime",
    "@client-request-logging",
)
_DIRECTORIES: Final = ("logging-configuration", "deployment-directory", "artifact-directory")
"""What speaks of Java, and of nothing that a client could notice."""


_OF_POOLS: Final = (
    "@http.conn-manager.max-total",
    "@http.conn-manager.max-per-route",
    "@http.socket.buffer-size",
    "@http.tcp.nodelay",
    "@http.connection.max-header-count",
    "@http.connection.max-line-length",
    "@http.connection.max-status-line-garbage",
    "@http.connection.timeout",
    "@http.socket.timeout",
    "@chunked-encoding",
    "@keepalive.timeout",
)
"""What this gateway has no need of, or its own words for."""


def read(draft: Draft, https: int) -> None:
    """Fills in what the container's configuration says. Raises SourceError."""
    root = draft.installation.read(FILE, "repose-container")
    if root is not None:
        for element in (*root.all("deployment-config"), *root.all("cluster-config")):
            element.ignore(*_OF_THE_CONTAINER, "@cluster-id")
            for directory in (one for name in _DIRECTORIES for one in element.all(name)):
                directory.forget()
            _deployment(element, draft, https)
        for place, what in root.unread():
            draft.report.part(f"container: {what}", place).left(place, "unknown")
    pools = draft.installation.read(POOLS, "http-connection-pools")
    if pools is not None:
        _pools(pools, draft)


def _deployment(element: Element, draft: Draft, https: int) -> None:
    part = draft.report.part("container", element.place)
    limit = element.get("content-body-read-limit")
    if limit:
        size = element.whole("content-body-read-limit", least=1)
        draft.core["limits"] = Noted({"body": size}, (str(element.place),))
        part.into.append("limits.body")
        part.differs(
            element.place,
            "a body beyond the limit is refused by its Content-Length, before it is read; one without is counted by the filter "
            "body_size",
        )
        draft.body_limit = (size, element.place)
    name = "idleTimeout" if element.get("idleTimeout") else "idle-timeout"
    if element.get(name):
        seconds = element.number(name, least=0) / 1000
        if seconds:
            draft.core["timeouts"] = Noted({"idle": duration(seconds)}, (str(element.place),))
            part.into.append("timeouts.idle")
        else:
            part.left(
                element.place,
                f"{name} 0, for ever: a connection without a request ends after `timeouts.idle`",
            )
    _timeouts(
        draft,
        part,
        element,
        element.number("connection-timeout", 0, least=0) / 1000,
        element.number("read-timeout", 0, least=0) / 1000,
    )
    _via(element, draft, part)
    _tls(element, draft, part, https)
    if not part.into and not part.notes:
        draft.report.parts.remove(part)


def _via(element: Element, draft: Draft, part: Part) -> None:
    via = element.first("via-header")
    name = element.get("via")
    options: dict[str, Any] = {}
    if via is not None:
        name = via.get("request-prefix") or via.get("response-prefix")
        if via.has("repose-version"):
            options["comment"] = via.flag("repose-version")
        if via.get("response-prefix") not in ("", name):
            part.differs(via.place, "Via has one name in both directions, that of requests")
    if name:
        pseudonym = "".join(
            char if char.isascii() and (char.isalnum() or char in "-._") else "-" for char in name
        )
        options = {"pseudonym": pseudonym, **options}
        part.differs(
            (via or element).place,
            "Via also ends loops: where gateways are chained, each needs a name of its own",
        )
    if options:
        draft.core["via"] = Noted(options, (str((via or element).place),))
        part.into.append("via")


def _tls(element: Element, draft: Draft, part: Part, https: int) -> None:
    tls = element.first("ssl-configuration")
    if tls is None:
        return
    tls.forget()
    store = tls.first("keystore-filename")
    file = store.text.strip() if store is not None else "the keystore"
    part.left(
        tls.place,
        f"TLS: certificates are PEM files; `keytool -importkeystore -srckeystore {file} -destkeystore gateway.p12 "
        "-deststoretype PKCS12`, then `openssl pkcs12`, gives them",
    )
    if tls.flag("need-client-auth"):
        part.left(tls.place, "need-client-auth: `client_ca` of listen[].tls, with the truststore as PEM")
        if https and isinstance(
            draft.core["listen"].value, str
        ):  # else clients may come without, by the other port
            Chain(draft, part, "client-certificate", []).refuse(tls.place)
    if not https:
        part.left(tls.place, "the node of the system model has no https-port")


def _pools(root: Element, draft: Draft) -> None:
    for pool in root.all("pool"):
        pool.ignore(*_OF_POOLS)
        part = draft.report.part(f"connection pool {pool.get('id')}", pool.place)
        if pool.flag("default"):
            _timeouts(
                draft,
                part,
                pool,
                pool.number("http.connection.timeout", 0, least=0) / 1000,
                pool.number("http.socket.timeout", 0, least=0) / 1000,
            )
            part.differs(
                pool.place,
                "connections are made as they are needed; `max_connections` of an upstream bounds them",
            )
        else:
            part.left(
                pool.place, "a filter that asks a service has a pool, a timeout and a breaker of its own"
            )
    for place, what in root.unread():
        draft.report.part(f"connection pools: {what}", place).left(place, "unknown")


def _timeouts(draft: Draft, part: Part, element: Element, connect: float, read: float) -> None:
    options: dict[str, Any] = {}
    if connect:
        options["connect"] = duration(connect)
    if read:
        options |= {"first_byte": duration(read), "idle": duration(read)}
        if read > _TOTAL:
            options["total"] = duration(read)
    if not options:
        return
    for name, upstream in draft.core["upstreams"].items():
        value = {**upstream.value, "timeouts": options}
        draft.core["upstreams"][name] = Noted(value, (*upstream.comment, f"timeouts: {element.place}"))
        part.into.append(f"upstreams.{name}.timeouts")


def duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms" if seconds < 1 else f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
