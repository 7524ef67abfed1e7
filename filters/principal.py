"""Makes a principal without a token: from the client's address, from header fields of a trusted peer, or from the path.

Sources are asked in their order, and the first that knows somebody decides, as Repose's ip-user, header-user and
uri-user do. None of this proves who is calling: it is for limits and for tables of roles, and an upstream hears of it
only where `headers` says so. A principal that is there already is kept, unless `override` is set.
The address is that of the client as the gateway knows it, by its own `trusted_proxies`. A header field counts only from
the peers that are trusted with it, and is taken from every other request; `trusted_proxies` are none of them by that alone,
since who may say for which address it speaks need not have asked who is calling.
Behind a Repose, or another gateway such as this one, the source `repose` takes over whom that has found: X-PP-User and
X-PP-Groups, by which limits then count as `user_id` and `groups`. Put it before a `token_auth`, which takes these fields away.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from filters._identity import STRIPPED
from filters._names import FieldName, Quality
from filters._network import Network, membership
from filters._profile import ProfileName, profile
from filters._repose import ReposeOptions
from gateway.api import Exchange, Fact, Fault, Filter, Note, Options, Principal, Rule, Services, Verdict
from gateway.api.fact import CLIENT, PARAMS, PEER, PRINCIPAL, TARGET, header
from gateway.api.regex import LONGEST, PathRegex, compile_path
from gateway.http.fields import Fields
from gateway.http.forwarded import Trust
from gateway.http.spelling import spellings
from gateway.http.target import decode, matchable

_LONGEST_NAME: Final = 255
_REPOSE: Final = "repose"
_PP: Final = (b"X-PP-User", b"X-PP-Groups")
"""What Repose's filters of this kind set; they do not say that anybody was identified."""
_USER, _GROUPS = (name.lower() for name in _PP)
_RATED: Final = re.compile(r"([^;]+?)[ \t]*(?:;[ \t]*q=(0(?:\.[0-9]*)?|1(?:\.0*)?))?")
"""A name and its weight, in which `;q=` is all that may stand behind a semicolon."""
_ESCAPE: Final = re.compile("%(25|2C|3B)")
"""What `filters._repose` writes for a percent sign, a comma and a semicolon of a name."""


def _text(value: str) -> str:
    if not value or value != value.strip() or not value.isprintable():
        raise ValueError("expected printable text without outer white space")
    return value


def _role(value: str) -> str:
    if "," in value:
        raise ValueError("a comma separates roles in X-Roles, so a role cannot hold one")
    return _text(value)


def _free(value: str) -> str:
    if value.lower().encode("ascii") in STRIPPED:
        raise ValueError("this field is set for the upstream, and a client's own is stripped")
    return value


Text = Annotated[str, AfterValidator(_text)]
Role = Annotated[str, AfterValidator(_role)]


class GroupOptions(Options):
    """Clients of some networks."""

    name: Text = Field(description="Name of the group.")
    networks: tuple[Network, ...] = Field(
        min_length=1,
        description="Networks of the clients: 192.0.2.0/24, 2001:db8::/32, or one address; `unix` for those that connect "
        "through a Unix socket.",
    )
    roles: tuple[Role, ...] = Field((), description="Roles of the principal.")


class IpOptions(Options):
    groups: tuple[GroupOptions, ...] = Field(
        (), description="Groups of clients; the first with the client's address is the principal's."
    )
    others: bool = Field(
        False,
        description="Makes a principal of clients in none of the groups too, without a group and roles.",
    )
    quality: Quality = Field(0.4, description="Quality of X-PP-User and X-PP-Groups, with `headers: repose`.")

    @model_validator(mode="after")
    def _knows_somebody(self) -> "IpOptions":
        if not self.groups and not self.others:
            raise ValueError("without groups and without others it is nobody's address")
        return self


