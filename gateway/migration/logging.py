"""Logs: slf4j-http-logging, and http-logging of Repose 6."""

import re
from typing import Final

from gateway.line_format import LineFormat
from gateway.migration.draft import Chain
from gateway.migration.source import Element
from gateway.migration.writing import Noted

_FILE: Final = re.compile(r"[^A-Za-z0-9_.-]")
_REQUEST_FIELD: Final = re.compile(r"%\{([A-Za-z0-9-]+)\}h")
_DATED: Final = re.compile(r"%\{[^}]*\}t")


def http_logging(config: Element, chain: Chain) -> None:
    """Copies of the request log, in the formats that Repose writes."""
    for one in (*config.all("slf4j-http-log"), *config.all("http-log")):
        inner = one.first("format")
        text = (inner.content() if inner is not None else "") or one.get("format")
        if inner is not None:
            inner.ignore("@crush")
        one.ignore("targets")
        for targets in one.all("targets"):
            targets.ignore("file")
            for file in targets.all("file"):
                file.ignore("@location")
        name = one.get("id")
        shown, dated = _here(" ".join(text.split()))
        try:
            LineFormat(shown)
        except ValueError as error:
            chain.left(one, f"the format {text!r}: {error}")
            continue
        if dated:
            chain.differs(one, "the time is written as Apache does")
        copies = chain.draft.core.setdefault("log", {}).setdefault("copies", [])
        path = _unused(name, {copy.value["path"] for copy in copies})
        chain.differs(one, f"it is written to the file {path}, where Repose leaves that to Log4j")
        copies.append(Noted({"path": path, "format": shown}, (str(one.place),)))
        chain.part.into.append(f"log.copies[{len(copies) - 1}]")


def _unused(wanted: str, taken: set[str]) -> str:
    """The name of a file that no other copy has."""
    base = _FILE.sub("-", wanted).strip(".")[:100] or "access"
    name, number = f"{base}.log", 1
    while name in taken:
        number += 1
        name = f"{base}-{number}.log"
    return name


def _here(text: str) -> tuple[str, bool]:
    """The format with the codes of the request log; whether a time was written in another form."""
    text = _REQUEST_FIELD.sub(r"%{\1}i", text)
    dated = _DATED.sub("%t", text)
    return dated, dated != text
