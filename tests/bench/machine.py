"""What figures depend on: the machine, and the versions of all that took part."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Final

from gateway import __version__, form
from tests.bench.install import Tools

_LIBRARIES: Final = (
    *("aiohttp", "httptools", "uvloop", "orjson", "pyjwt", "cachetools", "hiredis"),
    *("limits", "redis"),  # what decisions by limits are compared with; the latter is the client
)


def machine() -> dict[str, str]:
    """The machine, in a few words each."""
    return {
        "cpu": processor(_read(Path("/proc/cpuinfo"))),
        "cores": str(os.cpu_count()),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def processor(cpuinfo: str) -> str:
    """The processor's name as /proc/cpuinfo has it."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or "unknown"


def versions(tools: Tools) -> dict[str, str]:
    """Of the peers that are installed, of Weir, of the libraries on its request path and of those beside it."""
    found = {"weir": f"{__version__} {form()}", "python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in _LIBRARIES if _installed(name)}
    asked = (
        ("nginx", tools.nginx, "-v"),
        ("envoy", tools.envoy, "--version"),
        ("wrk", tools.wrk, "-v"),
        ("redis-server", tools.redis, "--version"),
    )
    for name, program, option in asked:
        if program is not None:
            found[name] = version_in(name, _printed([str(program), option]))
    return found


def version_in(name: str, output: str) -> str:
    """The version in what a program prints when asked for it."""
    for line in output.splitlines():
        words = line.replace("/", " ").replace("=", " ").split()
        for word in words:
            if word[0].isdigit() and "." in word:
                return word
    return f"unknown ({name} does not say)"


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _printed(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr
