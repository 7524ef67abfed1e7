"""A real Keystone on a port of its own, with users, a project and tokens as a test wants them."""

import json
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from tests.openstack import configuration
from tests.openstack.configuration import Tokens
from tests.openstack.install import ADMIN
from tests.openstack.service import Service

_DOMAIN = {"id": "default"}

PEOPLE = {
    "gateway": ("service", ("service",)),
    "nova": ("service", ("service", "admin")),
    "glance": ("service", ("service", "admin")),
    "demo": ("demo", ("member",)),
    "reader": ("demo", ("reader",)),
    "other": ("other", ("member",)),
}
"""Of each user the project, and the roles there."""


class Keystone(Service):
    """One Keystone over data in `place`; several may share them, since tokens are sealed with keys that are there."""

    def __init__(self, place: Path, tokens: Tokens = Tokens()) -> None:
        settings = configuration.keystone(place, tokens)
        variables = {"OS_KEYSTONE_CONFIG_FILES": str(settings), "OS_KEYSTONE_CONFIG_DIR": str(place)}
        super().__init__(place, "keystone", "keystone.wsgi.api", "/identity", variables, settings.stem)

    @property
    def url(self) -> str:
        return f"{self.root}/v3"

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

    async def project_id(self, token: str) -> str:
        _, _, answer = await self.ask("GET", "/auth/tokens", token, headers={"X-Subject-Token": token})
        return str(answer["token"]["project"]["id"])

    async def user_id(self, token: str) -> str:
        _, _, answer = await self.ask("GET", "/auth/tokens", token, headers={"X-Subject-Token": token})
        return str(answer["token"]["user"]["id"])

    async def populate(self) -> None:
        """Projects, and users with their roles in them, each with NAME-password. A test may make more."""
        admin = await self.token("admin", ADMIN, "admin")
        _, _, answer = await self.ask("GET", "/roles", admin)
        roles = {role["name"]: role["id"] for role in answer["roles"]}
        projects = {
            name: (await self.made("/projects", admin, project={"name": name, "domain_id": "default"}))["id"]
            for name in dict.fromkeys(project for project, _ in PEOPLE.values())
        }
        for name, (project, names) in PEOPLE.items():
            user = {"name": name, "password": f"{name}-password", "domain_id": "default"}
            made = await self.made("/users", admin, user=user)
            for role in names:
                path = f"/projects/{projects[project]}/users/{made['id']}/roles/{roles[role]}"
                status, _, answer = await self.ask("PUT", path, admin)
                assert status == 204, answer
