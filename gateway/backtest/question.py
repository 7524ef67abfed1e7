"""What a back-test is asked."""

from pathlib import Path
from typing import NamedTuple

from gateway.config.load import loads
from gateway.plan import Plan, build_plan
from gateway.registry import Registry


class Question(NamedTuple):
    """What is asked.

    text, file, directory  the configuration that judges
    old_text, old_file     that which it is held against; None for what was recorded
    since    seconds since the epoch; exchanges before it are judged where they count, and not told of
    until    seconds since the epoch; exchanges from then on do not count
    where         query; other exchanges are judged, and not told of
    callers       see `Judge`
    """

    text: str
    file: str
    directory: Path
    old_text: str | None = None
    old_file: str = ""
    old_directory: Path = Path()
    since: float = float("-inf")
    until: float = float("inf")
    where: str = ""
    callers: bool = False


def plans_of(question: Question) -> tuple[Plan, Plan | None]:
    registry = Registry()

    def built(text: str, file: str, directory: Path) -> Plan:
        loaded = loads(text, file, registry=registry, directory=directory).with_files()
        return build_plan(loaded, registry, hash_key=b"none" * 8)

    new = built(question.text, question.file, question.directory)
    if question.old_text is None:
        return new, None
    return new, built(question.old_text, question.old_file, question.old_directory)