class HeaderOptions(Options):
    name: Annotated[FieldName, AfterValidator(_free)] = Field(
        description="The field whose value is the user; in no request but one of a trusted peer."
    )
    trusted_peers: tuple[Network, ...] = Field(
        min_length=1,
        description="Networks of those that set the field: of the connection's other end, whomever it speaks for.",
    )
    forward: bool = Field(False, description="Whether the upstream gets the field, from a trusted peer.")
    group: Text | None = Field(None, description="Group of the principal; the field's name where unset.")
    roles: tuple[Role, ...] = Field((), description="Roles of the principal.")
    quality: Quality = Field(0.1, description="Quality of X-PP-User and X-PP-Groups, with `headers: repose`.")


class ReposeSourceOptions(Options):
    """X-PP-User and X-PP-Groups, as a Repose in front sets them."""

    trusted_peers: tuple[Network, ...] = Field(
        min_length=1,
        description="Networks of those that set the fields, and take away what their own clients say in them: of the connection's "
        "other end, whomever it speaks for. From anybody else the fields are taken before any filter sees them.",
    )
    roles: tuple[Role, ...] = Field((), description="Roles of the principal.")
    quality: Quality = Field(
        1.0,
        description="Quality of X-PP-User and X-PP-Groups, with `headers: repose`, without which the upstream gets neither.",
    )


class PathOptions(Options):
    param: str | None = Field(
        None, min_length=1, description="Parameter of the route's path that is the user."
    )
    regex: PathRegex | None = Field(
        None,
        description="In place of `param`: a regular expression for the whole path, whose first group is the user. A path of more than 2,048 "
        "characters names none.",
    )
    group: Text = Field("User_Standard", description="Group of the principal.")
    roles: tuple[Role, ...] = Field((), description="Roles of the principal.")
    quality: Quality = Field(0.5, description="Quality of X-PP-User and X-PP-Groups, with `headers: repose`.")

    @model_validator(mode="after")
    def _one_of_two(self) -> "PathOptions":
        if (self.param is None) == (self.regex is None):
            raise ValueError("expected one of param and regex")
        if self.regex is not None and not compile_path(self.regex).groups:
            raise ValueError("regex needs a group in parentheses for the user")
        return self


class SourceOptions(Options):
    """One source; exactly one of the keys."""

    ip: IpOptions | None = Field(None, description="The client's address, and groups of networks.")
    header: HeaderOptions | None = Field(None, description="A header field that a trusted peer sets.")
    repose: ReposeSourceOptions | None = Field(
        None,
        description="X-PP-User and X-PP-Groups, as a Repose in front sets them, or a gateway with `headers: repose`: one user, whose "
        "groups are those of the highest quality. More than one user is answered with 400, since one may be the client's "
        "own word.",
    )
    path: PathOptions | None = Field(None, description="A part of the path.")

    @model_validator(mode="after")
    def _one_kind(self) -> "SourceOptions":
        if [self.ip, self.header, self.repose, self.path].count(None) != 3:
            raise ValueError("expected exactly one of ip, header, repose, path")
        return self


class PrincipalConfig(Options):
    sources: tuple[SourceOptions, ...] = Field(
        min_length=1, description="Where a principal may come from, in the order in which they are asked."
    )
    override: bool = Field(
        False,
        description="Takes the place of a principal that an earlier filter has found, and of the fields that told of it.",
    )
    headers: ProfileName = Field(
        "none",
        description="What the upstream hears of the principal: none; repose for X-PP-User and X-PP-Groups; "
        "keystonemiddleware for X-User-Id and its kin, which say that the identity is confirmed. A client's own are "
        "always stripped.",
    )

    def reads(self) -> frozenset[Fact]:
        facts = {PRINCIPAL}
        for source in self.sources:
            if source.ip is not None:
                facts.add(CLIENT)
            elif source.header is not None:
                facts |= {PEER, header(source.header.name)}
            elif source.repose is not None:
                facts |= {PEER, *(header(name.decode("ascii")) for name in _PP)}
            elif source.path is not None:
                facts.add(PARAMS if source.path.param is not None else TARGET)
        return frozenset(facts)


class _Found(NamedTuple):
    """What a source has said: who it is, and in which groups."""

    user: str
    groups: tuple[str, ...]
    roles: tuple[str, ...]
    rule: Rule


