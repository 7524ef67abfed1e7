"""Bodies: extractors, patches, compression, Content-Type, and what answers by itself."""

import json
import re
from typing import Any, Final

from gateway.migration import expression, java
from gateway.migration.draft import Chain, Entry
from gateway.migration.source import Element

_CODE: Final = re.compile(r"%(?:%|(?:!?\d{3}(?:,\d{3})*)?[<>]?(?:\{[^}]*\})?[A-Za-z])")
"""A code that Repose fills in, as in formats of logs."""

_ALWAYS: Final = "ALWAYS"
"""Value of `overwrite`: a text takes the place of what the service says."""

_FILLED_IN: Final = {
    "%%": "%",
    "%s": "%{status}",
    "%M": "%{phrase}",
    "%g": "%{request_id}",
    "%{Retry-After}o": "%{retry_after}",
    "%{Retry-After DATE ISO_8601}o": "%{retry_at}",
    "%{Retry-After DATE RFC_1123}o": "%{retry_at}",
}


def url_extractor(config: Element, chain: Chain) -> None:
    """`url-extractor-to-header`: groups of an expression that is found in the path become lines of a field."""
    fields = []
    lost = False
    for one in config.all("extraction"):
        header, regex = one.required("header"), one.required("url-regex")
        field: dict[str, Any] = {"header": header}
        default = {"default": one.get("default")} if one.has("default") else {}
        name = expression.parameter(regex)
        if name is not None:
            fields.append({**field, "query": name, **default})
            chain.differs(
                one,
                f"the parameter {name} counts wherever it stands in the query, percent-decoded; one that is there twice is "
                "answered 400",
            )
            continue
        try:
            text = expression.found(regex)
            if expression.needs_query(text):
                raise ValueError(
                    "the query is no part of the path; `query` of `extract` takes a parameter of it"
                )
        except ValueError as error:
            chain.left(one, f"the expression {regex!r}: {error}")
            lost = True
            continue
        fields.append({**field, "path": text, **default})
        chain.bounds_paths(one, "has nothing found in it")
        if expression.groups(text):
            chain.draft.extracted.setdefault(header.lower(), []).append(text)
    _extract(config, fields, chain, lost)


def body_extractor(config: Element, chain: Chain) -> None:
    """`body-extractor-to-header`: a value in a JSON body becomes a field."""
    fields = []
    lost = False
    for one in config.all("extraction"):
        field: dict[str, Any] = {"header": one.required("header"), "json": one.required("jsonpath")}
        if one.has("defaultIfMiss"):
            field["default"] = one.get("defaultIfMiss")
        if one.has("defaultIfNull"):
            field["default_null"] = one.get("defaultIfNull")
        if one.get("quality"):
            field["quality"] = chain.quality(one)
        one.ignore("@overwrite")
        wrong = chain.draft.wrong(Entry("extract", {"fields": [field]}, one.place))
        if wrong:
            chain.left(one, wrong.partition("fields[0].")[2] or wrong)
            lost = True
            continue
        fields.append(field)
    _extract(config, fields, chain, lost)


def _extract(config: Element, fields: list[dict[str, Any]], chain: Chain, lost: bool) -> None:
    if lost:  # a client's own field would arrive in the place of what is not extracted
        chain.refuse(config.place)
    for field in fields:
        chain.writes([field["header"]], config.place)
    if fields:
        entry = chain.add("extract", {"fields": fields}, config.place)
        if entry in chain.draft.entries:
            chain.differs(
                config,
                "what a client sends under these names is stripped, where Repose may leave it there too",
            )


