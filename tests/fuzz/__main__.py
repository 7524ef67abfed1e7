"""Feeds the targets for as long as one likes: `python -m tests.fuzz --minutes 10 listener`.

What fails is made short, printed, and kept in tests/fuzz/cases, where the tests replay it; the exit status is 1 then.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.engine import TARGETS, keep, mutate, target

UNGUIDED = "atheris is not installed: inputs are mutated by a seed, and not guided by what they reach"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="default: all")
    parser.add_argument("--minutes", type=float, default=5.0, help="for each target; default: 5")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 1_000_000 + 1, help="default: another each time"
    )
    parser.add_argument(
        "--corpus", type=Path, default=Path(".fuzz"), help="where inputs are kept for the next run"
    )
    given = parser.parse_args(arguments)
    seconds = max(1, round(given.minutes * 60))
    guided = importlib.util.find_spec("atheris") is not None
    if not guided:
        print(UNGUIDED, flush=True)
    right = True
    for name in given.targets or TARGETS:
        run = _guided if guided else _mutated
        right = run(name, seconds, given.seed, given.corpus) and right
    return 0 if right else 1


def _guided(name: str, seconds: int, seed: int, corpus: Path) -> bool:
    directory = corpus / name
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(seconds), str(seed), str(directory)]
    said = directory.with_suffix(".log")
    with said.open("wb") as log:
        right = subprocess.run(command, stderr=log, check=False).returncode == 0
    text = said.read_text(errors="replace")
    count = _COUNT.search(text)
    print(
        f"{name}: seed {seed}, {count[1] if count is not None else 'no'} inputs, "
        f"{'nothing found' if right else f'failed: {said}'}",
        flush=True,
    )
    if not right:
        print("\n".join(text.splitlines()[-30:]), flush=True)
    return right


_COUNT = re.compile(r"number_of_executed_units: *(\d+)")


def _mutated(name: str, seconds: int, seed: int, corpus: Path) -> bool:
    count, finding = mutate(target(name), seed, seconds)
    print(
        f"{name}: seed {seed}, {count} inputs, {'nothing found' if finding is None else 'failed'}", flush=True
    )
    if finding is not None:
        print(keep(name, finding), flush=True)
    return finding is None


if __name__ == "__main__":
    sys.exit(main())
