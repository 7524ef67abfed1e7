"""The target: uri-normalization and uri-stripper."""

import re
from typing import Any, Final

from gateway.migration.draft import Chain, target_condition
from gateway.migration.source import Element

_JUDGED: Final = (
    "filters behind it judge by the path as it was received, so that those whose expressions are for what it makes of the path are "
    "not moved"
)

_SUFFIX: Final = re.compile(r"[A-Za-z0-9_-]+")


def uri_normalization(config: Element, chain: Chain) -> None:
    """`uri-normalization`: parameters of the query that may stay, and media types by a suffix of the path."""
    rewritten = _variants(config, chain)
    earlier: list[dict[str, Any]] = []
    for filters in config.all("uri-filters"):
        for target in filters.all("target"):
            when = target_condition(target, chain)
            options = query(target)
            if when is None:
                if "allow" in options:  # others are dropped; their order alone is nothing that is refused
                    chain.refuse(target.place)
                continue
            # The first target that fits is the only one.
            spared: list[dict[str, Any]] = [{"not": condition} for condition in earlier]
            if options:
                chain.add("query", options, target.place, when=[*when, *spared])
            if when:
                earlier.append(when[0] if len(when) == 1 else {"all": when})
    if rewritten:
        chain.draft.rewritten = config.place


def query(target: Element) -> dict[str, Any]:
    options: dict[str, Any] = {}
    allowed: list[Any] | None = None
    for white in target.all("whitelist"):
        white.ignore("@id")
        allowed = allowed or []
        for parameter in white.all("parameter"):
            name, most = parameter.required("name"), parameter.whole("multiplicity", 0)
            sensitive = parameter.flag("case-sensitive", True)
            if not most and sensitive:
                allowed.append(name)
                continue
            entry: dict[str, Any] = {"name": name}
            if most:
                entry["max"] = most
            if not sensitive:
                entry["case_sensitive"] = False
            allowed.append(entry)
    if allowed is not None:
        options["allow"] = allowed
        options["others"] = "drop"
    if target.flag("alphabetize"):
        options["sort"] = True
    return options


def _variants(config: Element, chain: Chain) -> bool:
    """The entry for suffixes of the path, if there are any, and whether it changes the path."""
    suffixes: dict[str, str] = {}
    preferred = first = ""
    for variants in config.all("media-variants"):
        for media in variants.all("media-type"):
            name, suffix = media.required("name"), media.get("variant-extension").lstrip(".")
            first = first or name
            if media.flag("preferred"):
                preferred = preferred or name
            if suffix and _SUFFIX.fullmatch(suffix):
                suffixes[suffix] = name
            elif suffix:
                chain.left(media, f"the extension {suffix!r}")
    if first:
        options: dict[str, Any] = {"suffixes": suffixes} if suffixes else {}
        options["preferred"] = preferred or first
        chain.differs(config, f"a suffix counts at the end of the path only; {_JUDGED}")
        chain.add("rewrite", options, config.place, checks=False)
    return bool(suffixes)


def uri_stripper(config: Element, chain: Chain) -> None:
    """`uri-stripper`: a segment of the path is left out, and put back in Location."""
    options: dict[str, Any] = {"drop_segment": config.whole("token-index", 0)}
    location = config.flag("rewrite-location")
    options["location"] = location
    for link in config.all("link-resource"):
        bodies = [one for side in link.elements() for one in side.elements()]
        if any(one.get("link-mismatch-action") != "continue" for one in bodies):
            chain.left(
                link,
                "link-resource: links that do not fit are neither refused nor removed (link-mismatch-action)",
            )
            chain.refuse(link.place)
        link.forget()
        chain.left(link, "link-resource: links in bodies stay as they are")
    chain.differs(config, _JUDGED)
    chain.add("rewrite", options, config.place)
    chain.draft.rewritten = config.place
