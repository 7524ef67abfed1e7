"""The gateway's own token: how it is asked for, and what becomes of it."""

import json

import pytest
from pydantic import ValidationError

from filters.token_auth.option import KeystoneOptions
from filters.token_auth.remote import Trouble
from filters.token_auth.service_token import ServiceToken, credentials
from gateway.api import HttpError, HttpOptions
from gateway.api.testing import FrozenServices
from tests.filters.token_auth.identity_service import NOW, OPTIONS, URL, IdentityService

CONFIG = KeystoneOptions.model_validate(OPTIONS)


class Asking:
    def __init__(self) -> None:
        self.service = IdentityService()
        self.services = FrozenServices(wall=NOW, answer=self.service)
        self.client = self.services.http("keystone", HttpOptions(URL))
        self.token = ServiceToken()

    async def get(self) -> str:
        return await self.token.get(self.client, CONFIG, self.services)

    async def other(self, bad: str) -> str:
        return await self.token.other(self.client, CONFIG, self.services, bad)


def test_the_password_is_in_the_body_and_nowhere_else() -> None:
    assert json.loads(credentials(CONFIG))["auth"]["identity"]["password"]["user"]["password"] == "gateway-pw"
    assert "gateway-pw" not in repr(CONFIG)


async def test_it_is_got_once_and_kept() -> None:
    asking = Asking()
    assert [await asking.get() for _ in range(3)] == ["own-1"] * 3


async def test_another_is_got_for_one_that_was_refused_and_once_only() -> None:
    asking = Asking()
    bad = await asking.get()
    assert await asking.other(bad) == "own-2"
    assert await asking.other(bad) == "own-2"  # whoever comes later with the old one is given the new one
    assert asking.service.issued == 2


async def test_a_failure_is_raised_and_the_next_asks_again() -> None:
    asking = Asking()
    asking.service.down = HttpError("connect")
    with pytest.raises(HttpError):
        await asking.get()
    asking.service.down = None
    assert await asking.get() == "own-1"


async def test_refused_credentials_are_trouble_that_counts() -> None:
    asking = Asking()
    asking.service.accepts = "another"
    with pytest.raises(Trouble, match="credentials") as caught:
        await asking.get()
    assert caught.value.counts


async def test_one_that_was_refused_is_not_fallen_back_to() -> None:
    asking = Asking()
    bad = await asking.get()
    asking.service.accepts = "another"
    with pytest.raises(Trouble):
        await asking.other(bad)
    asking.token.close()


def test_an_account_may_ask_for_a_token_without_a_scope() -> None:
    config = KeystoneOptions.model_validate(
        {"url": "http://i/v3", "account": {"user": "gateway", "password": "pw", "scope": "none"}}
    )
    asked = json.loads(credentials(config))["auth"]
    assert asked == {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": "gateway", "domain": {"id": "default"}, "password": "pw"}},
        }
    }


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "exactly one of project_name, project_id"),
        ({"scope": "none", "project_id": "p"}, "scope: none has no project"),
    ],
)
def test_a_scope_is_said(more: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        KeystoneOptions.model_validate(
            {"url": "http://i/v3", "account": {"user": "gateway", "password": "pw", **more}}
        )
