"""Plays cases of the grammar for as long as one likes: `python -m tests.smuggling --seed 7 --minutes 60`.

Each failing case is printed as the bytes that a client sends, with the seed and the number that make it again; the
exit status is 1 when there is one.
"""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from itertools import count, islice

import structlog
import uvloop

from tests.smuggling.catalogue import CATALOGUE
from tests.smuggling.grammar import dialogues, seeded
from tests.smuggling.rig import SETTINGS, Case, Failure, Setting, run, shortest

PORTION = 2000
_SHORTENED = 5
"""Failures of one portion that are made short: the rest are most likely the same."""


async def play(seed: int, seconds: float, first: int) -> bool:
    """The catalogue, then portions of generated cases until the time is over; whether all of it was right."""
    end = time.monotonic() + seconds
    right = True
    if not first:
        for setting in SETTINGS:
            payloads = [Case(data) for data in CATALOGUE.values()] + dialogues()
            right = await _portion(payloads, setting, "catalogue", {}) and right
    for portion in count():
        if time.monotonic() >= end:
            return right
        begin = first + portion * PORTION
        cases = list(islice(seeded(seed, begin), PORTION))
        numbers = {case: begin + index for index, case in enumerate(cases)}
        setting = SETTINGS[portion % len(SETTINGS)]
        name = f"seed {seed}, from case {begin}"
        right = await _portion(cases, setting, name, numbers) and right
    return right


async def _portion(cases: Sequence[Case], setting: Setting, name: str, numbers: dict[Case, int]) -> bool:
    tally = await run(cases, setting)
    print(
        f"{name}: {tally.played} cases, {tally.forwarded} requests forwarded, "
        f"{len(tally.failures)} failures, {_told(setting)}",
        flush=True,
    )
    for index, failure in enumerate(tally.failures):
        number = numbers.get(failure.case)
        _print(failure, name if number is None else f"{name}: case {number}")
        if index < _SHORTENED:
            _print(await shortest(failure), "the same, shorter")
    return not tally.failures


def _print(failure: Failure, name: str) -> None:
    data, cuts, asks = failure.case
    told = (
        f"\n  cut at {cuts}{', each segment after the answers to the last' if asks else ''}" if cuts else ""
    )
    print(f"{name}: {failure.problem}\n  {data!r}{told}\n  {_told(failure.setting)}", flush=True)


def _told(setting: Setting) -> str:
    return ", ".join(name for name, value in setting._asdict().items() if value) or "plain"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.smuggling", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 1_000_000, help="default: another each time"
    )
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first case; the catalogue is left out"
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="how long cases are generated")
    given = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(f"seed {given.seed}", flush=True)
    return 0 if uvloop.run(play(given.seed, given.minutes * 60, given.first)) else 1


if __name__ == "__main__":
    sys.exit(main())