class _Told(NamedTuple):
    """A principal with all that a request needs of it; `names`, in lower case, are those of the fields."""

    principal: Principal
    fields: Fields
    names: frozenset[bytes]
    note: Note


_Source = Callable[[Exchange], _Found | Fault | None]


class PrincipalFilter(Filter[PrincipalConfig]):
    name = "principal"
    Config = PrincipalConfig

    def __init__(self, config: PrincipalConfig, services: Services) -> None:
        super().__init__(config, services)
        made = [_compiled(source, ("sources", place)) for place, source in enumerate(config.sources)]
        self._sources = tuple((place, source) for place, (source, _, _) in enumerate(made))
        self._kinds = tuple((kind, quality) for _, kind, quality in made)
        headers = [source.header for source in config.sources if source.header is not None]
        self._trusted = tuple(
            (options.name.lower().encode("ascii"), Trust(options.trusted_peers), options.forward)
            for options in headers
        )
        peers = [
            network for source in config.sources if source.repose for network in source.repose.trusted_peers
        ]
        self._front = Trust(peers)
        if peers:
            self.judges = frozenset((_USER, _GROUPS))
            self.believes = dict.fromkeys(self.judges, self._front)
        names = frozenset(key for key, _, _ in self._trusted)
        # Under another spelling an upstream that folds `_` into `-` would see a field that nobody has judged.
        self.owns = STRIPPED.union(*(spellings(options.name) for options in headers)) - names
        self.params = {
            source.path.param: ("sources", place, "path", "param")
            for place, source in enumerate(config.sources)
            if source.path is not None and source.path.param is not None
        }
        self._override = config.override
        self._told = lru_cache(maxsize=4096)(self._tell)

    def on_request(self, exchange: Exchange) -> Verdict:
        known = exchange.principal
        found: _Found | Fault | None = None
        place = 0
        if known is None or self._override:
            for place, source in self._sources:  # noqa: B007 - the place is that of the one that has found somebody
                found = source(exchange)
                if found is not None:
                    break
        for key, trusted, forward in self._trusted:
            if not forward or exchange.peer not in trusted:
                exchange.request.headers.remove(key)
        if self.judges:
            by_peer = found is not None and self._kinds[place][0] == _REPOSE
            if by_peer or ((known is None or found is not None) and exchange.peer in self._front):
                # What the peer says goes no further, nor what a filter such as `headers` has made of it.
                exchange.request.headers.drop(self.judges)
            else:
                exchange.leave_unjudged(self)  # what an earlier filter has found stays
        if found is None:
            if known is not None and not self._override:
                exchange.note("principal_kept", rule=("override",))
            return None
        if isinstance(found, Fault):
            return found
        try:
            principal, fields, names, note = self._told(place, found)
        except ValueError:  # it cannot travel
            return _invalid(found.rule)
        headers = exchange.request.headers
        # Of nobody known an earlier filter may have told as well, in X-Identity-Status.
        headers.drop(STRIPPED if known is not None else names)
        exchange.principal = principal
        headers.extend(fields)
        exchange.trail.append(note)  # what exchange.note() does, without building the note again
        return None

    def _tell(self, place: int, found: _Found) -> _Told:
        kind, quality = self._kinds[place]
        principal = Principal(
            user_id=found.user,
            user_name=found.user,
            roles=found.roles,
            groups=found.groups,
            provider=kind,
        )
        repose = ReposeOptions(user_quality=quality, group_quality=quality)
        fields = profile(self.config.headers, repose, self.name).fields(principal)
        if self.config.headers == "repose":
            fields = Fields([line for line in fields if line[0] in _PP])
        names = frozenset(name.lower() for name, _ in fields)
        return _Told(principal, fields, names, Note("principal_found", found.rule, {"provider": kind}))


def _invalid(rule: Rule) -> Fault:
    return Fault(400, "principal_invalid", "Who is calling cannot be read from the request.", rule=rule)


