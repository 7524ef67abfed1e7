"""Who is calling without a token: ip-user, header-user and uri-user, ip-identity, header-identity and uri-identity before them.

Repose lets the value of the highest quality win, wherever the filter stands; here a later filter takes the place of what an
earlier one has found where it says `override`, which is decided by those qualities. Where an earlier one of a higher quality need
not have found anybody, as with a white list, that goes by what the upstream is told, request by request.
"""

import re
from typing import Any, Final

from gateway.migration import expression
from gateway.migration.draft import WHO, Chain, Condition
from gateway.migration.source import Element, number

_EVERYBODY: Final = ("0.0.0.0/0", "::/0")
_TRUSTED: Final = ("127.0.0.0/8", "::1/128")

_OF_ANOTHER: Final = (
    "X-PP-User is whom a gateway in front has found: write `sources: [ { repose: { trusted_peers: [...] } } ]` of `principal` in place of "
    "this filter, for the peers that set it. It is not the same: groups are those of X-PP-Groups, never the name of the field, the weights of "
    "its users do not count against those of other filters (`quality`), and more than one user is 400"
)

_TRUST_PROXIES: Final = (
    "Repose takes the first address of X-Forwarded-For from anybody; here it counts from `trusted_proxies` only, so name the "
    "balancers in front there"
)


def ip_user(config: Element, chain: Chain) -> None:
    """`ip-user`: the address is the user, and the first network that has it the group."""
    users, groups = config.first("user-header"), config.first("group-header")
    quality = chain.quality(users, default=0.4) if users is not None else 0.4
    for header, usual, here in ((users, "x-pp-user", "X-PP-User"), (groups, "x-pp-groups", "X-PP-Groups")):
        if header is not None and header.get("name", usual).lower() != usual:
            chain.left(header, f"the name {header.get('name')!r}: the upstream gets {here}")
    if groups is not None and chain.quality(groups, default=0.4) != quality:
        chain.differs(groups, "user and group have one quality here, that of the user")
    options = {
        "groups": [
            {"name": group.required("name"), "networks": [one.content() for one in group.all("cidr-ip")]}
            for group in config.all("group")
        ],
        "others": True,
        "quality": quality,
    }
    chain.differs(config, _TRUST_PROXIES)
    _add(chain, config, [{"ip": options}], [quality], everybody=True)


def ip_identity(config: Element, chain: Chain) -> None:
    """`ip-identity` of Repose 6: everybody is in IP_Standard, and those of its list in IP_Super."""
    stated, white = config.first("quality"), config.first("white-list")
    quality = number(stated.content(), "quality", stated.place) if stated is not None else 0.1
    groups: list[dict[str, Any]] = []
    if white is not None:
        networks = [address.content() for address in white.all("ip-address")]
        groups.append({"name": "IP_Super", "networks": networks})
        if white.number("quality", quality) != quality:
            chain.differs(white, "all addresses have one quality here")
    groups.append({"name": "IP_Standard", "networks": list(_EVERYBODY)})
    chain.differs(config, _TRUST_PROXIES)
    _add(chain, config, [{"ip": {"groups": groups, "quality": quality}}], [quality], everybody=True)


def header_user(config: Element, chain: Chain) -> None:
    """`header-user` and `header-identity`: the first field that has a value is the user."""
    sources, qualities = [], []
    for headers in config.all("source-headers"):
        for header in headers.all("header"):
            quality = header.number("quality", 0.1)
            qualities.append(quality)
            options = {
                "name": header.required("id"),
                "trusted_peers": list(_TRUSTED),
                "forward": True,
                "group": header.required("id"),
                "quality": quality,
            }
            sources.append({"header": options})
            if header.required("id").lower() == "x-pp-user":
                chain.left(header, _OF_ANOTHER)
            elif header.required("id").lower() in ("x-user-id", "x-user-name"):
                chain.differs(
                    header, f"{header.get('id')} is set by the gateway, and stripped from what clients send"
                )
    chain.differs(
        config,
        "Repose believes the field of any client; here only of those in `trusted_peers`, and it is stripped from others: name "
        "the peers that set it",
    )
    _add(chain, config, sources, qualities)


