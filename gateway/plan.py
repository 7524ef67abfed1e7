"""From a configuration to an immutable Plan: routes, chains, filters, and where in which file each comes from.

A plan is built beside the one in force and knows neither sockets nor the event loop. Everything that can be
worked out once per configuration is worked out here, so that an exchange only reads.
"""

import hashlib
import os
import ssl
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, time
from typing import Any, Final, NamedTuple, TypeVar

import structlog

from gateway import __version__
from gateway.api.check import Check
from gateway.api.exchange import Exchange, Instant, Route
from gateway.api.fact import Fact, header, header_names
from gateway.api.file import hold_beside, read_regular
from gateway.api.filter import Filter, facts_read, files_read, remembered_of
from gateway.api.json_path import parse_path
from gateway.api.message import did_you_mean
from gateway.api.network import HttpClient, HttpOptions, NoNetwork, TlsOptions
from gateway.api.option import OptionError
from gateway.api.permit import Permits
from gateway.api.shelf import Shelf
from gateway.api.store import NoStore, Store, StoreOptions
from gateway.api.table import Table
from gateway.api.verdict import Fault, Response, Rule
from gateway.chain import Chain, Entry
from gateway.condition import compile_condition, condition_facts
from gateway.config.load import Loaded, digest
from gateway.config.model import Configuration, Export
from gateway.config.model import Entry as EntryOptions
from gateway.config.model import Route as RouteOptions
from gateway.config.problem import ConfigurationError, Problem, written
from gateway.config.traffic import Concurrency
from gateway.excerpt import Bodies
from gateway.faults import Renderer
from gateway.http import delegation
from gateway.http.forwarded import Forwarding, Trust
from gateway.http.framing import HOP_BY_HOP
from gateway.http.spelling import spellings
from gateway.http.template import parse
from gateway.http.via import default_pseudonym, member
from gateway.redaction import Redaction
from gateway.registry import Registry
from gateway.request_trace import RequestTrace
from gateway.router import RouteConflict, Router, RouteSpec, TemplateError
from gateway.secret_hash import keyed_hash, secret_key
from gateway.shared.memory import SharedMemory
from gateway.shared.permit import SharedPermits
from gateway.shared.shelf import SharedShelf
from gateway.shared.table import SharedTable
from gateway.shared.zone import Zone
from gateway.state import StateStore
from gateway.tls import TlsError, load_authorities
from gateway.trace import TraceSource
from gateway.upstream.concurrency import Limiter
from gateway.upstream.mirror import Mirror
from gateway.upstream.passage import Gate
from gateway.upstream.priority import Ranking
from gateway.upstream.tls import client_context, verified_context

T = TypeVar("T")

DIGEST: Final = 16
"""Digits of the digests by which definitions are told apart in the request log."""

Network = Callable[[HttpOptions, ssl.SSLContext | None], HttpClient]
"""Makes the client of a service, with the context of an https one."""
Stores = Callable[[StoreOptions, ssl.SSLContext | None], Store]
"""Makes the client of a store, with the context of one that speaks TLS."""

_LOG: Final = structlog.get_logger("gateway")


class PlannedRoute(NamedTuple):
    """A route ready for use.

    info     what filters see of it
    lenient  whether a target that could be read in two ways is forwarded
    host     the Host that its upstream sees: None is the client's, b"" the endpoint's own
    upgrade  protocols that a client may switch to, lower case
    gate     what a request has to pass before it is forwarded; None where nothing limits it
    mirror   who makes copies of requests; None where nobody does
    bodies   what records hold of bodies; None for nothing
    """

    info: Route
    chain: Chain
    lenient: bool
    host: bytes | None
    upgrade: frozenset[bytes]
    gate: Gate | None = None
    mirror: Mirror | None = None
    bodies: Bodies | None = None


