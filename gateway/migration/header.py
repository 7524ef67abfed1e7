"""Header fields: header-normalization, header-translation, header-id-mapping, add-header, merge-header, split-header."""

from typing import Any, Final

from gateway.http.secret import is_secret_header
from gateway.migration.draft import Chain, Condition, Entry, joined, methods, target_condition
from gateway.migration.source import Element
from gateway.migration.writing import Reference

_BEFORE_9: Final = (
    ("header-filters", "request"),
    ("request-header-filters", "request"),
    ("response-header-filters", "response"),
)


def header_normalization(config: Element, chain: Chain) -> None:
    """`header-normalization`, in its three forms: one entry for each target."""
    for name, side in _BEFORE_9:
        # The first target that fits is the only one.
        earlier: list[Condition] = []
        everything = False
        for target in (target for found in config.all(name) for target in found.all("target")):
            if everything:
                chain.left(target, "no request comes to it: the target before it is for all")
                target.forget()
                continue
            status = target.get("code-regex")
            if status:
                chain.left(target, "code-regex: fields are removed of answers with any status")
            when = _target(target, {side: [target]}, chain, [{"not": condition} for condition in earlier])
            if status:
                continue  # answers with another status come to those behind it
            if when:
                earlier.append(joined(when))
            everything = when == []
    for target in config.all("target"):
        _target(target, {side: target.all(side) for side in ("request", "response")}, chain, [])


def _target(
    target: Element, sides: dict[str, list[Element]], chain: Chain, spared: list[Condition]
) -> list[Condition] | None:
    """An entry for a target. Its own condition; None where that cannot be said, and there is no entry."""
    when = target_condition(target, chain)
    if when is None:
        listed = methods(target.words("http-methods"))
        target.forget()
        chain.refuse(target.place, when=[{"method": listed}] if listed else [])
        return None
    options: dict[str, Any] = {}
    for side, lists in sides.items():
        keep: list[str] | None = None
        remove: list[str] = []
        for one in lists:
            for white in one.all("whitelist"):
                white.ignore("@id")
                keep = (keep or []) + _names(white)
            for black in one.all("blacklist"):
                black.ignore("@id")
                # Those that are not for editing are the gateway's own: of one connection, or written anew.
                remove += [name for name in _names(black) if _editable(name, black, chain)]
        rules: dict[str, Any] = {}
        if keep is not None:
            rules["keep_only"] = keep
        if remove:
            rules["remove"] = remove
        if side == "request":
            chain.removes(remove, target.place)
            if keep is not None:
                chain.keeps(keep, target.place)
        if rules:
            options[side] = rules
    if options:
        chain.add("headers", options, target.place, when=[*when, *spared])
    return when


def _names(element: Element) -> list[str]:
    return [header.required("id") for header in element.all("header")]


def _editable(name: str, element: Element, chain: Chain) -> bool:
    """Whether a field is one that `headers` edits; else that is noted."""
    wrong = chain.draft.wrong(Entry("headers", {"request": {"remove": [name]}}, element.place))
    if wrong:
        chain.left(element, wrong.partition(": ")[2])
    return not wrong


def header_translation(config: Element, chain: Chain) -> None:
    """`header-translation`: copies and new names of fields of the request."""
    rename: dict[str, str] = {}
    copy: dict[str, list[str]] = {}
    quality: dict[str, float] = {}
    split: list[str] = []
    remove: list[str] = []
    for header in config.all("header"):
        old, new = header.required("original-name"), header.words("new-name")
        new = [name for name in new if _editable(name, header, chain)]
        # Several rules may be for one field, in any case of its letters.
        old = next((known for known in (*rename, *copy) if known.lower() == old.lower()), old)
        removes, editable = header.flag("remove-original"), _editable(old, header, chain)
        chain.writes(new, header.place)
        if removes:
            chain.removes([old], header.place)
        if header.flag("overwrite-target"):
            remove += new
            chain.differs(
                header, f"what a client sends as {', '.join(new)} is removed also where there is no {old}"
            )
        if not new or not editable:
            header.forget()
            remove += [old] if removes and editable else []
            continue
        if header.flag("splittable"):
            split += [] if old in split else [old]
        if header.get("quality"):
            quality |= dict.fromkeys(new, chain.quality(header))
        if removes and old not in rename:
            rename[old] = new.pop(0)
        taken = {name.lower() for name in (rename.get(old, ""), *copy.get(old, []))}
        new = [name for name in new if name.lower() not in taken]
        if new:
            copy.setdefault(old, []).extend(new)
    rules: dict[str, Any] = {}
    if remove:
        rules["remove"] = remove
    if split:
        rules["split"] = split
    if rename:
        rules["rename"] = rename
    if copy:
        rules["copy"] = {old: new[0] if len(new) == 1 else new for old, new in copy.items()}
    if quality:
        rules["quality"] = quality
    if rules:
        chain.add("headers", {"request": rules}, config.place)


