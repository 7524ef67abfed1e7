"""One record as a tree, for people: what was decided and why, by whom, how long it took."""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from gateway import console

_ENDLESS = 1 << 16  # columns

_PARTS = (
    (
        "request",
        "http.request.method",
        "url.scheme",
        "server.address",
        "server.port",
        "url.path",
        "url.query",
    ),
    ("ids", "gateway.request_id", "gateway.upstream.request_id", "gateway.global_request_id"),
    ("client", "client.address", "network.peer.address", "network.peer.port", "user_agent.original"),
    ("principal", "user.id", "user.name", "user.roles", "gateway.project.id", "gateway.project.name"),
    ("route", "gateway.route", "http.route"),
    ("bytes", "http.request.body.size", "http.response.body.size"),
    ("timings", "gateway.duration_ms", "gateway.queue_ms", "gateway.chain.in_ms", "gateway.chain.out_ms"),
    ("gateway", "gateway.revision", "gateway.worker", "gateway.sequence"),
)
_STYLES = {"refuse": "yellow", "answer": "cyan", "error": "red", "undecided": "magenta", "skip": "dim"}


def print_tree(fields: Mapping[str, Any]) -> None:
    """What there is to say of one request, as a tree for people."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    def text(plain: str, style: str = "") -> Text:
        return Text(console.printable(plain), style)

    root = Tree(text(re.sub(" {2,}", "  ", console.line(fields, colour=False)), "bold"))
    for title, lines in _branches(fields):
        branch = root.add(text(title, "cyan"))
        for line, style in lines:
            branch.add(text(line, style))
    # A terminal wraps; what goes to a file or a pipe keeps each fact on one line.
    Console(highlight=False, width=None if sys.stdout.isatty() else _ENDLESS).print(root)


def _branches(fields: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Title, and lines with their style, of each part of the tree that the record has something for."""
    decision = f"{_shown(fields.get('gateway.decision', '-'))}  {console.decision(fields)}"
    yield "decision", [("  ".join(filter(None, (decision, fields.get("gateway.source")))), "bold")]
    for title, *names in _PARTS:
        lines = [
            (f"{name} = {_shown(fields[name])}", "")
            for name in names
            if fields.get(name) not in (None, "", [])
        ]
        if lines:
            yield title, lines
    facts = fields.get("gateway.facts")
    headers = facts.get("headers") if isinstance(facts, Mapping) else None
    if isinstance(headers, Mapping) and headers:
        yield "header facts", [(f"{name}: {_shown(value)}", "") for name, value in headers.items()]
    if steps := console.steps(fields):
        yield "filters", [(_step(step), _STYLES.get(str(step.get("verdict")), "")) for step in steps]
    attempts = fields.get("gateway.upstream.attempts")
    if isinstance(attempts, list) and attempts:
        yield "upstream attempts", [(_shown(attempt), "") for attempt in attempts]


def _step(step: Mapping[str, Any]) -> str:
    name = str(step.get("name", "-"))
    parts = [
        name if step.get("type") in (None, name) else f"{name} ({step['type']})",
        "on the response" if step.get("phase") == "response" else "",
        "in shadow" if step.get("shadow") else "",
        " ".join(str(step[key]) for key in ("verdict", "status") if key in step),
        str(step.get("reason", "")),
        f"{step['ms']} ms" if "ms" in step else "",
        " ".join(str(step[key]) for key in ("source", "rule") if key in step),
        _shown(step["facts"]) if "facts" in step else "",
        *(_shown(note) for note in step.get("notes", ())),
    ]
    return "  ".join(filter(None, parts))


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_shown(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