class Plan:
    """A configuration in force. Read only; an exchange holds its plan from head to record."""

    __slots__ = (
        "_release",
        "body_limit",
        "chain",
        "configuration",
        "contexts",
        "entries",
        "forwarding",
        "hash_key",
        "header_names",
        "holder",
        "limiters",
        "loaded",
        "log_context",
        "mirrors",
        "pseudonym",
        "redaction",
        "renderer",
        "request_drop",
        "request_trace",
        "revision",
        "router",
        "secret_names",
        "trace_context",
        "traces",
        "trusted",
        "uneven",
        "upgrades",
        "via",
        "via_line",
        "watches",
    )

    def __init__(
        self,
        loaded: Loaded,
        *,
        router: Router,
        chain: Chain,
        uneven: frozenset[bytes],
        entries: Sequence[Entry],
        facts: frozenset[Fact],
        hash_key: bytes,
        contexts: Mapping[str, ssl.SSLContext],
        limiters: Sequence[Limiter],
        mirrors: Sequence[Mirror],
        holder: object,
        trace_context: ssl.SSLContext | None,
        log_context: ssl.SSLContext | None,
        release: Callable[[], None],
    ) -> None:
        configuration = loaded.configuration
        self.loaded = loaded
        self.configuration: Configuration = configuration
        self.revision: str = loaded.revision
        self.hash_key = hash_key
        self.router = router
        self.chain = chain
        # Names of fields that are taken from a client's request on some routes and not on others.
        self.uneven = uneven
        self.entries = tuple(entries)
        self.contexts = contexts
        """TLS of the upstreams that speak it, by name."""
        self.trace_context = trace_context
        self.log_context = log_context
        """TLS of the collector that takes traces; None where it speaks none."""
        names = {*header_names(facts), *(name for copy in configuration.log.copies for name in copy.headers)}
        self.header_names: tuple[bytes, ...] = tuple(name.encode("latin-1") for name in sorted(names))
        # Credentials by these filters' word, also where an entry only judges in shadow.
        self.secret_names: frozenset[bytes] = frozenset().union(*(entry.filter.secrets for entry in entries))
        redact = configuration.log.redact
        self.redaction = Redaction(
            redact.headers, redact.query, redact.params, [route.path for route in configuration.routes]
        )
        self.limiters = tuple(limiters)
        self.mirrors = tuple(mirrors)
        self.holder = holder
        """For whom the state store keeps what the filters remember."""
        self._release = release
        self.renderer = Renderer(configuration.faults)
        self.body_limit = configuration.limits.body
        # Whether any route lets a client switch to another protocol.
        self.upgrades = any(route.upgrade for route in configuration.routes)
        self.trusted = Trust([str(network) for network in configuration.trusted_proxies])
        self.forwarding = Forwarding(configuration.forwarded, self.trusted)
        # None without `tracing`: then what a client says of traces passes untouched.
        tracing = configuration.tracing
        self.traces = TraceSource(tracing.trust, tracing.sample) if tracing is not None else None
        # What is written anew for the upstream, or asks something of us.
        ours = self.forwarding.strips | {b"x-openstack-request-id"}
        if self.traces is not None:
            ours |= {b"traceparent", b"tracestate"}
        # None without `trace`: then what asks for a trace passes untouched.
        trace = configuration.trace
        self.request_trace: RequestTrace | None = None
        if trace is not None:
            networks = [str(network) for network in trace.allow.networks]
            self.request_trace = RequestTrace(trace.header, networks, trace.allow.roles)
            ours |= {self.request_trace.header}
        # What never crosses.
        self.request_drop: frozenset[bytes] = HOP_BY_HOP.union(*(spellings(name.decode()) for name in ours))
        # Whether more is wanted of some exchange than of most.
        self.watches = (
            self.traces is not None
            or self.request_trace is not None
            or any(route.record is not None for route in configuration.routes)
        )
        self.pseudonym = (configuration.via.pseudonym or default_pseudonym(host_id())).encode("latin-1")
        comment = f"Weir/{__version__}" if configuration.via.comment else None
        self.via: Mapping[str, bytes] = {
            version: member(version, self.pseudonym.decode("latin-1"), comment) for version in ("1.0", "1.1")
        }

        self.via_line: Mapping[str, bytes] = {
            version: b"Via: " + value for version, value in self.via.items()
        }

    def render(self, fault: Fault, exchange: Exchange) -> Response:
        """The fault as this client is to see it."""
        return self.renderer.render(
            fault,
            path=exchange.path,
            accept=exchange.request.headers.all("accept"),
            request_id=exchange.request_id,
            clock=exchange.clock.wall,
        )

    def describe(self) -> dict[str, Any]:
        """What the request log says once of each revision: enough to tell later what has changed since."""
        configuration = self.configuration
        limits, sample = configuration.limits, configuration.log.sample
        return {
            "entries": [self._described(entry) for entry in self.entries],
            "headers": [name.decode("latin-1") for name in self.header_names],
            "core": digest([configuration.limits, configuration.via, configuration.timeouts])[:DIGEST],
            "bounds": {
                "header_count": limits.header_count,
                "header_size": limits.header_size,
                "field_size": limits.field_size,
                "target_length": limits.target_length,
                "max_hops": configuration.via.max_hops,
            },
            "origin": digest([configuration.trusted_proxies, configuration.forwarded])[:DIGEST],
            "owned": sorted(name.decode("latin-1") for name in _owned(self.entries)),
            "sample": {"passed": sample.passed, "slow": sample.slow},
        }

    def _described(self, entry: Entry) -> dict[str, Any]:
        config = entry.filter.config
        files = {
            name: hashlib.sha256(self.loaded.files.get(name, b"")).hexdigest()
            for name in files_read(config, self.loaded.files)
        }
        judges = sorted(name.decode("latin-1") for name in entry.filter.judges)
        return {
            "index": entry.index,
            "name": entry.name,
            "type": entry.type,
            "mode": entry.mode,
            "source": entry.source(()),
            "digest": digest([config, files])[:DIGEST],
            "scope": entry.scope,
            "limits": {
                name: digest([_at(config, rule), files])[:DIGEST]
                for name, rule in entry.filter.limits.items()
            },
            **({"judges": judges} if judges else {}),
        }

    def checks(self) -> list[Check]:
        """What the filters need, and whether it is there; what one in shadow needs does not count. Raises nothing."""
        found: list[Check] = []
        for entry in self.entries:
            try:
                checks = entry.filter.checks()
            except Exception as error:  # noqa: BLE001 - the others are to be heard too
                _LOG.error("bug", where=f"{entry.name}.checks", exc_info=error)
                continue
            found += [
                Check(f"{entry.name}:{name}", holds, counts and entry.mode == "enforce")
                for name, holds, counts in checks
            ]
        return found

    async def start(self) -> None:
        """Starts the filters. Raises ConfigurationError with all that could not be started."""
        problems: list[Problem] = []
        for entry in self.entries:
            try:
                await entry.filter.start()
            except Exception as error:  # noqa: BLE001 - of whatever kind: the filter cannot be used
                if not isinstance(error, (OSError, ValueError)):
                    _LOG.error("bug", where=f"{entry.name}.start", exc_info=error)
                position = self.loaded.marks.position(entry.path)
                message = f"cannot be started: {_plain(error) or type(error).__name__}"
                problems.append(Problem(*position, "filter_unusable", message, written(entry.path)))
        if problems:
            raise ConfigurationError(problems)

    def put_in_force(self) -> None:
        """Tells the filters that new exchanges begin with them. Raises nothing."""
        for entry in self.entries:
            try:
                entry.filter.put_in_force()
            except Exception as error:  # noqa: BLE001 - there is no way back, and the others are to be told too
                _LOG.error("bug", where=f"{entry.name}.put_in_force", exc_info=error)

    async def close(self) -> None:
        """Closes the filters and lets go of their state; for after the last exchange. Raises nothing."""
        for entry in self.entries:
            try:
                await entry.filter.close()
            except Exception as error:  # noqa: BLE001 - the others are to be closed too
                _LOG.error("bug", where=f"{entry.name}.close", exc_info=error)
        self._release()


class EntryServices:
    """What one entry's filter may use of the world."""

    def __init__(
        self,
        entry: EntryOptions,
        *,
        directory: Path,
        files: Mapping[str, bytes],
        hash_key: bytes,
        hold: Callable[[str, Callable[[], Any]], Any],
        network: Network | None,
        stores: Stores | None,
        memory: Callable[[], SharedMemory],
        clock: Callable[[], Instant],
    ) -> None:
        self._clock = clock
        self._network = network
        self._stores = stores
        self._memory = memory
        self._name = entry.name
        self._directory = directory
        self._files = files
        self._hash_key = hash_key
        self._hold = hold
        self._identity = f"{entry.name}/{entry.mode}"
        self._definition = digest(entry.options)
        self._prefix = f"{self._identity}/{digest(remembered_of(entry.options))}"
        self._log = structlog.get_logger("filter").bind(filter=entry.name)

    @property
    def identity(self) -> str:
        return self._identity

    def now(self) -> Instant:
        return self._clock()

    def entropy(self, size: int) -> bytes:
        return os.urandom(size)

    def keyed_hash(self, data: bytes) -> str:
        return keyed_hash(self._hash_key, data)

    def state(self, name: str, factory: Callable[[], T]) -> T:
        held: T = self._hold(f"{self._prefix}/{name}", factory)
        return held

    def _client(self, name: str, factory: Callable[[], T]) -> T:
        """Clients are another whenever any option is: theirs may be among them."""
        held: T = self._hold(f"{self._identity}/{self._definition}/{name}", factory)
        return held

    def read_file(self, path: str, *, beside: str | None = None) -> bytes:
        kept = self._files.get(path)
        if kept is not None:
            return kept
        file = self._directory / path
        if beside is not None:
            hold_beside(file, self._directory / beside)
        return read_regular(file)

    def http(self, name: str, options: HttpOptions) -> HttpClient:
        context, files = None, ""
        if options.url.startswith("https:"):
            context, files = self._context(options.tls, ("http/1.1",))
        network = self._network
        if network is None:
            return NoNetwork()
        make = network
        return self._client(f"http {name} {files}", lambda: make(options, context))

    def store(self, name: str, options: StoreOptions) -> Store:
        if find_spec("hiredis") is None:
            raise OptionError((), "needs more than is installed: pip install 'weir-gateway[redis]'")
        context, files = None, ""
        if options.url.startswith("rediss:"):
            context, files = self._context(options.tls, ())
        stores = self._stores
        if stores is None:
            return NoStore()
        make = stores
        return self._client(f"store {name} {files}", lambda: make(options, context))

    def table(self, name: str) -> Table:
        name, memory = f"table {name}", self._memory()
        return self.state(name, lambda: self._table(memory, name))

    def permits(self, name: str) -> Permits:
        name, memory = f"permits {name}", self._memory()
        return self.state(name, lambda: SharedPermits(self._zone(memory, name), memory))

    def shelf(self, name: str, *, of_any: bool = False) -> Shelf:
        memory = self._memory()
        key = f"{self._identity}//shelf {name}" if of_any else f"{self._prefix}/shelf {name}"
        # Without a name of its own: what makes room there is no limit's, and nobody is to be warned of it.
        held: Shelf = self._hold(key, lambda: SharedShelf(memory.claim("", key)))
        return held

    def void_unattended(self) -> None:
        self._memory().void(monotonic(), attended=True)

    def _table(self, memory: SharedMemory, name: str) -> SharedTable:
        zone = self._zone(memory, name)
        return SharedTable(zone, memory.owner)  # which it has once it has a zone

    def _zone(self, memory: SharedMemory, name: str) -> Zone:
        return memory.claim(self._name, f"{self._prefix}/{name}")

    def _context(self, tls: TlsOptions | None, protocols: Sequence[str]) -> tuple[ssl.SSLContext, str]:
        """The context of a client, and what changes with the contents of its files: then there is a new client."""
        tls = tls or TlsOptions()
        files = hashlib.sha256()
        try:
            context = verified_context(tls, self._directory, protocols=protocols, kept=self._files)
            for file in (tls.ca, tls.certificate, tls.key):
                files.update(b"" if file is None else hashlib.sha256(self.read_file(file)).digest())
        except TlsError as error:
            raise OptionError(("tls", error.option), str(error)) from None
        return context, files.hexdigest()

    def warn(self, event: str, **facts: Any) -> None:
        self._log.warning(event, **facts)


