"""Who is calling without a token: ip-user, header-user and uri-user, ip-identity, header-identity and uri-identity before them.

Repose lets the value of the highest quality win, wherever the filter stands; here a later filter takes the place of what an
earlier one has found where it says `override`, which is decided by those qualities.
"""

from typing import Any, Final

from gateway.migration import expression
from gateway.migration.draft import Chain
from gateway.migration.source import Element, number

_EVERYBODY: Final = ("0.0.0.0/0", "::/0")
_TRUSTED: Final = ("127.0.0.0/8", "::1/128")

_TRUST_PROXIES: Final = (
    "Repose takes the first address of X-Forwarded-For from anybody; here it counts from `trusted_proxies` only, so name the "
    "balancers in front there"
)


def ip_user(config: Element, chain: Chain) -> None:
    """`ip-user`: the address is the user, and the first network that has it the group."""
    users, groups = config.first("user-header"), config.first("group-header")
    quality = users.number("quality", 0.4) if users is not None else 0.4
    for header, usual, here in ((users, "x-pp-user", "X-PP-User"), (groups, "x-pp-groups", "X-PP-Groups")):
        if header is not None and header.get("name", usual).lower() != usual:
            chain.left(header, f"the name {header.get('name')!r}: the upstream gets {here}")
    if groups is not None and groups.number("quality", 0.4) != quality:
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
    _add(chain, config, [{"ip": options}], quality, everybody=True)


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
    _add(chain, config, [{"ip": {"groups": groups, "quality": quality}}], quality, everybody=True)


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
            if header.required("id").lower() in ("x-pp-user", "x-user-id", "x-user-name"):
                chain.differs(
                    header, f"{header.get('id')} is set by the gateway, and stripped from what clients send"
                )
    chain.differs(
        config,
        "Repose believes the field of any client; here only of those in `trusted_peers`, and it is stripped from others: name "
        "the peers that set it",
    )
    _add(chain, config, sources, max(qualities, default=0.1))


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
    _add(chain, config, sources, quality)
    if lost and sources:
        chain.refuse(config.place)  # nobody would be counted who had been


def _add(
    chain: Chain, config: Element, sources: list[dict[str, Any]], quality: float, *, everybody: bool = False
) -> None:
    if not sources:
        chain.left(config, "nothing is left of it that says who is calling")
        chain.refuse(config.place)
        return
    options: dict[str, Any] = {"sources": sources}
    before = chain.draft.user
    if before is not None and quality > before:
        options["override"] = True
    options["headers"] = "repose"
    chain.add("principal", options, config.place)
    if everybody:
        chain.finds_everybody()
    chain.draft.user = quality if before is None else max(before, quality)
