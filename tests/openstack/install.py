"""Installs real OpenStack below build/openstack: `python -m tests.openstack.install [PART...]`, all parts where none is named.

Each part has an environment of its own; what is done is not done again, and what was cut off is begun anew.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.openstack import configuration

PLACE = Path(__file__).parents[2] / "build" / "openstack"
ADMIN = "admin-password"

PARTS = {
    "keystone": ("keystone==30.0.0", "waitress==3.0.2"),
    "glance": ("glance==33.0.0", "waitress==3.0.2"),
    "nova": ("nova==34.0.0", "waitress==3.0.2"),
    "client": ("python-openstackclient==10.5.0", "openstacksdk==4.22.0"),
    # The last line of novaclient that has image-meta.
    "novaclient": ("python-novaclient==6.0.2", "setuptools<70"),
}


def environment() -> dict[str, str]:
    """For programs of OpenStack, which nothing of the caller's own credentials or settings is to reach."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    return {**own, "PYTHONWARNINGS": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def program(part: str, name: str = "python") -> str:
    """The path of a program that a part has."""
    return str(PLACE / "venv" / part / "bin" / name)


def paste(part: str) -> Path:
    """The file that says of what a service's WSGI application is put together."""
    name = {"glance": "glance-api-paste.ini", "nova": "api-paste.ini"}[part]
    return PLACE / "venv" / part / "etc" / part / name


def data(part: str) -> Path:
    """The data of a service as they are after the installation; a test works on a copy."""
    return PLACE / "data" / part


def _run(*command: str | Path, directory: Path | None = None, **variables: str) -> None:
    """Ends the installation where the command fails, with what it has said."""
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=directory,
        env={**environment(), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        sys.exit(f"{ended.stdout[-4000:]}\n{command[0]} has failed")


def _keystone(place: Path) -> None:
    for name in ("fernet-keys", "credential-keys"):
        (place / name).mkdir(mode=0o700)
    for name in ("public", "private"):
        (place / "jws-keys" / name).mkdir(parents=True)

    def manage(*words: str, directory: Path = place) -> None:
        command = (program("keystone", "keystone-manage"), "--config-file", settings, *words)
        _run(*command, directory=directory)

    settings = str(configuration.keystone(place))
    own = ("--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid()))
    manage("db_sync")
    manage("fernet_setup", *own)
    manage("credential_setup", *own)
    keys = place / "jws-keys"
    manage("create_jws_keypair", *own, directory=keys)
    for name in ("public", "private"):
        (keys / f"{name}.pem").rename(keys / name / f"{name}.pem")
    manage("bootstrap", "--bootstrap-password", ADMIN, "--bootstrap-region-id", "RegionOne")


def _glance(place: Path) -> None:
    settings = configuration.glance(place, paste("glance"))
    _run(program("glance", "glance-manage"), "--config-file", settings, "db_sync")


def _nova(place: Path) -> None:
    settings = str(configuration.nova(place, paste("nova")))

    def manage(*words: str) -> None:
        command = (program("nova", "nova-manage"), "--config-file", settings, *words)
        _run(*command, OS_NOVA_DISABLE_EVENTLET_PATCHING="true")

    manage("api_db", "sync")
    manage("cell_v2", "map_cell0", "--database_connection", f"sqlite:///{place}/nova_cell0.db")
    cell = ("--database_connection", f"sqlite:///{place}/nova.db", "--transport-url", "fake://")
    manage("cell_v2", "create_cell", "--name", "cell1", *cell)
    manage("db", "sync")


DATABASES: dict[str, Callable[[Path], None]] = {"keystone": _keystone, "glance": _glance, "nova": _nova}


def _environment(part: str) -> None:
    """The packages; they are installed anew where another version is asked for."""
    place, packages = PLACE / "venv" / part, PARTS[part]
    mark = place / ".packages"
    if mark.is_file() and mark.read_text() == " ".join(packages):
        return
    print(f"installing {part} ...", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(data(part), ignore_errors=True)
    _run(sys.executable, "-m", "venv", place)
    # Most of their modules are never imported: what is, is compiled then.
    _run(program(part, "pip"), "install", "--quiet", "--no-compile", *packages)
    mark.write_text(" ".join(packages))


def _database(part: str, make: Callable[[Path], None]) -> None:
    place = data(part)
    mark = place / ".made"
    if mark.is_file():
        return
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    make(place)
    mark.touch()


def install(parts: Sequence[str]) -> None:
    for part in parts:
        _environment(part)
        if part in DATABASES:
            _database(part, DATABASES[part])


if __name__ == "__main__":
    install(sys.argv[1:] or list(PARTS))
