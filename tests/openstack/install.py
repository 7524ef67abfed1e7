"""Installs a real Keystone below build/openstack, in an environment of its own: `python -m tests.openstack.install`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PLACE = Path(__file__).parents[2] / "build" / "openstack"
BIN = PLACE / "venv" / "bin"
DATA = PLACE / "keystone"
PACKAGES = ("keystone==30.0.0", "waitress==3.0.2")
ADMIN = "admin-password"

_CONFIGURATION = """
[DEFAULT]
max_token_size = 1024
[database]
connection = sqlite:///{place}/keystone.db
[token]
provider = fernet
expiration = {expiration}
[fernet_tokens]
key_repository = {place}/fernet-keys
[credential]
key_repository = {place}/credential-keys
[cache]
# Without it a token costs some hundred queries, which is a second.
enabled = true
backend = dogpile.cache.memory
"""


def configure(place: Path, expiration: int = 3600) -> Path:
    """Writes the configuration of a Keystone whose data are in `place`; tokens last `expiration` seconds."""
    path = place / f"keystone-{expiration}.conf"
    path.write_text(_CONFIGURATION.format(place=place, expiration=expiration))
    return path


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONWARNINGS": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, env=environment())


def _manage(configuration: Path, *words: str) -> None:
    _run(BIN / "keystone-manage", "--config-file", configuration, *words)


def install() -> None:
    """The packages, and a database with its first user. Does nothing where that is done."""
    marks = [PLACE / ".packages", DATA / ".bootstrapped"]
    if not marks[0].is_file() or marks[0].read_text() != " ".join(PACKAGES):
        shutil.rmtree(PLACE, ignore_errors=True)
        PLACE.mkdir(parents=True)
        _run(sys.executable, "-m", "venv", PLACE / "venv")
        _run(BIN / "pip", "install", "--quiet", *PACKAGES)
        marks[0].write_text(" ".join(PACKAGES))
    if marks[1].is_file():
        return
    shutil.rmtree(DATA, ignore_errors=True)
    for name in ("fernet-keys", "credential-keys"):
        (DATA / name).mkdir(parents=True, mode=0o700)
    configuration = configure(DATA)
    own = ("--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid()))
    _manage(configuration, "db_sync")
    _manage(configuration, "fernet_setup", *own)
    _manage(configuration, "credential_setup", *own)
    _manage(configuration, "bootstrap", "--bootstrap-password", ADMIN, "--bootstrap-region-id", "RegionOne")
    marks[1].touch()


if __name__ == "__main__":
    install()
