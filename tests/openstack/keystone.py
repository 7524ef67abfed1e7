"""A real Keystone on a port of its own, with users, a project and tokens as a test wants them."""

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from tests.openstack.install import ADMIN, BIN, DATA, configure, environment
from tests.support.deadline import until

START = 60.0
"""Seconds that it may take until it answers, on a busy machine."""

_DOMAIN = {"id": "default"}


class Keystone:
    """One Keystone over data in `place`; several may share them, since tokens are sealed with keys that are there."""

    def __init__(self, place: Path, *, expiration: int = 3600) -> None:
        self._place = place
        self._configuration = configure(place, expiration)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v3"

    async def start(self) -> None:
        ready = self._place / f"ready-{self._configuration.stem}"
        ready.unlink(missing_ok=True)
        with (self._place / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    str(BIN / "python"),
                    "-P",  # a module beside the script, such as this one, is not taken for Keystone's
                    str(Path(__file__).with_name("serve.py")),
                    str(self.port),
                    "keystone.wsgi.api",
                    str(ready),
                ],
                env={
                    **environment(),
                    "OS_KEYSTONE_CONFIG_FILES": str(self._configuration),
                    "OS_KEYSTONE_CONFIG_DIR": str(self._place),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        process = self._process
        await until(
            lambda: ready.is_file() or process.poll() is not None, "Keystone accepts connections", START
        )
        if process.poll() is not None:
            sys.stderr.write((self._place / "output").read_text()[-4000:])
            raise AssertionError("Keystone has ended")
        self.port = int(ready.read_text())

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait)

    async def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> tuple[int, dict[str, str], Any]:
        """Status, header fields by lower-case name, and the JSON of the answer."""
        fields = {**(headers or {}), **({"X-Auth-Token": token} if token else {})}
        async with (
            ClientSession() as session,
            session.request(method, self.url + path, json=body or None, headers=fields) as answer,
        ):
            data = await answer.read()
            names = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, names, json.loads(data) if data else None

    async def made(self, path: str, token: str, **body: Any) -> Any:
        """POSTs what is to be made, and gives it back."""
        status, _, answer = await self.ask("POST", path, token, **body)
        assert status == 201, answer
        return answer[next(iter(body))]

    async def token(self, user: str, password: str, project: str | None = None) -> str:
        """A token of a user of the default domain, in a project or in none."""
        identity = {
            "methods": ["password"],
            "password": {"user": {"name": user, "domain": _DOMAIN, "password": password}},
        }
        scope: Any = "unscoped" if project is None else {"project": {"name": project, "domain": _DOMAIN}}
        return await self._issued({"identity": identity, "scope": scope})

    async def token_of_credential(self, id: str, secret: str) -> str:
        credential = {"id": id, "secret": secret}
        return await self._issued(
            {"identity": {"methods": ["application_credential"], "application_credential": credential}}
        )

    async def _issued(self, auth: dict[str, Any]) -> str:
        status, fields, answer = await self.ask("POST", "/auth/tokens", auth=auth)
        assert status == 201, answer
        return fields["x-subject-token"]

    async def revoke(self, token: str) -> None:
        status, _, answer = await self.ask(
            "DELETE", "/auth/tokens", token, headers={"X-Subject-Token": token}
        )
        assert status == 204, answer

    async def user_id(self, token: str) -> str:
        _, _, answer = await self.ask("GET", "/auth/tokens", token, headers={"X-Subject-Token": token})
        return str(answer["token"]["user"]["id"])

    async def populate(self) -> None:
        """Projects `service` and `demo`; users `gateway` and `nova` with the role service, `demo` with member."""
        admin = await self.token("admin", ADMIN, "admin")
        _, _, answer = await self.ask("GET", "/roles", admin)
        roles = {role["name"]: role["id"] for role in answer["roles"]}
        projects = {
            name: (await self.made("/projects", admin, project={"name": name, "domain_id": "default"}))["id"]
            for name in ("service", "demo")
        }
        for name, project, role in (
            ("gateway", "service", "service"),
            ("nova", "service", "service"),
            ("demo", "demo", "member"),
        ):
            user = {"name": name, "password": f"{name}-password", "domain_id": "default"}
            made = await self.made("/users", admin, user=user)
            path = f"/projects/{projects[project]}/users/{made['id']}/roles/{roles[role]}"
            status, _, answer = await self.ask("PUT", path, admin)
            assert status == 204, answer


def fresh(place: Path) -> Path:
    """A copy of the data that the installation has made."""
    assert (DATA / ".bootstrapped").is_file(), "Keystone is not installed: make test-openstack does it"
    return Path(shutil.copytree(DATA, place / "keystone"))
