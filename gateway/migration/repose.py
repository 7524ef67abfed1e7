"""The whole of a Repose installation: its chain in its order, and what it stands on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.migration import container, content, system_model
from gateway.migration.draft import UNSET, Chain, Draft, Entry
from gateway.migration.report import Report
from gateway.migration.source import Element, Installation, Place, SourceError
from gateway.migration.system_model import FilterUse, Model
from gateway.migration.translator import (
    BUILT_IN,
    CHECKS_NOTHING,
    DATASTORES,
    ONLY_REFUSES,
    explained,
    ours,
    translator,
)
from gateway.migration.writing import comment, variables, written
from gateway.registry import Registry

MESSAGES: Final = "response-messaging.cfg.xml"


class MigrationError(Exception):
    """Files of the installation cannot be read; `problems` says all that is wrong."""

    def __init__(self, problems: list[SourceError]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"{problem.place}: {problem}" for problem in problems))


class Migration(NamedTuple):
    """What has come of it.

    text       the configuration
    report     what has become of each part
    variables  that have to be set before the start, each with the line that had the secret
    """

    text: str
    report: Report
    variables: Mapping[str, Place]


def migrate(
    directory: Path,
    *,
    cluster: str = "",
    node: str = "",
    shadow: str = "",
    beside: Path | None = None,
    registry: Registry | None = None,
    environment: Mapping[str, str] | None = None,
) -> Migration:
    """Moves the installation in `directory`. Raises MigrationError, and nothing else, whatever its files hold.

    cluster, node  which is moved; the first where empty
    beside         the directory that the configuration will be in; the current one where unset
    shadow         URL of the Repose, which goes on to decide: every filter is in shadow in front of it
    """
    report = Report()
    draft = Draft(Installation(directory, environment), report, registry or Registry())
    draft.beside = beside or Path()
    try:
        model = system_model.read(draft, cluster=cluster, node=node)
        container.read(draft, model.https)
    except SourceError as error:
        raise MigrationError([error]) from None
    names = [*(use.name for use in model.filters), *(service.get("name") for service in model.services)]
    draft.shared = any(name.removesuffix("-service") in DATASTORES for name in names)
    problems: list[SourceError] = []
    _body_limit(draft)
    for use in model.filters:
        try:
            _filter(draft, use, model)
        except SourceError as error:
            problems.append(error)
    try:
        system_model.routes(draft, model.filters)
        _messages(draft)
        _rest(draft, model)
    except SourceError as error:
        problems.append(error)
    if problems:
        raise MigrationError(problems)
    if shadow:
        _in_front(draft, shadow)
    return Migration(_text(draft), report, draft.variables)


def _body_limit(draft: Draft) -> None:
    if draft.body_limit is not None:
        size, place = draft.body_limit
        draft.entries.append(Entry("body_size", {"max": size}, place, draft.named("body_size")))


def _filter(draft: Draft, use: FilterUse, model: Model) -> None:
    """One filter of the chain, or a refusal of all its requests where it cannot be moved. Raises SourceError."""
    place = use.element.place
    part = draft.report.part(use.name, place)
    chain = Chain(draft, part, use.id, use.when, bypass=use.bypass)
    found = translator(use.name)
    if use.never:
        file = use.file or (found.file if found is not None else "")
        if file:
            draft.installation.read(file, asked=place)
        part.left(place, "no request fulfils its condition, so that it has never run: it is left out")
        return
    if found is None:
        part.left(place, "no filter of this name is known: one of your own, or of another vendor")
        chain.refuse(place)
        return
    file = use.file or found.file
    root: Element | None = None
    if found.file and file:
        root = draft.installation.read(file, asked=place)
    if use.name in BUILT_IN:
        part.into += ours(use.name)
        return
    routes = use.name == "destination-router"
    if found.translate is None and not routes:
        part.left(place if root is None else root.place, explained(use.name))
        _refuse(chain, use, place)
        return
    if root is None:
        if found.file:
            part.left(place, f"there is no file {file}")
            _refuse(chain, use, place)  # as Repose does until it is there
            return
        root = Element(use.name, place, {}, draft.installation.environment)
    if use.partly and use.name not in ONLY_REFUSES:
        part.left(place, "its condition cannot be said whole, and it does more than refuse, or remove")
        _refuse(chain, use, place)
        return
    if found.translate is None:
        system_model.destination_router(root, Chain(draft, part, use.id, use.when), use, model)
    else:
        found.translate(root, chain)
    unread = list(root.unread())
    for at, what in unread:
        part.left(at, f"{what} is unknown")
    # Of what is unknown nobody can say whether it has refused something; a name has not.
    unknown = [at for at, what in unread if not what.startswith("the attribute id of ")]
    if unknown and not part.refuses:
        _refuse(chain, use, unknown[0])


def _refuse(chain: Chain, use: FilterUse, place: Place) -> None:
    """In place of a filter that is not moved whole, unless nothing can pass for want of it."""
    if use.name not in CHECKS_NOTHING:
        chain.refuse(place)


def _messages(draft: Draft) -> None:
    """The service for bodies of answers, which has the last word on every answer: the outermost filter."""
    root = draft.installation.read(MESSAGES, "response-messaging")
    if root is None:
        return
    part = draft.report.part("response-messaging", root.place)
    count = len(draft.entries)
    content.messages(root, Chain(draft, part, "response-messaging", []))
    for at, what in root.unread():
        part.left(at, f"{what} is unknown")
    made = draft.entries[count:]
    draft.entries = made + draft.entries[:count]


def _rest(draft: Draft, model: Model) -> None:
    """What the chain does not use: services, and files that nobody has asked for."""
    for service in model.services:
        name = service.get("name")
        moved = name.removesuffix("-service")
        if any(part.name == moved and part.into for part in draft.report.parts):
            continue
        part = draft.report.part(f"service {name}", service.place)
        part.left(service.place, explained(name) or "it is not known")
    told = {f"{service.get('name')}.cfg.xml" for service in model.services}
    for file in draft.installation.unopened():
        if file not in told:
            place = Place(file, 0)
            draft.report.part(file, place).left(
                place, explained(file.removesuffix(".cfg.xml")) or "no filter of the chain reads it"
            )


def _in_front(draft: Draft, url: str) -> None:
    """Everything is forwarded to the Repose as it came, and the log says what the filters would have made of it."""
    for name in ("limits", "via"):
        draft.core.pop(name, None)
    draft.core["upstreams"] = {"repose": {"endpoints": [url], "host": "keep"}}
    draft.core["log"] = {"path": "requests.jsonl", **draft.core.get("log", {})}
    draft.routes = [{"name": "everything", "path": "/{rest*}", "upstream": "repose", "target": "lenient"}]
    draft.default = ""
    for entry in draft.entries:
        entry.rest = {"mode": "shadow"}


def _text(draft: Draft) -> str:
    value: dict[str, Any] = dict(draft.core)
    if draft.entries:
        value["filters"] = [entry.value() for entry in draft.entries]
    value["routes"] = list(draft.routes)
    if draft.default:
        value["routes"].append(draft.route("everything", "/{rest*}", draft.default))
    head = [
        "Moved from Repose. Comments name the file and the line that each part was made of; the report says what is",
        "other than it was, and what is not here.",
    ]
    if draft.variables:
        head.append(f"Set before the start, as {UNSET} stands for each: {', '.join(draft.variables)}")
    needed = dict.fromkeys(variables(value))
    if needed:
        head.append(f"Variables that Repose has been given, and this needs too: {', '.join(needed)}")
    return "".join(f"{comment(line)}\n" for line in head) + "\n" + written(value)