def _compiled(options: SourceOptions, rule: Rule) -> tuple[_Source, str, float]:
    if options.ip is not None:
        return _from_ip(options.ip, rule), "ip-user", options.ip.quality
    if options.header is not None:
        return _from_header(options.header, (*rule, "header")), "header-user", options.header.quality
    if options.repose is not None:
        return _from_repose(options.repose, (*rule, "repose")), _REPOSE, options.repose.quality
    assert options.path is not None
    return _from_path(options.path, (*rule, "path")), "uri-user", options.path.quality


def _from_ip(options: IpOptions, rule: Rule) -> _Source:
    groups = tuple(
        (membership(group.networks), group.name, group.roles, (*rule, "ip", "groups", place))
        for place, group in enumerate(options.groups)
    )
    others = (*rule, "ip", "others") if options.others else None

    def find(exchange: Exchange) -> _Found | None:
        client = exchange.client
        for member, name, roles, place in groups:
            if member(client):
                return _Found(client, (name,), roles, place)
        return _Found(client, (), (), others) if others is not None and client else None

    return find


def _from_header(options: HeaderOptions, rule: Rule) -> _Source:
    key = options.name.lower().encode("ascii")
    trusted = Trust(options.trusted_peers)
    group = options.group if options.group is not None else options.name

    def find(exchange: Exchange) -> _Found | Fault | None:
        if exchange.peer not in trusted:
            return None
        lines = exchange.request.headers.all(key)
        if not lines:
            return None
        try:
            user = lines[0].strip(" \t").encode("latin-1").decode("utf-8")
        except ValueError:
            return _invalid(rule)
        if len(lines) > 1:
            return _invalid(rule)  # a client's own, and the one that the peer has added to it
        return _found(user, (group,), options.roles, rule)

    return find


def _from_repose(options: ReposeSourceOptions, rule: Rule) -> _Source:
    trusted = Trust(options.trusted_peers)

    def find(exchange: Exchange) -> _Found | Fault | None:
        if exchange.peer not in trusted:
            return None
        headers = exchange.request.headers
        users, groups = _rated(headers.all(_USER)), _rated(headers.all(_GROUPS))
        if users is None or groups is None or len(users) > 1 or any(_is_unfit(name) for name in groups):
            return _invalid(rule)
        most = max(groups.values(), default=0.0)
        best = tuple(name for name, weight in groups.items() if weight == most)
        return _found(next(iter(users), ""), best, options.roles, rule)

    return find


def _rated(lines: list[str]) -> dict[str, float] | None:
    """The names in the lines of a field, in their order, each with the highest of its weights; None for what cannot be read."""
    found: dict[str, float] = {}
    for line in lines:
        try:
            text = line.encode("latin-1").decode("utf-8")
        except ValueError:
            return None
        for member in text.split(","):
            member = member.strip(" \t")
            if not member:
                continue
            match = _RATED.fullmatch(member)
            if match is None:
                return None
            name = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), match[1])
            found[name] = max(float(match[2] or 1.0), found.get(name, 0.0))
    return found


def _from_path(options: PathOptions, rule: Rule) -> _Source:
    param, groups = options.param, (options.group,)
    if param is not None:
        name = param

        def find_param(exchange: Exchange) -> _Found | Fault | None:
            return _found(exchange.params.get(name, ""), groups, options.roles, rule)

        return find_param
    assert options.regex is not None
    fullmatch = compile_path(options.regex).fullmatch

    def find(exchange: Exchange) -> _Found | Fault | None:
        path = exchange.path
        if len(path) > LONGEST:
            return None
        match = fullmatch(matchable(path))
        return _found(decode(match[1] or ""), groups, options.roles, rule) if match is not None else None

    return find


def _found(user: str, groups: tuple[str, ...], roles: tuple[str, ...], rule: Rule) -> _Found | Fault | None:
    if not user:
        return None
    return _invalid(rule) if _is_unfit(user) else _Found(user, groups, roles, rule)


def _is_unfit(name: str) -> bool:
    # U+FFFD stands for bytes that are no text.
    return len(name) > _LONGEST_NAME or not name.isprintable() or "\ufffd" in name or name != name.strip()
