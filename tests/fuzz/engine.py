"""How inputs are made, and what becomes of one for which something does not hold.

With atheris inputs are guided by the branches that they reach (tests/fuzz/guided.py); without it they are mutated by a
seed, from the same inputs to begin with.
"""

import hashlib
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from tests.smuggling.grammar import Seeded, mutated
from tests.smuggling.spelling import BYTES

TARGETS: Final = ("listener", "upstream")
CASES: Final = Path(__file__).parent / "cases"
LONGEST: Final = 4096
"""Bytes of an input."""

WORDS: Final = tuple(
    dict.fromkeys(
        (
            *BYTES,
            *(
                b"\r\n\r\n",
                b"0\r\n\r\n",
                b"5\r\nhello\r\n",
                b"chunked",
                b"close",
                b"keep-alive",
                b"100-continue",
            ),
            *(b"Content-Length: ", b"Transfer-Encoding: ", b"Connection: ", b"Host: a\r\n", b"Expect: "),
            *(
                b"GET / HTTP/1.1\r\n",
                b"HTTP/1.0 ",
                b"HTTP/1.1 200 OK\r\n",
                b"HTTP/1.1 103 a\r\n",
                b"HEAD ",
                b"OPTIONS ",
                b"Max-Forwards: ",
            ),
        )
    )
)
"""What bytes alone would take long to find."""


class Target(NamedTuple):
    """What is fed: `check` raises where something does not hold; `seeds` are inputs to begin with."""

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


class Finding(NamedTuple):
    """An input, as short as it could be made, and what does not hold."""

    data: bytes
    problem: str


def target(name: str) -> Target:
    module = importlib.import_module(f"tests.fuzz.{name}")
    return Target(name, module.check, module.seeds)


def cases(name: str) -> list[Path]:
    """The inputs that a target has failed on once."""
    return sorted(path for path in (CASES / name).iterdir() if path.suffix == ".bin")


def problem_of(check: Callable[[bytes], None], data: bytes) -> str | None:
    """What does not hold for the input, None where all does."""
    try:
        check(data)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def shortest(check: Callable[[bytes], None], data: bytes, *, seconds: float = 20.0) -> Finding:
    """The input without what it does not need to fail; the first two bytes stay."""
    problem = problem_of(check, data)
    assert problem is not None, "it does not fail again"
    until = time.monotonic() + seconds
    step = max(1, len(data) // 2)
    while step and time.monotonic() < until:
        at = 2
        while at < len(data):
            less = data[:at] + data[at + step :]
            found = problem_of(check, less)
            if found is None:
                at += step
            else:
                data, problem = less, found
        step //= 2
    return Finding(data, problem)


def keep(name: str, finding: Finding, directory: Path = CASES) -> str:
    """Writes the input where it is replayed by the tests from now on; says what was found."""
    path = directory / name / f"{hashlib.sha256(finding.data).hexdigest()[:12]}.bin"
    path.write_bytes(finding.data)
    return f"{name}: {finding.problem[:2000]}\n  {finding.data!r}\n  kept as {path}"


def mutate(made: Target, seed: int, seconds: float) -> tuple[int, Finding | None]:
    """Feeds mutations of the seeds until the time is over: how many, and the first that fails."""
    begin = [*made.seeds(), *(path.read_bytes() for path in cases(made.name))]
    random = Random(seed)
    until = time.monotonic() + seconds
    count = 0
    while time.monotonic() < until:
        data = random.choice(begin)
        if random.random() < 0.3:
            data += random.choice(begin)[2:]
        flags = (
            bytes([random.randrange(256), random.choice((0, 1, 7, 30))])
            if random.random() < 0.7
            else data[:2]
        )
        said = mutated(Seeded(f"{seed}/{count}"), data[2:])
        if random.random() < 0.3:
            at = random.randrange(len(said) + 1)
            said = said[:at] + random.choice(WORDS) + said[at:]
        count += 1
        if problem_of(made.check, flags + said[:LONGEST]) is not None:
            return count, shortest(made.check, flags + said[:LONGEST])
    return count, None
