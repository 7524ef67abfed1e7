"""What systemd is told, and what it hands over: sd_notify(3) and sd_listen_fds(3), without its library.

Where no service manager asks for it, nothing is said and nothing is there.
"""

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Final

FIRST: Final = 3
"""The first descriptor that is handed over."""
PATIENCE: Final = 0.5
"""Seconds that a word to the manager may take."""


class Notifier:
    """Says to the service manager how the service does."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        """Takes what is meant for this process out of the environment: children are not to say it again."""
        path = environment.pop("NOTIFY_SOCKET", "")
        self._path = "\0" + path[1:] if path.startswith("@") else path
        usec, pid = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        ours = pid in ("", str(os.getpid()))
        self.watchdog: float | None = int(usec) / 1e6 if usec.isdigit() and int(usec) and ours else None
        """Seconds within which the service has to show that it lives."""

    def ready(self, status: str) -> None:
        self._say("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        # With the instant, so that the manager can tell this reload's READY from an earlier one (Type=notify-reload).
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        self._say("STOPPING=1", f"STATUS={status}")

    def alive(self) -> None:
        self._say("WATCHDOG=1", patience=0.0)

    def successor(self, pid: int) -> None:
        """Another process is the service from now on."""
        self._say(f"MAINPID={pid}")

    @property
    def path(self) -> str:
        """For a successor's environment; empty where nobody asks."""
        return "@" + self._path[1:] if self._path.startswith("\0") else self._path

    def _say(self, *lines: str, patience: float = PATIENCE) -> None:
        """Waits so many seconds at most for a manager that does not read: a service must not hang with it."""
        if not self._path:
            return
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.settimeout(patience)
            sock.sendto("\n".join(lines).encode(), self._path)


def listening(environment: MutableMapping[str, str]) -> list[socket.socket]:
    """The sockets that the service manager has opened for this process, taken over; none without one."""
    count, pid = environment.pop("LISTEN_FDS", ""), environment.pop("LISTEN_PID", "")
    environment.pop("LISTEN_FDNAMES", None)
    if not count.isdigit() or pid != str(os.getpid()):
        return []
    sockets = [socket.socket(fileno=FIRST + number) for number in range(int(count))]
    for sock in sockets:
        sock.set_inheritable(False)
        sock.setblocking(False)
    return sockets
