"""A service of OpenStack in a process and on a port of its own."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.openstack.install import data, environment, program
from tests.support.deadline import until

START = 60.0
"""Seconds that it may take until it answers, on a busy machine."""


class Request(NamedTuple):
    """A request that a service got: how its server split the path, and by which proxy and from whom it came."""

    method: str
    prefix: str
    path: str
    via: str | None
    agent: str | None


class Service:
    """One of them, over data in `place`.

    part       what it is called, as the installer has it
    module     the WSGI application is there
    prefix     where it is mounted, beside /
    variables  of the environment: where its configuration is
    """

    def __init__(
        self, place: Path, part: str, module: str, prefix: str, variables: Mapping[str, str], name: str = ""
    ) -> None:
        self.place = place
        self.prefix = prefix
        self.port = 0
        self._part = part
        self._module = module
        self._variables = variables
        self._name = name or part
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def _requests(self) -> Path:
        return self.place / f"requests-{self._name}"

    @property
    def requests(self) -> list[Request]:
        """All that it got, over all its lives, in their order."""
        return [Request(*json.loads(line)) for line in self._requests.read_text().splitlines()]

    async def start(self) -> None:
        """Returns once it accepts connections: at the port of its earlier life, where it had one."""
        ready = self.place / f"ready-{self._name}"
        ready.unlink(missing_ok=True)
        log = self.place / f"output-{self._name}"
        with log.open("ab") as output:
            self._process = process = subprocess.Popen(
                [
                    program(self._part),
                    "-P",  # a module beside the script is not taken for one of the service's
                    str(Path(__file__).with_name("serve.py")),
                    *(str(self.port), self._module, str(ready), str(self._requests), self.prefix),
                ],
                env={**environment(), **self._variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        what = f"{self._name} accepts connections"
        await until(lambda: ready.is_file() or process.poll() is not None, what, START)
        if process.poll() is not None:
            sys.stderr.write(log.read_text()[-4000:])
            raise AssertionError(f"{self._name} has ended")
        self.port = int(ready.read_text())

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait)


def fresh(part: str, place: Path) -> Path:
    """A copy of the data that the installation has made for a service."""
    assert (data(part) / ".made").is_file(), f"{part} is not installed: make test-openstack does it"
    return Path(shutil.copytree(data(part), place / part))