Attend = Callable[[Entry], None]
"""Is shown each entry, and may put others in the place of its hooks, before chains are made of them."""


def _now() -> Instant:
    return Instant(time(), monotonic())


def build_plan(
    loaded: Loaded,
    registry: Registry,
    *,
    state: StateStore | None = None,
    hash_key: bytes | None = None,
    network: Network | None = None,
    stores: Stores | None = None,
    memory: SharedMemory | None = None,
    clock: Callable[[], Instant] = _now,
    attend: Attend | None = None,
) -> Plan:
    """A plan of a loaded configuration, its filters built.

    Raises ConfigurationError with every problem that only shows when the parts are put together: routes that
    exclude each other, a filter that cannot be built from its options. State is taken from `state`; nothing
    stays held there when building fails. Without `network` and `stores` the filters of the plan reach nobody: it is one to be checked.
    Without `memory` nothing is shared with other processes. `clock` is what filters have for the present moment.
    """
    holder = object()
    store = state if state is not None else StateStore()
    key = hash_key or secret_key(loaded.configuration)
    builder = _Builder(loaded, registry, store, holder, key, network, stores, memory, clock, attend)
    plan = builder.plan()
    if builder.problems:
        store.release(holder)
        raise ConfigurationError(builder.problems)
    assert plan is not None
    return plan