def body_patcher(config: Element, chain: Chain) -> None:
    """`body-patcher`: patches of RFC 6902 for bodies of some paths."""
    for change in config.all("change"):
        regex = change.get("path", ".*")
        when: list[dict[str, Any]] = []
        if regex and not expression.is_everything(regex):
            paths = chain.paths(regex, change, anywhere=True)
            if paths is None:
                change.forget()
                chain.refuse(change.place)
                continue
            when = [{"path": paths}]
        options: dict[str, Any] = {}
        for side in ("request", "response"):
            operations: list[Any] = []
            for one in change.all(side):
                for patch in one.all("json"):
                    try:
                        found = json.loads(patch.content())
                    except (ValueError, RecursionError):
                        chain.left(patch, "the patch is not JSON")
                        chain.refuse(patch.place, when=when)
                        continue
                    operations += found if isinstance(found, list) else [found]
            if operations:
                options[side] = operations
        if "request" in options:
            chain.differs(
                change,
                "a request that an operation does not fit is answered 400, and none of the patch is applied",
            )
        if "response" in options:
            chain.differs(
                change,
                "only answers 2xx are patched, and what others say goes on as the service wrote it; an answer that an operation does "
                "not fit is not sent, but 502",
            )
        if options:
            chain.add("json_patch", options, change.place, when=when)


def compression(config: Element, chain: Chain) -> None:
    """`compression`: bodies of requests are inflated, those of answers compressed."""
    response: dict[str, Any] = {"codings": ["gzip"]}
    inner = config.first("compression") or config
    for name in ("debug", "statsEnabled", "include-user-agent-patterns", "exclude-user-agent-patterns"):
        inner.ignore(f"@{name}")
    threshold = inner.get("compression-threshold")
    if threshold:
        response["min_size"] = inner.whole("compression-threshold")
    included = (
        re.split(r"[\s,]+", inner.get("include-content-types")) if inner.get("include-content-types") else []
    )
    if included:
        response["types"] = included
    if inner.get("exclude-content-types"):
        chain.left(inner, "exclude-content-types: `types` names those that are compressed")
    chain.differs(
        config, "what a body may grow to is bounded: 413 beyond `request.max_size`, 1 MiB where unset"
    )
    chain.add("compression", {"response": response}, config.place, checks=False)


def content_type_stripper(config: Element, chain: Chain) -> None:
    """`content-type-stripper`, which has no options."""
    chain.add("content_type", {"strip_without_body": True}, config.place)


def cors(config: Element, chain: Chain) -> None:
    """`cors`: whole origins, in place of what Repose finds anywhere in an Origin."""
    origins, expressions = [], []
    for found in config.all("allowed-origins"):
        for origin in found.all("origin"):
            if not origin.flag("regex"):
                origins.append(origin.content())
                continue
            try:
                text = java.python(origin.content())
                re.compile(text)
            except (ValueError, re.error) as error:
                chain.left(origin, f"the expression {origin.content()!r}: {error}")
                continue
            if text not in (".*", ".+") and "." in re.sub(r"\\.|\.\*|\.\+", "", text):
                chain.differs(
                    origin, f"in {text!r} a dot stands for any character: write \\. where a dot is meant"
                )
            expressions.append(text)
    base = _methods(config)
    common: dict[str, Any] = {}
    if origins:
        common["origins"] = origins
    if expressions:
        common["origin_regexes"] = expressions
    chain.differs(
        config,
        "an origin must be allowed as a whole, where Repose looks for it anywhere in the field, so that "
        "https://good.com lets https://good.com.evil.com pass",
    )
    common["credentials"] = True
    common["expose"] = ["*"]
    seen: list[str] = []
    for found in config.all("resources"):
        for resource in found.all("resource"):
            paths = chain.paths(resource.required("path"), resource, anywhere=True)
            if paths is None:
                resource.ignore("allowed-methods")
                continue
            when = [{"path": paths}] + ([{"not": {"path": list(seen)}}] if seen else [])
            more = [method for method in _methods(resource) if method not in base]
            chain.add("cors", {**common, "methods": [*base, *more]}, resource.place, when=when)
            seen += paths
    if "/{rest*}" not in seen:
        when = [{"not": {"path": seen}}] if seen else []
        chain.add("cors", {**common, "methods": base}, config.place, when=when)


