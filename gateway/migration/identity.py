"""Tokens: keystone-v2 and openstack-identity-v3, client-auth of Repose 6 before them, and what authorizes by tenant."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, Final, NamedTuple

from gateway.api.regex import check_path
from gateway.migration import expression
from gateway.migration.container import duration
from gateway.migration.draft import IDENTITY, Asking, Chain, Condition, Entry, apart, holds, joined
from gateway.migration.source import Element, number
from gateway.migration.writing import Noted

_CONFIRMED: Final = 1.0
"""Quality of X-PP-User from a token, which no other source has."""

_FOREVER: Final = "1d"

_POLLED: Final = "5s"
"""How often Repose looks at an Atom feed, unless told otherwise."""


def keystone_v2(config: Element, chain: Chain) -> None:
    """`keystone-v2`: the provider keystone_v2 of `token_auth`."""
    service = config.first("identity-service")
    if service is None:
        chain.left(config, "it names no identity-service")
        config.forget()
        chain.refuse(config.place)
        return
    provider = _v2_provider(service, chain)
    if not service.flag("set-groups-in-header", True):
        provider["groups"] = False
    if not service.flag("set-roles-in-header", True):
        chain.differs(service, "the upstream always gets the roles, in X-Roles and X-Map-Roles")
    if service.flag("set-catalog-in-header"):
        chain.left(service, "set-catalog-in-header: the catalog of Identity v2.0 is not handed on")
    if service.flag("apply-rcn-roles"):
        chain.left(service, "apply-rcn-roles: what Rackspace's own query parameter adds")
    ignored = config.first("ignored-roles")
    if ignored is not None:
        provider["ignored_roles"] = [
            *ignored.content().split(),
            *(role.content() for role in ignored.all("role")),
        ]
    repose: dict[str, Any] = {"group_quality": None}
    tenants = _tenants(config, chain, repose)
    if tenants.asked is not None:
        provider["tenant"] = tenants.asked
    lost = _endpoint(config.first("require-service-endpoint"), chain) or tenants.lost
    options = {
        "providers": [{"keystone_v2": provider}],
        **_cache_feed(config.first("cache"), _cache(config, chain), chain),
        "headers": "repose",
        "repose": repose,
        "auth_url": service.required("uri"),
    }
    _delegating(config, options, repose, chain)
    white = _white(config, "uri-regex", chain)
    _add(chain, options, config, white)
    if len(tenants.expressions) > 1:
        _all_tenants(tenants, config, chain, white)
    if lost is not None:
        chain.refuse(lost.place, when=white)


def client_auth(config: Element, chain: Chain) -> None:
    """`client-auth` of Repose 6: its openstack-auth is what became keystone-v2."""
    lost: Element | None = None
    for name in ("rackspace-auth", "http-basic-auth"):
        other = config.first(name)
        if other is not None:
            other.forget()
            chain.left(other, f"{name}: it asks a service that is none of the providers of `token_auth`")
            lost = other
    auth = config.first("openstack-auth")
    if auth is None:
        chain.left(config, "there is no openstack-auth in it")
        config.forget()
        chain.refuse(config.place)
        return
    service = auth.first("identity-service")
    if service is None:
        chain.left(auth, "it names no identity-service")
        config.forget()
        chain.refuse(auth.place)
        return
    provider = _v2_provider(service, chain)
    if service.get("tenantId"):
        chain.left(service, "tenantId: the gateway's own account asks without a tenant")
    if not auth.flag("request-groups", True):
        provider["groups"] = False
    repose: dict[str, Any] = {}
    mappings = auth.all("client-mapping")
    expressions = [
        _tenant_expression(one.required("id-regex"), one, chain, anywhere=True) for one in mappings
    ]
    roles = _roles(auth, "service-admin-roles", "ignore-tenant-roles")
    usable = [text for text in expressions if text is not None]
    tenanted = auth.flag("tenanted", True)
    if tenanted and not mappings:
        chain.left(auth, "tenanted: no client-mapping says where the tenant is")
    if tenanted and usable:
        provider["tenant"] = Noted(_tenant(usable, [], roles), ())
        _tenant_differences(auth, roles, chain)
    if auth.flag("send-all-tenant-ids"):
        repose["all_tenants"] = True
    if auth.flag("send-tenant-id-quality"):
        repose["tenant_quality"] = {"chosen": 0.7, "default": 0.9, "roles": 0.5}
    if auth.first("endpoints-in-header") is not None:
        chain.left(auth, "endpoints-in-header: the catalog of Identity v2.0 is not handed on")
        for catalog in auth.all("endpoints-in-header"):
            catalog.forget()
    auth.ignore("@user-cache-timeout", "@group-cache-timeout", "@connectionPoolId")
    feeds = config.first("atom-feeds")
    cache = _milliseconds(auth, "token-cache-timeout", chain)
    if feeds is not None:
        cache = _fed(feeds, cache, chain)
    options = {
        "providers": [{"keystone_v2": provider}],
        **cache,
        "headers": "repose",
        "repose": repose,
        "auth_url": service.required("uri"),
    }
    if auth.flag("delegable"):
        options["delay_auth_decision"] = True
    _delegating(auth, options, repose, chain)
    when: list[Condition] = []
    for white in config.all("white-list"):
        when += _spared([(one, one.get("uri-regex")) for one in white.all("uri-pattern")], chain)
    _add(chain, options, config, when)
    if lost is None and tenanted and (not mappings or len(usable) < len(mappings)):
        lost = auth
    if lost is not None:
        chain.refuse(lost.place, when=when)


def identity_v3(config: Element, chain: Chain) -> None:
    """`openstack-identity-v3`: the provider keystone of `token_auth`; the project in the path is held to by `rbac`."""
    service = config.first("openstack-identity-service")
    if service is None:
        chain.left(config, "it names no openstack-identity-service")
        config.forget()
        chain.refuse(config.place)
        return
    uri = service.required("uri")
    account: dict[str, Any] = {
        "user": service.required("username"),
        "password": _password(service, "password", chain),
    }
    if service.get("domain-id"):
        account["user_domain_id"] = service.get("domain-id")
    if service.get("project-id"):
        account["project_id"] = service.get("project-id")
    else:
        account["scope"] = "none"
    provider: dict[str, Any] = {"url": _versioned(uri, "/v3"), "account": account}
    if config.flag("forward-catalog"):
        provider["include_catalog"] = True
    if config.flag("forward-groups", True):
        chain.differs(
            config,
            "forward-groups: each token asks for its user's groups itself, and Repose's own account did; where they cannot be had "
            "the answer is 503 (`groups`)",
        )
    else:
        provider["groups"] = "none"
    config.ignore("@connection-pool-id", "@groups-cache-timeout")
    repose: dict[str, Any] = {}
    if config.flag("send-all-project-ids"):
        repose["all_tenants"] = True
    quality = config.first("send-project-id-quality")
    if quality is not None:
        repose["tenant_quality"] = {
            "chosen": chain.quality(quality, "uri-project-quality", 0.7),
            "default": chain.quality(quality, "default-project-quality", 0.9),
            "roles": chain.quality(quality, "roles-project-quality", 0.5),
        }
    cache = _cache(config, chain) or _milliseconds(config, "token-cache-timeout", chain)
    cache = _cache_feed(config.first("cache"), cache, chain)
    options: dict[str, Any] = {
        "header": "X-Subject-Token",
        "providers": [{"keystone": provider}],
        **cache,
        "headers": "repose",
        "repose": repose,
        "auth_url": uri,
    }
    chain.differs(
        config,
        "Repose reads X-Subject-Token only, and so does this; `header: X-Auth-Token` reads what OpenStack's clients send",
    )
    _delegating(config, options, repose, chain)
    endpoint = _endpoint(config.first("service-endpoint"), chain)
    white = _white(config, "uri-pattern", chain)
    _add(chain, options, config, white)
    if endpoint is not None:
        chain.refuse(endpoint.place, when=white)
    _project(config, chain, white)


def _project(config: Element, chain: Chain, white: list[Condition]) -> None:
    roles = _roles(config, "pre-authorized-roles", "roles-which-bypass-project-id-check")
    element = config.first("validate-project-id-in-uri")
    if element is None:
        return
    regex = element.required("regex")
    try:
        text = expression.first_group_only(expression.found(regex), "project_id")
        if not expression.always_groups(text):
            raise ValueError("its group need not take part, and then names no project")
    except ValueError as error:
        chain.left(element, f"the expression {regex!r}: {error}")
        element.ignore("@strip-token-project-prefixes")
        chain.refuse(element.place, when=white)
        return
    if element.get("strip-token-project-prefixes"):
        chain.left(
            element,
            "strip-token-project-prefixes: `rbac` compares the project in the path as it is; its `strip_prefixes` are of the path",
        )
    options: dict[str, Any] = {
        "rows": [{"regex": text, "roles": "any"}],
        "project_param": "project_id",
    }
    if roles:
        options["bypass_roles"] = roles
    chain.differs(element, "another project is answered 403, in place of 401")
    chain.bounds_paths(element, "is answered 414")
    chain.add("rbac", options, element.place, when=white)


def keystone_v2_authorization(config: Element, chain: Chain) -> None:
    """`keystone-v2-authorization`: its tenants are a matter of the `token_auth` before it, or of a table beside that."""
    asking = chain.draft.asking
    endpoint = _endpoint(config.first("require-service-endpoint"), chain)
    white = _white(config, "uri-regex", chain)
    delegates = bool(config.all("delegating"))
    if delegates:
        chain.left(config, "delegating: it goes by the `token_auth` before it")
        for delegating in config.all("delegating"):
            delegating.forget()
    if asking is None:
        chain.left(config, "no keystone-v2 before it says who is calling, and in which tenants")
        config.forget()
        chain.refuse(config.place, when=white)
        return
    told: dict[str, Any] = {}
    tenants = _tenants(config, chain, told)
    asked = tenants.asked
    lost = tenants.lost or endpoint
    own = [one for one in chain.own(white) if not (_settled(one, chain) and holds(asking.when, one))]
    movable = all(_settled(one, chain) for one in own)
    changes = [
        (entry, extra, _with_tenants(entry.options, asked, told))
        for entry, extra in asking.entries
        if not apart([*extra, *own])
    ]
    wrong = ""
    for entry, _, options in changes if movable else ():
        wrong = wrong or chain.draft.wrong(replace(entry, options=options, when=[*entry.when, *own]))
    if not wrong and asked is not None and chain.draft.rewritten is not None:
        wrong = f"its tenant is in the path that {chain.draft.rewritten} has made"
    if wrong:
        chain.left(config, wrong)
        chain.refuse(config.place, when=white)
        return
    if told and not movable:
        chain.left(config, "what the upstream is told of tenants cannot go by the conditions of this filter")
        lost = lost or config
    together = len(tenants.expressions) > 1 or any("tenant" in _provider_of(one) for one, _, _ in changes)
    beside: list[list[Condition]] = []
    for entry, extra, options in changes:
        if asked is not None:
            known = _provider_of(entry).get("tenant")
            one_is_not_enough = len(tenants.expressions) > 1 or not movable
            other = one_is_not_enough if known is None else known.value != asked.value
            # Where the decision is delayed the `token_auth` only tells of another tenant, and this filter has refused it.
            if other or (entry.options.get("delay_auth_decision") and not delegates):
                beside.append(extra)
            if known is None:
                chain.differs(config, "another tenant is answered 403, in place of 401")
        if movable:
            narrower = [one for one in own if not holds(extra, one)]
            _put(entry, options, narrower, asked is not None, config, chain)
    if beside and not movable:
        chain.differs(
            config,
            "its conditions are asked behind the token, where one tenant of it is known (`rbac`): a token for several tenants is good for "
            "the one that it has by default, and others are answered 403",
        )
    whole = len(beside) == len(changes)
    if beside:
        some: list[Condition] = [] if whole else [{"any": [joined(one) for one in beside]}]
        _all_tenants(tenants, config, chain, [*white, *some], together=together)
    for condition in asking.when if asked is not None and not (beside and whole) else ():
        if not chain.seen_by(condition, spared=white):
            chain.differs(
                config, f"requests that {asking.name!r} does not see are answered 500, as in Repose"
            )
            chain.add(
                "respond",
                {"status": 500},
                config.place,
                when=[*white, {"not": condition}],
                comment=["Nobody is known where no token is asked for, and Repose refuses that."],
                beside="nobody",
            )
    if lost is not None:
        chain.refuse(lost.place, when=white)


def _provider_of(entry: Entry) -> dict[str, Any]:
    provider: dict[str, Any] = entry.options["providers"][0]["keystone_v2"]
    return provider


def _with_tenants(options: dict[str, Any], asked: Noted | None, told: dict[str, Any]) -> dict[str, Any]:
    """Options with a tenant where they have none, and with what the upstream is told of tenants."""
    made = deepcopy(options)
    if asked is not None:
        made["providers"][0]["keystone_v2"].setdefault("tenant", asked)
    if told:
        made["repose"] = {**made.get("repose", {}), **told}
    return made


def _put(
    entry: Entry,
    options: dict[str, Any],
    narrower: list[Condition],
    asks: bool,
    config: Element,
    chain: Chain,
) -> None:
    """Has a `token_auth` the options; where that goes for some of its requests only, they get an entry of their own.

    asks  whether it is for a tenant
    """
    if options != entry.options and narrower:
        made = chain.divides(entry, options, narrower, config.place)
        chain.part.into.append(f"token_auth {made.name!r}")
        chain.differs(
            config,
            f"its requests are asked for their token by a `token_auth` of their own, which remembers tokens by itself; {entry.name!r} asks "
            "for those of the others",
        )
        return
    entry.options = options
    if asks:
        chain.part.into.append(f"tenant of token_auth {entry.name!r}")


def _settled(condition: Condition, chain: Chain) -> bool:
    """Whether a condition of this place says the same of a request where its token is asked for."""
    for key, value in condition.items():
        if key == "header":
            settled = _is_last(chain) and not any(map(_told, value))
        elif key == "not":
            settled = _settled(value, chain)
        elif key in ("any", "all"):
            settled = all(_settled(one, chain) for one in value)
        else:
            settled = key == "method" or (key == "path" and chain.draft.rewritten is None)
        if not settled:
            return False
    return True


def _is_last(chain: Chain) -> bool:
    """Whether no entry has been added since a token is asked for."""
    asking = chain.draft.asking
    return asking is not None and any(chain.draft.entries[-1] is entry for entry, _ in asking.entries)


_TOLD: Final = (
    *("x-auth", "x-catalog", "x-contact-", "x-default-", "x-delegated", "x-domain-", "x-identity-"),
    *(
        "x-impersonator-",
        "x-is-admin-",
        "x-map-",
        "x-pp-",
        "x-project-",
        "x-relevant-",
        "x-role",
        "x-service-",
    ),
    *("x-storage-", "x-tenant", "x-token-", "x-user", "openstack-system-"),
)
"""What the names of fields begin with that a `token_auth` may write or take away."""


def _told(name: str) -> bool:
    return name.lower().replace("_", "-").startswith(_TOLD)


def tenant_culling(config: Element, chain: Chain) -> None:
    """`tenant-culling`, which there is no need for where the upstream is told of one tenant only."""
    chain.left(config, _ONE_TENANT)
    if any(entry.options.get("repose", {}).get("all_tenants") for entry in chain.draft.entries):
        chain.left(config, "a `token_auth` before it tells the upstream of all tenants (`all_tenants`)")
        chain.refuse(config.place)


def basic_auth(config: Element, chain: Chain) -> None:
    """`keystone-v2-basic-auth` and what it was called before."""
    config.forget()
    chain.left(
        config,
        "names and passwords by Identity v2.0: the provider `basic` of `token_auth` asks Keystone v3, where there is one",
    )
    chain.refuse(config.place)


# ---- parts


_FEED: Final = (
    f"invalidation by an Atom feed: `cache.ttl` is {_POLLED}, as often as Repose looks at a feed; where POST /tokens/revoke of the "
    "admin listener tells of revoked tokens, it can be longer"
)

_ONE_TENANT: Final = (
    "not needed where the upstream is told the one tenant that the request names or the token is for, and `rbac` judges by the "
    "roles of that"
)


def _v2_provider(service: Element, chain: Chain) -> dict[str, Any]:
    provider: dict[str, Any] = {"url": _versioned(service.required("uri"), "/v2.0")}
    service.ignore("@connection-pool-id")
    user = service.get("username")
    if user:
        provider["account"] = {"user": user, "password": _password(service, "password", chain)}
    return provider


def _password(element: Element, name: str, chain: Chain) -> Any:
    return chain.draft.secret(
        f"{chain.part.name}_password", element.place, chain.part, text=element.get(name)
    )


def _versioned(uri: str, version: str) -> str:
    base = uri.rstrip("/")
    return base if base.endswith(version) else base + version


def _tenant_expression(regex: str, element: Element, chain: Chain, *, anywhere: bool = False) -> str | None:
    """The expression of a path whose only group is the tenant; None where it cannot be said, which is noted."""
    try:
        return expression.first_group_only(expression.found(regex) if anywhere else expression.whole(regex))
    except ValueError as error:
        chain.left(element, f"the expression {regex!r}: {error}")
        return None


def _roles(element: Element, *names: str) -> list[str]:
    found = [role.content() for name in names for one in element.all(name) for role in one.all("role")]
    return [role for role in found if role]


def _tenant(expressions: list[str], prefixes: list[str], roles: list[str]) -> dict[str, Any]:
    value: dict[str, Any] = {"regex": expressions}
    if prefixes:
        value["strip_prefixes"] = prefixes
    if roles:
        value["bypass_roles"] = roles
    return value


class _Tenants(NamedTuple):
    """What a filter asks of tenants.

    expressions  of paths, each with one group, the tenant
    asked        the option `tenant` of a provider; None where nothing is asked, or nothing of it can be said
    prefixes     that tenants of a token may have
    roles        whose bearers may name any tenant
    lost         the element of a check of which a part is lost; None where all of it is here
    """

    expressions: list[str]
    asked: Noted | None
    prefixes: list[str]
    roles: list[str]
    lost: Element | None


def _tenants(config: Element, chain: Chain, repose: dict[str, Any]) -> _Tenants:
    """What is said of tenants; the fields that the upstream gets go into `repose`."""
    roles = _roles(config, "pre-authorized-roles")
    handling = config.first("tenant-handling")
    if handling is None:
        return _Tenants([], None, [], roles, None)
    if handling.flag("send-all-tenant-ids"):
        repose["all_tenants"] = True
    quality = handling.first("send-tenant-id-quality")
    if quality is not None:
        named = "validated" if quality.has("validated-tenant-quality") else "uri"
        repose["tenant_quality"] = {
            "chosen": chain.quality(quality, f"{named}-tenant-quality", 0.7),
            "default": chain.quality(quality, "default-tenant-quality", 0.9),
            "roles": chain.quality(quality, "roles-tenant-quality", 0.5),
        }
    validate = handling.first("validate-tenant")
    if validate is None:
        return _Tenants([], None, [], roles, None)
    if validate.flag("enable-legacy-roles-mode"):
        chain.left(
            validate, "enable-legacy-roles-mode: roles held in other tenants do not count for a request"
        )
    expressions: list[str] = []
    lost = False
    for one in validate.all("uri-extraction-regex"):
        text = _tenant_expression(one.content(), one, chain)
        expressions += [text] if text is not None else []
        lost = lost or text is None
    for one in validate.all("header-extraction-name"):
        name = one.content().lower()
        known = chain.draft.extracted.get(name, [])
        for text in known:
            expressions.append(expression.first_group_only(text))
        if not known:
            lost = True
            chain.left(
                one,
                f"the tenant in the field {name}: no url-extractor-to-header before it takes it from the path",
            )
    if not expressions and not lost:
        lost = True
        chain.left(validate, "validate-tenant: nothing says where the tenant is")
    prefixes = [part for part in validate.get("strip-token-tenant-prefixes").split("/") if part]
    asked: Noted | None = None
    if expressions:
        asked = Noted(_tenant(expressions, prefixes, roles), (str(validate.place),))
        _tenant_differences(validate, roles, chain)
    return _Tenants(expressions, asked, prefixes, roles, validate if lost else None)


def _tenant_differences(element: Element, roles: list[str], chain: Chain) -> None:
    chain.differs(
        element, "a request that names no tenant, or one that the token is not for, is answered 403"
    )
    chain.bounds_paths(element, "names no tenant, and is answered 403")
    if roles:
        chain.differs(
            element,
            f"who may name any tenant ({', '.join(roles)}) may do so by a role that is held in no tenant, where for Repose one is enough "
            "that is held in any (`bypass_roles`)",
        )


def _all_tenants(
    tenants: _Tenants, config: Element, chain: Chain, white: list[Condition], *, together: bool = True
) -> None:
    """A table by which each expression that matches must name the tenant that the `token_auth` before it has chosen.

    together  whether there are several, with those of a filter before this one
    """
    place = tenants.asked.comment[0] if tenants.asked is not None else str(config.place)
    try:
        if tenants.prefixes:
            raise ValueError("strip-token-tenant-prefixes: `rbac` compares the tenant in the path as it is")
        texts = [_named_group(text) for text in tenants.expressions]
    except ValueError as error:
        chain.left(config, f"every expression that matches is to name a tenant of the token: {error}")
        chain.refuse(config.place, when=white)
        return
    options: dict[str, Any] = {
        "rows": [Noted({"regex": text, "roles": "any"}, (place,)) for text in texts],
        "project_param": "project_id",
    }
    if len(texts) > 1:
        options["match"] = "all"
    if tenants.roles:
        options["bypass_roles"] = tenants.roles
    delegating = config.first("delegating")
    rest = (
        {"mode": "shadow", "delegate": chain.quality(delegating, default=0.7)}
        if delegating is not None
        else {}
    )
    if together:
        chain.differs(
            config,
            "every expression that matches must name one and the same tenant (`rbac`), where Repose lets several of the token pass",
        )
    chain.bounds_paths(config, "is answered 414 (`rbac`)")
    chain.add("rbac", options, config.place, when=white, rest=rest)


def _named_group(text: str) -> str:
    """The expression with its group named for `rbac`. Raises ValueError."""
    named = expression.first_group_only(text, "project_id")
    if not expression.always_groups(named):
        raise ValueError("a group need not take part, and then names no tenant")
    return check_path(named)


def _cache(config: Element, chain: Chain) -> dict[str, Any]:
    timeouts = config.first("cache", "timeouts")
    if timeouts is None:
        return {}
    for one in timeouts.all("endpoints"):
        one.forget()
    token, group = timeouts.first("token"), timeouts.first("group")
    seconds = number(token.content(), "token", token.place) if token is not None else 600
    if group is not None:
        seconds = _sooner(seconds, number(group.content(), "group", group.place))
    variability = timeouts.number("variability", 0) or timeouts.number("variance", 0)
    cache = _ttl(seconds, timeouts, chain)
    if variability and seconds > 0:
        cache["jitter"] = min(100, round(100 * variability / seconds))
        chain.differs(timeouts, "the time of a token varies downwards only, by percent")
    chain.differs(
        timeouts, "a token and its groups are remembered together, as long as the one that ends sooner"
    )
    return {"cache": Noted(cache, (str(timeouts.place),))}


def _milliseconds(element: Element, name: str, chain: Chain) -> dict[str, Any]:
    """The cache as Repose 6 to 8 write it."""
    offset = element.number("cache-offset", 0) / 1000
    if not element.has(name):
        return {}
    seconds = element.number(name) / 1000
    if element.has("group-cache-timeout"):
        seconds = _sooner(seconds, element.number("group-cache-timeout") / 1000)
    cache = _ttl(seconds, element, chain)
    if offset and seconds > 0:
        cache["jitter"] = min(100, round(100 * offset / seconds))
    return {"cache": Noted(cache, (str(element.place),))}


def _sooner(one: float, other: float) -> float:
    """Of two times that something is remembered: below 0 is not at all, and 0 is without an end."""
    if one < 0 or other < 0:
        return -1
    return min(one, other) if one and other else one or other


def _ttl(seconds: float, element: Element, chain: Chain) -> dict[str, Any]:
    if seconds < 0:
        return {"ttl": "0s"}
    if seconds == 0:
        chain.differs(
            element,
            f"0 is until a token ends, which is {_FOREVER} at most here; a shorter time has revoked tokens end",
        )
        return {"ttl": _FOREVER}
    return {"ttl": duration(seconds)}


def _cache_feed(cache: Element | None, made: dict[str, Any], chain: Chain) -> dict[str, Any]:
    feeds = cache.all("atom-feed") if cache is not None else []
    for feed in feeds:
        made = _fed(feed, made, chain)
    return made


def _fed(feed: Element, made: dict[str, Any], chain: Chain) -> dict[str, Any]:
    """The cache without the feed that told of revoked tokens: a token is remembered no longer than that took."""
    feed.forget()
    chain.left(feed, _FEED)
    kept: dict[str, Any] = dict(made["cache"].value) if made else {}
    if kept.get("ttl") == "0s":
        return made
    comment = (*(made["cache"].comment if made else ()), f"ttl: {feed.place}")
    return {"cache": Noted({**kept, "ttl": _POLLED}, comment)}


def _endpoint(element: Element | None, chain: Chain) -> Element | None:
    """The element, if there is one: the check that it asks for is not here, which is noted."""
    if element is None:
        return None
    element.forget()
    chain.left(
        element,
        f"{element.name}: nobody is asked whether the service is in his catalog; a table of roles (`rbac`) says who may come",
    )
    return element


def _delegating(config: Element, options: dict[str, Any], repose: dict[str, Any], chain: Chain) -> None:
    element = config.first("delegating")
    if element is not None:
        element.ignore("@component-name")
        options["delay_auth_decision"] = True
        repose["delegation_quality"] = chain.quality(element, default=0.7)


def _white(config: Element, name: str, chain: Chain) -> list[Condition]:
    spared = [(one, one.content()) for white in config.all("white-list") for one in white.all(name)]
    return _spared(spared, chain)


def _spared(expressions: Sequence[tuple[Element, str]], chain: Chain) -> list[Condition]:
    """The condition that leaves out what a white list names; what cannot be said of it is asked for a token."""
    paths: list[str] = []
    for element, regex in expressions:
        paths += chain.paths(regex, element) or []
    return [{"not": {"path": paths}}] if paths else []


def _add(chain: Chain, options: dict[str, Any], config: Element, white: list[Condition]) -> None:
    if not options["repose"]:
        del options["repose"]
    chain.replaces(config, IDENTITY)
    if any(user.token for user in chain.draft.users):
        chain.differs(
            config,
            "a filter before this one asks for a token too: where both see a request, its token has to be good for both, and whom this "
            "one has found is who is calling, with these roles and tenants alone; Repose adds X-PP-User, X-Roles and their like of "
            "both. A keystone-v2-authorization behind them goes by this one",
        )
    entry = chain.add("token_auth", options, config.place, when=white)
    if "keystone_v2" in options["providers"][0] and any(one is entry for one in chain.draft.entries):
        chain.draft.asking = Asking(entry.name, list(entry.when), [(entry, [])])
    delays = "delay_auth_decision" in options
    if delays and chain.draft.users:
        chain.differs(
            config,
            "whoever a filter before this one has found is forgotten where the token is missing or invalid: put that filter behind it",
        )
        chain.draft.everybody = None
    chain.finds_token(_CONFIRMED, when=white, always=not delays)
    chain.draft.known = True
    chain.part.differs(
        config.place,
        "identity fields of clients (X-Roles, X-PP-User and their like) are stripped by default, also on paths of the white list",
    )