def _owned(entries: Sequence[Entry]) -> frozenset[bytes]:
    """Lower-case names of the request header fields that a client may not say, on any route."""
    return frozenset[bytes]().union(
        *(entry.filter.owns for entry in entries if entry.mode == "enforce"),
        *(delegation.SPELLINGS for entry in entries if entry.delegate is not None),
    )


class _Builder:
    def __init__(
        self,
        loaded: Loaded,
        registry: Registry,
        store: StateStore,
        holder: object,
        hash_key: bytes,
        network: Network | None,
        stores: Stores | None,
        memory: SharedMemory | None,
        clock: Callable[[], Instant],
        attend: Attend | None,
    ) -> None:
        self._clock = clock
        self._attend = attend
        self._network = network
        self._stores = stores
        self._memory = memory
        self._loaded = loaded
        self._registry = registry
        self._store = store
        self._holder = holder
        self._hash_key = hash_key
        self._entries: list[Entry] = []
        self._facts: set[Fact] = set(_CORE_FACTS)
        self._ranking = Ranking(loaded.configuration.priority)
        self._limiters: dict[tuple[str, str], Limiter] = {}
        self._mirrors: dict[tuple[str, str], Mirror] = {}
        self.problems: list[Problem] = []

    def plan(self) -> Plan | None:
        configuration = self._loaded.configuration
        params = [
            frozenset(segment.name for segment in parse(route.path) if segment.name)
            for route in configuration.routes
        ]
        common = self._chain(
            configuration.filters, frozenset().union(*params), "no route has a parameter {} in its path{}"
        )
        specs: list[RouteSpec] = []
        chains = [Chain(common)]
        missing = "the path of the route has no parameter {}{}"
        for route, known in zip(configuration.routes, params, strict=True):
            chain = Chain((*common, *self._chain(route.filters, known, missing)))
            chains.append(chain)
            host = configuration.upstreams[route.upstream].host
            planned = PlannedRoute(
                Route(route.name, route.path, route.upstream),
                chain,
                route.target == "lenient",
                None if host == "keep" else b"" if host == "upstream" else host.encode("latin-1"),
                frozenset(protocol.encode("ascii") for protocol in route.upgrade),
                self._gate(route),
                self._mirror(route),
                _bodies(route),
            )
            methods = frozenset(route.methods) if route.methods is not None else None
            specs.append(RouteSpec(route.host, route.path, methods, planned))
        # What a client may not say of itself, on any route.
        owned = _owned(self._entries)
        for chain in chains:
            chain.own(owned)
        unwanted = [chain.unwanted for chain in chains]
        self._check_hashes(params)
        self._check_redaction(frozenset().union(*params))
        router = self._router(specs)
        contexts = self._contexts()
        configuration = self._loaded.configuration
        trace_context = self._collector_context(configuration.tracing, ("tracing",))
        log_context = self._collector_context(configuration.log.otlp, ("log", "otlp"))
        self._check_compression()
        if self.problems or router is None:
            return None
        return Plan(
            self._loaded,
            router=router,
            chain=chains[0],
            uneven=chains[0].unwanted.union(*unwanted) - chains[0].unwanted.intersection(*unwanted),
            entries=self._entries,
            facts=frozenset(self._facts),
            hash_key=self._hash_key,
            contexts=contexts,
            limiters=tuple(self._limiters.values()),
            mirrors=tuple(self._mirrors.values()),
            holder=self._holder,
            trace_context=trace_context,
            log_context=log_context,
            release=lambda: self._store.release(self._holder),
        )

    def _check_hashes(self, params: Sequence[frozenset[str]]) -> None:
        """A path parameter that requests are balanced by is one of some route to the upstream; `params` are the routes'."""
        configuration = self._loaded.configuration
        for name, upstream in configuration.upstreams.items():
            kind, _, param = (upstream.hash or "").partition(":")
            if kind != "param":
                continue
            known: frozenset[str] = frozenset().union(
                *(
                    own
                    for route, own in zip(configuration.routes, params, strict=True)
                    if route.upstream == name
                )
            )
            if param not in known:
                self._problem(
                    ("upstreams", name, "hash"),
                    "param_unknown",
                    f"no route to the upstream has a parameter {param!r} in its path{did_you_mean(param, known)}",
                )

    def _check_redaction(self, params: frozenset[str]) -> None:
        """A path parameter that is to be left out is one of some route; `params` are all of them."""
        for place, expression in enumerate(self._loaded.configuration.log.redact.params):
            if not Redaction(params=[expression]).params_of(params):
                self._problem(
                    ("log", "redact", "params", place),
                    "param_unknown",
                    f"no route has a parameter in its path that fits {expression!r}",
                )

    def _gate(self, route: RouteOptions) -> Gate | None:
        upstream = self._loaded.configuration.upstreams[route.upstream]
        limiters = [
            self._limiter(scope, name, options)
            for scope, name, options in (
                ("route", route.name, route.concurrency),
                ("upstream", route.upstream, upstream.concurrency),
            )
            if options is not None
        ]
        return Gate(limiters, self._ranking) if limiters else None

    def _limiter(self, scope: str, name: str, options: Concurrency) -> Limiter:
        """One that counts on where its definition is that of a plan before."""
        limiter = self._limiters.get((scope, name))
        if limiter is None:
            limiter = self._limiters[scope, name] = self._store.hold(
                self._holder,
                f"{scope} {name}/concurrency/{digest(options)}",
                lambda: Limiter(scope, name, options, monotonic),
            )
        return limiter

    def _mirror(self, route: RouteOptions) -> Mirror | None:
        scope, name, options = "route", route.name, route.mirror
        if options is None:
            scope, name = "upstream", route.upstream
            options = self._loaded.configuration.upstreams[name].mirror
            if options is None:
                return None
        mirror = self._mirrors.get((scope, name))
        if mirror is None:
            given = options
            mirror = self._mirrors[scope, name] = self._store.hold(
                self._holder,
                f"{scope} {name}/mirror/{digest(given)}",
                lambda: Mirror(scope, name, given),
            )
        return mirror

    def _contexts(self) -> dict[str, ssl.SSLContext]:
        contexts: dict[str, ssl.SSLContext] = {}
        for name, upstream in self._loaded.configuration.upstreams.items():
            try:
                context = client_context(upstream, self._loaded.directory, self._loaded.tls_files)
            except TlsError as error:
                self._problem(("upstreams", name, "tls", error.option), "file", str(error))
                continue
            if context is not None:
                contexts[name] = context
        return contexts

    def _check_compression(self) -> None:
        if self._loaded.configuration.log.compress == "zstd" and find_spec("zstandard") is None:
            self._missing(("log", "compress"), "logs")

    def _missing(self, path: Sequence[str], extra: str) -> None:
        message = f"needs more than is installed: pip install 'weir-gateway[{extra}]'"
        self._problem(tuple(path), "extra_missing", message)

    def _collector_context(self, export: Export | None, path: Sequence[str]) -> ssl.SSLContext | None:
        """TLS of the collector that the block at `path` names; None for one in the clear."""
        if export is None:
            return None
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.proto") is None:
            self._missing(path, "otel")
        if export.endpoint.scheme != "https":
            return None
        if export.ca is None:
            context = ssl.create_default_context()
        else:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            try:
                load_authorities(context, self._loaded.directory, export.ca, kept=self._loaded.tls_files)
            except TlsError as error:
                self._problem((*path, "ca"), "file", str(error))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def _router(self, specs: Sequence[RouteSpec]) -> Router | None:
        try:
            return Router(specs)
        except RouteConflict as conflict:
            routes = self._loaded.configuration.routes
            first, second = conflict.first, conflict.second
            self._problem(
                ("routes", second, "path"),
                "route_conflict",
                f"the route {routes[second].name!r} can never be told from the route {routes[first].name!r} "
                f"({self._loaded.marks.position(('routes', first))})",
            )
        except TemplateError as error:
            self._problem(("routes", error.index, "path"), "path_template", str(error))
        return None

    def _chain(self, entries: Sequence[EntryOptions], params: frozenset[str], missing: str) -> list[Entry]:
        """The entries, built; `params` are those of the paths that they stand before."""
        built: list[Entry] = []
        for options in entries:
            if options.mode == "off":
                continue
            entry = self._entry(options)
            if entry is not None:
                built.append(entry)
                for name, rule in entry.filter.params.items():
                    if name not in params:
                        message = missing.format(repr(name), did_you_mean(name, params))
                        self._problem((*options.path, *rule), "param_unknown", message)
        return built

    def _entry(self, options: EntryOptions) -> Entry | None:
        filter_class = self._registry.get(options.type)
        services = EntryServices(
            options,
            directory=self._loaded.directory,
            files=self._loaded.kept,
            hash_key=self._hash_key,
            hold=lambda key, factory: self._store.hold(self._holder, key, factory),
            network=self._network,
            stores=self._stores,
            memory=self._shared,
            clock=self._clock,
        )
        try:
            filter: Filter[Any] = filter_class(options.options, services)
        except OptionError as error:
            for message in error.messages:
                self._problem((*options.path, *error.rule), "filter_unusable", message)
            return None
        except (OSError, ValueError) as error:
            self._problem(options.path, "filter_unusable", _plain(error))
            return None
        self._facts |= facts_read(filter)
        if options.mode != "shadow":
            for rule in filter.shadow_only:
                self._problem(
                    (*options.path, *rule), "shadow_only", "is for an entry with `mode: shadow` alone"
                )
        condition, reads = None, frozenset[Fact]()
        if options.when is not None:
            condition = compile_condition(options.when)
            reads = condition_facts(options.when)
            self._facts |= reads
        scope = ""
        if options.when is not None or options.mode == "shadow":
            scope = digest([options.when, options.shadow_percent, options.delegate])[:DIGEST]
        marks = self._loaded.marks

        def source(rule: Rule) -> str:
            return str(marks.position((*options.path, *rule)))

        entry = Entry(
            len(self._entries),
            options.name,
            options.type,
            filter,
            mode=options.mode,
            condition=condition,
            condition_facts=reads,
            shadow_percent=options.shadow_percent,
            delegate=options.delegate,
            scope=scope,
            source=source,
            path=options.path,
        )
        if self._attend is not None:
            self._attend(entry)
        self._entries.append(entry)
        return entry

    def _shared(self) -> SharedMemory:
        if self._memory is None:
            self._memory = self._store.hold(self._holder, "shared memory", SharedMemory.create)
        return self._memory

    def _problem(self, path: tuple[str | int, ...], code: str, message: str) -> None:
        position = self._loaded.marks.position(path)
        self.problems.append(
            Problem(position.file, position.line, position.column, code, message, written(path))
        )


_CORE_FACTS: Final = (header("content-type"), header("accept"))


def _bodies(route: RouteOptions) -> Bodies | None:
    record = route.record
    if record is None or not (record.request_body or record.response_body):
        return None
    paths = [parse_path(text) for text in record.redact]
    return Bodies(record.request_body, record.response_body, record.types, paths)


def _at(options: Any, rule: Rule) -> Any:
    """The option at a place inside options."""
    for part in rule:
        options = options[part] if isinstance(part, int) else getattr(options, part)
    return options


def _plain(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
    return str(error)


def host_id() -> bytes:
    """What tells this host from another, the same for all its workers."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/random/boot_id"):
        try:
            content = Path(path).read_bytes().strip()
        except OSError:
            continue
        if content:
            return content
    return os.uname().nodename.encode()