def _methods(element: Element) -> list[str]:
    return [method.content() for found in element.all("allowed-methods") for method in found.all("method")]


def echo(config: Element, chain: Chain) -> None:
    """`echo`: every request is answered with its own fields."""
    chain.add("respond", {"status": 200, "echo": ["*"]}, config.place)


def derp(config: Element, chain: Chain) -> None:
    """`derp`: what filters before it would have refused is refused here."""
    chain.add("delegated", {}, config.place)


def messages(config: Element, chain: Chain) -> None:
    """`response-messaging` of Repose 6 to 8: bodies for answers by status."""
    made = []
    lost = False
    for one in config.all("status-code"):
        one.ignore("@id")
        regex = one.required("code-regex")
        try:
            matching = statuses(regex)
        except (ValueError, re.error) as error:
            chain.left(one, f"the expression {regex!r}: {error}")
            lost = lost or one.get("overwrite") == _ALWAYS
            one.forget()
            continue
        bodies: dict[str, str] = {}
        otherwise: tuple[str, str] | None = None
        for message in one.all("message"):
            media = message.required("media-type")
            message.ignore("@content-type")
            text = message.content()
            href = message.get("href")
            if href:
                name = chain.draft.installation.named(href)
                found = None if name is None else chain.draft.installation.text(name, message.place)
                if found is None:
                    chain.left(message, f"there is no file {href!r} in this directory")
                    message.forget()
                    continue
                text = found
            try:
                text = _filled_in(text)
            except ValueError as error:
                chain.left(message, str(error))
                message.forget()
                continue
            named = message.get("content-type", "text/plain") if media == "*/*" else media
            body = {"status": [500], "bodies": {named: text}}
            wrong = chain.draft.wrong(Entry("messages", {"messages": [body]}, message.place))
            if wrong:
                chain.left(message, wrong.rpartition(": ")[2])
                message.forget()
            elif media == "*/*":
                otherwise = otherwise or (named, text)
            else:
                bodies.setdefault(media, text)
        if otherwise is not None:
            # The first is what a client gets that likes all of them alike, or none.
            media, text = otherwise
            if bodies.get(media, text) != text:
                chain.differs(one, f"for {media} there is a text of its own, which stands for */* too")
            bodies = {media: bodies.get(media, text), **bodies}
        if bodies and matching:
            value: dict[str, Any] = {"status": matching, "bodies": bodies}
            if one.get("overwrite") == _ALWAYS:
                value["overwrite"] = True
            made.append(value)
        elif matching:
            lost = lost or one.get("overwrite") == _ALWAYS
    if made:
        chain.differs(
            config,
            "what the gateway refuses has a body already, in the form of `faults`: a text takes its place with `overwrite: true` only",
        )
        hides = any("overwrite" in value for value in made)
        chain.add("messages", {"messages": made}, config.place, checks=hides)
    if lost:  # what the service says would reach clients
        chain.refuse(config.place)


def _filled_in(text: str) -> str:
    """The text with the codes of `messages`. Raises ValueError for a code that it does not have."""

    def ours(found: "re.Match[str]") -> str:
        code = _FILLED_IN.get(found[0])
        if code is None:
            raise ValueError(f"the code {found[0]} has no equal in texts of `messages`")
        return code

    return _CODE.sub(ours, text)


def statuses(regex: str) -> list[int | str]:
    """The statuses that an expression matches; a row of them as `500-599`."""
    compiled = re.compile(java.python(regex))
    found = [status for status in range(100, 600) if compiled.fullmatch(str(status))]
    rows: list[int | str] = []
    start = 0
    for end in range(1, len(found) + 1):
        if end == len(found) or found[end] != found[end - 1] + 1:
            first, last = found[start], found[end - 1]
            rows += [first] if first == last else [f"{first}-{last}"]
            start = end
    return rows
