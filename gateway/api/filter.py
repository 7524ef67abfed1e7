"""The contract of a filter: one class in one file, its options a model, its hooks returning verdicts."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel

from gateway.api.check import Check
from gateway.api.exchange import Exchange, Instant
from gateway.api.fact import Fact
from gateway.api.meter import Charge, Meter, Spec
from gateway.api.network import HttpClient, HttpOptions
from gateway.api.permit import Permits
from gateway.api.principal import Principal
from gateway.api.shelf import Shelf
from gateway.api.store import Store, StoreOptions
from gateway.api.table import Table
from gateway.api.verdict import Rule, Verdict

T = TypeVar("T")

C = TypeVar("C", bound=BaseModel)

Effect: TypeAlias = Literal["greater", "less", "more", "fewer", "either", "none"] | tuple[str, ...]
"""What a change of an option does to access. A `greater` or `less` value lets more pass; `more` or `fewer` of its items do, and
so does a switch that is on (`more`) or off; of a tuple of values each lets more pass than those before it; `none`, that it
does nothing to access; `either`, that only the whole of it says what it does."""


class Services(Protocol):
    """What a filter may use of the world. A test passes its own."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """What tells the entry from others of the configuration: the same in each process, and on each machine that has it."""

    @abstractmethod
    def now(self) -> Instant:
        """The present moment; inside a hook prefer `exchange.clock`."""

    @abstractmethod
    def entropy(self, size: int) -> bytes:
        """`size` random bytes."""

    @abstractmethod
    def keyed_hash(self, data: bytes) -> str:
        """A hash of `data` under the configured key, 32 hexadecimal digits: for what must not be kept."""

    @abstractmethod
    def state(self, name: str, factory: Callable[[], T]) -> T:
        """What the filter remembers between exchanges, made by `factory` when there is none.

        Keyed by the entry's name, its mode and the hash of its options, or of what these say by `remembered`: a reload with
        the same definition hands over the same object, a shadow entry gets another. An object with `close()` is closed when
        no plan holds it. `NAME of PART` is state that belongs to a part of the entry, a limit say: where nothing but
        that is lost, it is said of the part. What the part is called does not tell it from others.
        """

    @abstractmethod
    def read_file(self, path: str, *, beside: str | None = None) -> bytes:
        """The content of a regular file named in the configuration, relative to its directory; of 64 MiB at most.

        beside  a file of the configuration that names it: it must be in the directory of that, or below, also where links lead

        Raises OSError. For use while the filter is built, never in a hook.
        """

    @abstractmethod
    def http(self, name: str, options: HttpOptions) -> HttpClient:
        """A client of the service that `options` describe; `name` tells it from others of the same entry.

        It is the same after a reload with the same options, and closed when no plan holds it. Raises OptionError
        for a file of `options.tls` that cannot be used, with the rule ("tls", OPTION). For the constructor.
        """

    @abstractmethod
    def store(self, name: str, options: StoreOptions) -> Store:
        """A client of the store that `options` describe; in all else as `http`. Raises OptionError also where the extra
        `redis` is not installed, with an empty rule."""

    @abstractmethod
    def table(self, name: str) -> Table:
        """A table that all worker processes share; `name` tells it from others of the same entry.

        Keyed as `state` is: a reload with the same definition goes on with the same table, as does a worker that takes the
        place of one that has ended, and it is freed when no plan of any worker holds it. Raises OSError where there is none
        to be had. For the constructor.
        """

    @abstractmethod
    def permits(self, name: str) -> Permits:
        """Permits that all worker processes share; in all else as `table`."""

    @abstractmethod
    def shelf(self, name: str, *, of_any: bool = False) -> Shelf:
        """A shelf that all worker processes share; in all else as `table`. `of_any`: the same one whatever the options are."""

    @abstractmethod
    def void_unattended(self) -> None:
        """Voids what lies on shelves that no worker has any more. For a filter that has heard itself that something is revoked: a
        configuration that comes back finds them again, and nobody else could take it from there."""

    @abstractmethod
    def warn(self, event: str, **facts: Any) -> None:
        """One line in the application log."""


class Peers(Protocol):
    """Some peers, by their addresses."""

    def __contains__(self, address: str, /) -> bool: ...


class Filter(Generic[C]):
    """A filter. Subclass it, name it as its file, and override the hooks that are needed.

    A hook returns None to pass the exchange on, a Fault to refuse it, or a Response to answer it. A plain
    `def` decides at once; return an awaitable only on the path that has to wait. A filter that let the
    request pass sees the response exactly once; one that answered, or was never reached, does not.
    """

    name: ClassVar[str]
    Config: ClassVar[type[BaseModel]]
    reads: ClassVar[frozenset[Fact]] = frozenset()
    pure: bool = True
    """False when the verdict needs the network. Of a class, or of one with these options."""
    counts: ClassVar[bool] = False
    """True when verdicts depend on what the filter has counted in its own process: of several, each counts alone. What is
    counted in `Services.table` is counted by all as one."""
    statuses: frozenset[int] | None = None
    """Of the answers that `on_response` is to see; None for all, the empty set for none, and then it costs nothing. Of a
    class, or of one with these options, set in the constructor."""
    reasons: ClassVar[Mapping[str, str]] = {}
    """Reason codes of a third party's filter, each with a sentence; built-in ones are in the registry."""

    access: ClassVar[Mapping[str, Effect]] = {}
    """What changes of options do to access, by the path of the option without numbers (`limits.rate`). `none` and `either` are said
    of all below it too; all else of it alone, and `limits.cost.methods.*` says it of what is below. Of one that is not here a change
    may do either. Name only what is certain: an option by which nobody can ever pass who would have been refused is `none`."""

    only_refuses: ClassVar[bool] = False
    """True for a filter that does nothing to a request but let it pass or refuse it: no field, no path, no principal, no answer
    but a refusal. Then another entry of it tightens access, and one less, or one for fewer requests, loosens it; of all others that
    may do either. Options with which it does more have a method of this name that says so."""

    owns: frozenset[bytes] = frozenset()
    """Lower-case names of request header fields that none but this filter may set. While an entry enforces,
    the gateway takes them from every client's request, also where the entry's condition or route leaves the
    filter out; but see `judges`."""

    judges: frozenset[bytes] = frozenset()
    """Lower-case names of request header fields that this filter judges as the client sends them, whoever owns them: in
    a chain with it they stay, and where no such entry was reached that enforces, or where it says `Exchange.leave_unjudged`, they go before the request is
    forwarded."""

    believes: Mapping[bytes, Peers] = {}
    """Of the fields that this filter `judges`, those that only some peers may send, each with their addresses. From the request of
    any other peer the gateway takes such a field before the first filter, unless another filter of the chain judges it for him."""

    secrets: frozenset[bytes] = frozenset()
    """Lower-case names of request header fields whose values are credentials, beside those that every gateway
    knows (Authorization, Cookie, X-Auth-Token and their kin): records hold only their hashes."""

    params: Mapping[str, Rule] = {}
    """Names of the path parameters that the filter judges by, each with the place in its options that names it. One that
    the path of the entry's route does not have is an error of the configuration."""

    also_reads: frozenset[Fact] = frozenset()
    """Facts that it reads beside those that its options tell: a file that they name says so, say. Set in the constructor."""

    shadow_only: Sequence[Rule] = ()
    """Places in its options that only an entry in shadow may have; in another they are an error of the configuration."""

    limits: Mapping[str, Rule] = {}
    """Names of the limits by which the filter counts, each with the place in its options where it stands."""

    def __init__(self, config: C, services: Services) -> None:
        """Builds all that the options say. May run in a thread, beside what is in force: the event loop is for `start`."""
        self.config = config
        self.services = services

    def on_request(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        """Judges the request on its way inward."""
        return None

    def on_response(self, exchange: Exchange) -> Verdict | Awaitable[Verdict]:
        """Judges the response on its way outward; `exchange.response` is set."""
        return None

    def suppose(self, exchange: Exchange, principal: Principal | None) -> Verdict:
        """What `on_request` does where it is told that `principal` is calling, or nobody that is known.

        For a filter that finds out who is calling to override: it is how a configuration is tried without a network.
        """
        raise NotImplementedError

    def count_before(self, exchange: Exchange, counts: Mapping[str, int]) -> bool:
        """Takes it that requests like this one have been counted before: so many, by the names of limits.

        For a filter that counts to override: it is how a configuration is tried. Whether any of the limits is its own.
        """
        return False

    def charges(self, exchange: Exchange) -> Sequence[Charge] | None:
        """What the limits would charge the exchange: all of it or, where one has no room, nothing.

        None where the filter does more with it than count, so that its verdict cannot be told by the charges alone. For a
        filter that has `limits` to override.
        """
        return None

    def meter(self, spec: Spec) -> Meter:
        """The arithmetic that a charge names; for a filter that has `charges`."""
        raise NotImplementedError

    def checks(self) -> Sequence[Check]:
        """What the filter needs, and whether it is there; told by `/readyz`, each name behind that of the entry.

        Asked for every few seconds; it only looks.
        """
        return ()

    async def start(self) -> None:
        """Runs once in the event loop, before the filter sees an exchange."""

    def put_in_force(self) -> None:
        """Runs once in the event loop, when new exchanges begin with the filter from now on. One that was started may never be
        put in force; those in progress end with the former one, whose state it may share."""

    async def close(self) -> None:
        """Runs once after the last exchange."""


def facts_of(filter_class: type[Filter[Any]], config: BaseModel) -> frozenset[Fact]:
    """What a filter with these options reads."""
    reads = getattr(config, "reads", None)
    return reads() if callable(reads) else filter_class.reads


def facts_read(filter: Filter[Any]) -> frozenset[Fact]:
    """All that a filter reads, now that it has been built."""
    return facts_of(type(filter), filter.config) | filter.also_reads


def remembered_of(config: BaseModel) -> Any:
    """What of its options names the state of a filter: with others the state is lost. All of them, unless they say less."""
    remembered = getattr(config, "remembered", None)
    return remembered() if callable(remembered) else config


def only_refuses(filter_class: type[Filter[Any]], config: BaseModel) -> bool:
    """Whether a filter with these options does nothing but refuse."""
    narrower = getattr(config, "only_refuses", None)
    return filter_class.only_refuses and (not callable(narrower) or bool(narrower()))


def files_of(config: BaseModel) -> tuple[str, ...]:
    """The files beside the configuration that a filter with these options reads, and whose change is to be noticed."""
    files = getattr(config, "files", None)
    return tuple(files()) if callable(files) else ()


def files_in(config: BaseModel, name: str, content: bytes) -> tuple[str, ...]:
    """The files that a filter with these options reads because one that it reads names them."""
    further = getattr(config, "files_in", None)
    return tuple(further(name, content)) if callable(further) else ()


def files_read(config: BaseModel, contents: Mapping[str, bytes]) -> tuple[str, ...]:
    """All files that a filter with these options reads, as far as their contents are known."""
    names = dict.fromkeys(files_of(config))
    ahead = list(names)
    while ahead:
        name = ahead.pop()
        if name in contents:
            new = [further for further in files_in(config, name, contents[name]) if further not in names]
            names.update(dict.fromkeys(new))
            ahead += new
    return tuple(names)