def header_id_mapping(config: Element, chain: Chain) -> None:
    """`header-id-mapping` of Repose 6: two fields are the user and the group, of whoever sends them."""
    mappings = [header for headers in config.all("source-headers") for header in headers.all("header")]
    mappings += config.all("header")
    if len(mappings) != 1:
        chain.left(
            config,
            f"{len(mappings)} mappings, of which the first with a value counts: `rename` knows no order",
        )
        for element in config.elements():
            element.forget()
        chain.refuse(config.place)
        return
    (mapping,) = mappings
    mapping.ignore("@id")
    user, group = mapping.required("user-header"), mapping.get("group-header")
    rename = {user: "X-PP-User"} | ({group: "X-PP-Groups"} if group else {})
    quality = chain.quality(mapping, default=0.1)
    rules = {
        "remove": ["X-PP-User", "X-PP-Groups"],
        "rename": rename,
        "quality": dict.fromkeys(rename.values(), quality),
    }
    chain.differs(
        mapping,
        "only the upstream is told: no filter here believes a field that anybody can send. `principal` makes a user of one, of "
        "peers that are trusted",
    )
    chain.add("headers", {"request": rules}, mapping.place)
    chain.writes(rename.values(), mapping.place)


def add_header(config: Element, chain: Chain) -> None:
    """`add-header`: fields with a fixed value."""
    entries: list[dict[str, dict[str, dict[str, Any]]]] = [{}]
    for side in ("request", "response"):
        for one in config.all(side):
            for header in one.all("header"):
                name = header.required("name")
                value: str | Reference = header.content()
                if not _editable(name, header, chain):
                    replaces = header.flag("overwrite")
                    header.forget()
                    if replaces:
                        chain.refuse(header.place)
                    continue
                if value and is_secret_header(name.lower()):
                    value = chain.draft.secret(
                        f"{chain.part.name}_{name}", header.place, chain.part, text=header.content()
                    )
                elif header.get("quality"):
                    value = f"{value};q={chain.quality(header):g}"
                rule = "set" if header.flag("overwrite") else "add"
                if side == "request":
                    chain.writes([name], header.place)
                _place(entries, side, rule, name, value)
    for entry in entries:
        if entry:
            replaces = any("set" in rules for rules in entry.values())
            chain.add("headers", entry, config.place, checks=replaces)


def _place(
    entries: list[dict[str, dict[str, dict[str, Any]]]],
    side: str,
    rule: str,
    name: str,
    value: str | Reference,
) -> None:
    """Into the first entry from which on the order of rules stays: one entry has one rule for a field."""
    sides = entries[-1].setdefault(side, {})
    known = {key.lower() for rules in sides.values() for key in rules}
    if name.lower() in known:
        entries.append({side: {rule: {name: value}}})
    else:
        sides.setdefault(rule, {})[name] = value


def merge_header(config: Element, chain: Chain) -> None:
    _by_name(config, chain, "merge")


def split_header(config: Element, chain: Chain) -> None:
    _by_name(config, chain, "split")


def _by_name(config: Element, chain: Chain, rule: str) -> None:
    options = {}
    for side in ("request", "response"):
        names = []
        for one in config.all(side):
            for header in one.all("header"):
                name = header.get("name") or header.get("id") or header.content()
                names += [name] if name else []
            if side == "request":
                chain.removes(names, one.place)  # a value that is one of several may count for more, or less
        if names:
            options[side] = {rule: names}
    if options:
        chain.add("headers", options, config.place, checks=False)


def service_authentication(config: Element, chain: Chain) -> None:
    """`service-authentication` of Repose 6: the gateway's own name and password for the service."""
    credentials = config.first("credentials")
    text = f"{credentials.get('username')}:{credentials.get('password')}" if credentials is not None else ""
    config.forget()
    value = chain.draft.secret("service_authentication", config.place, chain.part, "Basic ", text)
    chain.differs(
        config,
        "the variable is NAME:PASSWORD in base64; a 401 or 403 of the service is passed on, where Repose makes a 500 of it",
    )
    chain.add("headers", {"request": {"set": {"Authorization": value}}}, config.place)
