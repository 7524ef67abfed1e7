"""Soaks a gateway: `python -m tests.soak --minutes 10`. The exit status is 1 where anything was wrong."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.soak.soak import soak


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="default: 10")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second; default: 100")
    parser.add_argument(
        "--seed", type=int, default=time.time_ns() % 1_000_000 + 1, help="default: another each time"
    )
    given = parser.parse_args(arguments)
    print(f"seed {given.seed}, {given.minutes:g} minutes, {given.rate:g} requests a second", flush=True)
    with tempfile.TemporaryDirectory(prefix="weir-soak-") as directory:
        outcome = asyncio.run(
            soak(Path(directory), seconds=given.minutes * 60, seed=given.seed, rate=given.rate)
        )
    print(outcome)
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
