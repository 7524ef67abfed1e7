"""One soak: a gateway as a process, three services behind proxies that fail at random, clients, and the accounts at the end."""

import asyncio
import json
import random
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.cli.process import weir
from tests.soak.load import Load
from tests.soak.upstreams import Service
from tests.support.deadline import until
from tests.support.fault_proxy import MODES, FaultProxy

MOST_GROWTH = 16 << 20
"""Bytes that the memory may grow between the end of the first third and the end. The request log keeps what 4096 kinds of
exchanges have in common, and failures make new kinds for long; what a request leaks shows beyond that."""
MOST_FILES = 8
"""File descriptors that may be open more than before, when all is over."""


class Sample(NamedTuple):
    """The gateway's processes together: bytes of memory, and open files."""

    memory: int
    files: int


class Outcome(NamedTuple):
    """What a soak has shown; `wrong` is empty where all is well."""

    asked: int
    statuses: Counter[int]
    attempts: int
    modes: Counter[str]
    samples: list[Sample]
    wrong: list[str]

    def __str__(self) -> str:
        first, last = self.samples[len(self.samples) // 3], self.samples[-1]
        answers = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        return "\n".join(
            [
                f"{self.asked} requests: {answers} (0: broken off)",
                f"{self.attempts} times done by the upstreams",
                f"faults: {', '.join(f'{mode} {count}' for mode, count in sorted(self.modes.items()))}",
                f"memory: {first.memory >> 10} KiB after a third, {last.memory >> 10} KiB at the end",
                f"files: {self.samples[0].files} before, {max(one.files for one in self.samples)} at the most, "
                f"{last.files} at the end",
                *(self.wrong or ["nothing twice, nothing lost, memory and files flat"]),
            ]
        )


def configuration(endpoints: list[str], hanging: str, log: Path) -> str:
    return yaml.safe_dump(
        {
            "listen": "127.0.0.1:0",
            "admin": "127.0.0.1:0",
            "log": {"path": str(log), "max_size": 0},
            "upstreams": {
                "main": {
                    "endpoints": endpoints,
                    "balance": "least_request",
                    "timeouts": {"connect": "1s", "first_byte": "1s", "idle": "1s", "total": "5s"},
                    "retries": {
                        "on": ["connect_failure", "reset", "timeout", 503],
                        "per_try_timeout": "500ms",
                        "budget": {"percent": 30},
                    },
                    "ejection": {"failures": 5, "time": "500ms", "max_time": "2s"},
                    "concurrency": {"limit": 64, "queue": 64, "queue_timeout": "2s"},
                    "mirror": {"upstream": "shadow", "percent": 20, "max_in_flight": 16, "timeout": "2s"},
                },
                "shadow": {"endpoints": [hanging]},
            },
            "routes": [{"name": "any", "path": "/{rest*}", "upstream": "main"}],
        }
    )


async def soak(directory: Path, *, seconds: float, seed: int, rate: float = 100.0) -> Outcome:
    """Runs for `seconds`, at `rate` requests a second; the same seed asks for the same things and fails in the same ways."""
    chance = random.Random(seed)
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(Service()) for _ in range(3)]
        hanging = await stack.enter_async_context(Service(hangs=True))
        proxies = [
            await stack.enter_async_context(FaultProxy(one.port, seed=seed + place))
            for place, one in enumerate(services)
        ]
        path, log = directory / "soak.yaml", directory / "requests.log"
        path.write_text(configuration([one.url for one in proxies], f"http://127.0.0.1:{hanging.port}", log))
        process = await stack.enter_async_context(weir("run", path, "--workers", "1", directory=directory))
        address = await process.listens()
        load = Load(address.port, seed, clients=16, rate=rate)
        samples = [sample(process.popen.pid)]
        modes: Counter[str] = Counter()
        asking = asyncio.create_task(load.run())
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < seconds:
            mode = "pass" if chance.random() < 0.5 else chance.choice(MODES)
            modes[mode] += 1
            await chance.choice(proxies).set(mode)
            await asyncio.sleep(0.1 + 0.4 * chance.random())
            samples.append(sample(process.popen.pid))
        for proxy in proxies:
            await proxy.set("pass")
        load.stop()
        await asking
        # The copies that hang are given up; connections to the upstreams may stay.
        most = samples[0].files + MOST_FILES + sum(one.open for one in proxies)
        try:
            await until(lambda: sample(process.popen.pid).files <= most, "files are closed", 10.0)
        except AssertionError:
            load.wrong.append(
                f"{sample(process.popen.pid).files} files are open, {samples[0].files} were before"
            )
        samples.append(sample(process.popen.pid))
        process.signal()
        if await process.ends() != 0:
            load.wrong.append("the gateway did not end in order")
        done = sum((one.done for one in services), Counter[int]())
        wrong = [*load.wrong, *account(load, done), *recorded(load, log), *grown(samples)]
        return Outcome(load.asked, load.statuses, done.total(), modes, samples, wrong)


def account(load: Load, done: Counter[int]) -> list[str]:
    """What the clients know against what the services know."""
    twice = [number for number in load.once if done[number] > 1]
    lost = [number for number in load.whole if not done[number]]
    wrong = [f"{len(twice)} requests were done twice: {twice[:5]}"] if twice else []
    if lost:
        wrong.append(f"{len(lost)} requests were answered, and never done: {lost[:5]}")
    return wrong


def recorded(load: Load, log: Path) -> list[str]:
    """Whether there is one record of each request, but for those that clients have broken off."""
    seen: Counter[int] = Counter()
    with log.open() as lines:
        for line in lines:
            number = json.loads(line).get("url.path", "").split("/")[1:2]
            if number and number[0].isdigit():
                seen[int(number[0])] += 1
    expected = set(range(1, load.asked + 1)) - load.unsent
    missing = expected - set(seen)
    wrong = [f"{len(missing)} requests have no record: {sorted(missing)[:5]}"] if missing else []
    twice = [number for number in expected if seen[number] > 1]
    if twice:
        wrong.append(f"{len(twice)} requests have more than one record: {twice[:5]}")
    return wrong


def grown(samples: list[Sample]) -> list[str]:
    """Whether the memory has grown since the end of the first third."""
    before, after = samples[len(samples) // 3].memory, samples[-1].memory
    if after - before > MOST_GROWTH:
        return [f"memory has grown by {(after - before) >> 10} KiB"]
    return []


def sample(pid: int) -> Sample:
    """The process and all of its children, now."""
    memory = files = 0
    pids = [pid]
    while pids:
        one = pids.pop()
        try:
            memory += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * 4096
            files += len(list(Path(f"/proc/{one}/fd").iterdir()))
            pids += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except OSError:
            continue  # it has ended meanwhile
    return Sample(memory, files)
