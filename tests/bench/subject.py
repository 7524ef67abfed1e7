"""The proxies under test: what each is given to do, the file that tells it so, and the command that starts it.

A subject with policy verifies the token, limits the rate, allows some methods, wants a UUID in the path and
logs every request. A bare one forwards, marks the answer with Via and a request id, and does nothing else.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench import envoy, nginx, weir
from tests.bench.install import Tools
from tests.bench.setting import Setting
from tests.bench.workload import CHAINS, SEEN, UNSEEN


class Launch(NamedTuple):
    """How to start a subject: its command, the log that it will write, if any, and the port of the page that is open, if any."""

    command: list[str]
    log: Path | None
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A proxy in one configuration.

    needs   the program that must be installed for it, "" for none
    policy  whether it carries out the policy
    launch  writes its configuration and says how to start it
    """

    name: str
    title: str
    needs: str
    policy: bool
    launch: Callable[[Setting, Tools], Launch]


_SOURCES: Final = str(Path(__file__).resolve().parents[2])


def _weir(
    policy: bool,
    *,
    chain: int = 0,
    limits: bool = False,
    interpreted: bool = False,
    seen: bool | None = None,
) -> Callable[[Setting, Tools], Launch]:
    def launch(setting: Setting, tools: Tools) -> Launch:
        text = weir.configuration(setting, policy=policy, chain=chain, limits=limits, seen=seen)
        path = setting.write("weir.yaml", text)
        start = "from gateway.cli.main import main; main()"  # `weir`, wherever its script was installed
        if interpreted:
            start = f"import sys; sys.path.insert(0, {_SOURCES!r}); {start}"
        command = [sys.executable, "-c", start, "run", str(path)]
        logs = policy and seen is not False
        return Launch(command, setting.log if logs else None, setting.admin_port if seen else None)

    return launch


def _nginx(policy: bool, *, limits: bool = False) -> Callable[[Setting, Tools], Launch]:
    def launch(setting: Setting, tools: Tools) -> Launch:
        path = setting.write("nginx.conf", nginx.configuration(setting, policy=policy, limits=limits))
        return Launch(nginx.command(tools, path), setting.log if policy else None)

    return launch


def _envoy(policy: bool, *, cache: bool = False, limits: bool = False) -> Callable[[Setting, Tools], Launch]:
    def launch(setting: Setting, tools: Tools) -> Launch:
        text = envoy.configuration(setting, policy=policy, cache=cache, limits=limits)
        path = setting.write("envoy.json", text)
        return Launch(envoy.command(tools, path), setting.log if policy else None)

    return launch


SUBJECTS: Final = {
    subject.name: subject
    for subject in (
        Subject("nginx", "one proxy_pass", "nginx", False, _nginx(False)),
        Subject("nginx+policy", "auth_request, limit_req, JSON log", "nginx", True, _nginx(True)),
        Subject("envoy", "one route", "envoy", False, _envoy(False)),
        Subject(
            "envoy+policy",
            "jwt_authn without its cache, local_ratelimit, JSON log",
            "envoy",
            True,
            _envoy(True),
        ),
        Subject(
            "envoy+policy+cache",
            "the same, jwt_authn with its cache",
            "envoy",
            True,
            _envoy(True, cache=True),
        ),
        Subject("weir", "one route, no filter, no log", "", False, _weir(False)),
        Subject(
            "weir+policy",
            "token_auth (JWT, cached), rate_limit, methods, uuid, body_size, request log, metrics",
            "",
            True,
            _weir(True),
        ),
        Subject("weir-py", "weir, not compiled", "", False, _weir(False, interpreted=True)),
        Subject("weir-py+policy", "weir+policy, not compiled", "", True, _weir(True, interpreted=True)),
        *(
            Subject(
                f"weir+{number}", f"`methods`, {number} times over", "", False, _weir(False, chain=number)
            )
            for number in CHAINS
        ),
        Subject("nginx+limits", "four limit_req by address", "nginx", False, _nginx(False, limits=True)),
        Subject(
            "envoy+limits",
            "local_ratelimit with four descriptors by address",
            "envoy",
            False,
            _envoy(False, limits=True),
        ),
        Subject(
            "weir+limits", "rate_limit with four limits by address", "", False, _weir(False, limits=True)
        ),
        Subject(UNSEEN, "weir+policy, without records and admin listener", "", True, _weir(True, seen=False)),
        Subject(
            SEEN,
            "weir+policy with a filter in shadow, rotated records, sidecars, the page open with live events, traces allowed",
            "",
            True,
            _weir(True, seen=True),
        ),
    )
}

YARDSTICK: Final = "nginx"
"""The subject that is measured on W1 in every run, so that figures of two machines can be put side by side."""
