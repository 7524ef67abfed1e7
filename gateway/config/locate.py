"""Where the configuration is, when a command is not told: here, in /etc, or the one that came along."""

from importlib.resources import files
from pathlib import Path

PLACES = (Path("config/gateway.yaml"), Path("/etc/weir/gateway.yaml"))


def locate(given: str | None = None) -> Path:
    """The file that was given, or else the first that exists of the usual places and the bundled one."""
    if given is not None:
        return Path(given)
    return next((place for place in PLACES if place.is_file()), bundled())


def bundled() -> Path:
    """The default configuration that came with the software: in the package when installed, or in the checkout."""
    package = Path(str(files("gateway")))
    installed = package / "bundled" / "gateway.yaml"
    return installed if installed.is_file() else package.parent / "config" / "gateway.yaml"