def uri_user(config: Element, chain: Chain) -> None:
    """`uri-user` and `uri-identity`: the first group of the first expression that is found in the path."""
    quality_element, group_element = config.first("quality"), config.first("group")
    quality = 0.5
    if quality_element is not None and quality_element.content():
        quality = number(quality_element.content(), "quality", quality_element.place)
    group = group_element.content() if group_element is not None else ""
    sources = []
    lost = False
    for mappings in config.all("identification-mappings"):
        for mapping in mappings.all("mapping"):
            mapping.ignore("@id")
            regex = mapping.required("identification-regex")
            try:
                text = expression.found(regex)
                if not expression.groups(text):
                    raise ValueError("it has no group for the user")
            except ValueError as error:
                chain.left(mapping, f"the expression {regex!r}: {error}")
                lost = True
                continue
            options = {"regex": text, "group": group or "User_Standard", "quality": quality}
            sources.append({"path": options})
            chain.bounds_paths(mapping, "names no user")
    _add(chain, config, sources, [quality])
    if lost and sources:
        chain.refuse(config.place)  # nobody would be counted who had been


def _add(
    chain: Chain,
    config: Element,
    sources: list[dict[str, Any]],
    qualities: list[float],
    *,
    everybody: bool = False,
) -> None:
    if not sources:
        chain.left(config, "nothing is left of it that says who is calling")
        chain.refuse(config.place)
        return
    chain.replaces(config, WHO)
    least, most = min(qualities), max(qualities)
    before = {quality for user in chain.draft.users for quality in user.qualities}
    weaker = any(quality < most for quality in before)
    stronger = any(quality >= most for quality in before)
    if any(least <= quality < most for quality in before):
        chain.differs(
            config,
            "all its fields count as the one of the highest quality, also against a user whose quality is between theirs",
        )
    options: dict[str, Any] = {"sources": sources, "headers": "repose"}
    replacing: dict[str, Any] = {"sources": sources, "override": True, "headers": "repose"}
    if not weaker or _found(chain, most):
        chain.add("principal", options, config.place)
    elif not stronger:
        chain.add("principal", replacing, config.place)
    else:
        known = _known(chain, most)
        chain.add(
            "principal",
            replacing,
            config.place,
            when=[{"not": known}],
            comment=["Nobody whom an earlier filter has found with a higher quality is replaced."],
        )
        if any("header" in source for source in sources):
            # Of a peer that is not trusted the field is stripped also where somebody is known.
            chain.add("principal", options, config.place, when=[known])
    if everybody:
        chain.finds_everybody()
    chain.finds_user(qualities, always=everybody)


def _found(chain: Chain, quality: float) -> bool:
    """Whether there is a user of this quality or a higher one, whichever request comes to this place."""
    return any(
        user.always and min(user.qualities) >= quality and all(chain.seen_by(one) for one in user.when)
        for user in chain.draft.users
    )


def _known(chain: Chain, quality: float) -> Condition:
    """Holds where there is a user of this quality or a higher one, by the fields that tell the upstream of him."""
    conditions: list[Condition] = []
    found = {one for user in chain.draft.users if not user.token for one in user.qualities if one >= quality}
    if found:
        # A name in X-PP-User holds no semicolon.
        texts = [re.escape(str(round(float(one), 3))) for one in sorted(found)]
        conditions.append({"header": {"X-PP-User": {"regex": f"[^;]*;q=(?:{'|'.join(texts)})"}}})
    if any(user.token for user in chain.draft.users):  # the user of a token need not have a name
        conditions.append({"header": {"X-Identity-Status": "Confirmed"}})
    return conditions[0] if len(conditions) == 1 else {"any": conditions}
