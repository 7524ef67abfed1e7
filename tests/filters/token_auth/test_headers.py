"""The filter's profiles of header fields, and the WWW-Authenticate that it adds to an upstream's 401."""

from typing import Any

import pytest
from pydantic import ValidationError

from filters._identity import IDENTITY_NAMES
from filters.token_auth import TokenAuth
from gateway.api import Exchange, Instant, Response
from gateway.api.testing import build, exchange, judge, judge_response

NOW = 1_700_000_000
ANNE = {"token": "anne-token", "user": "anne", "user_id": "u1", "project_id": "p1", "roles": ["member"]}
PROVIDERS = [{"static": {"tokens": [ANNE]}}]
KEYSTONE = {
    "keystone": {
        "url": "http://identity.test/v3",
        "account": {"user": "g", "password": "p", "project_name": "service"},
    }
}


def guard(**options: Any) -> TokenAuth:
    return build(TokenAuth, {"providers": PROVIDERS, **options})


def asked(token: str | None = "anne-token", *more: tuple[str, str]) -> Exchange:
    headers = ([] if token is None else [("X-Auth-Token", token)]) + list(more)
    return exchange(headers=headers, clock=Instant(NOW, 1000.0))


def told(filter: TokenAuth, made: Exchange) -> dict[str, str]:
    """What the upstream is told; from what the filter remembers it is the same."""
    assert judge(filter, made) is None
    read = {name.decode(): value.decode() for name, value in made.request.headers}
    assert len(read) == len(list(made.request.headers))
    return read


@pytest.mark.parametrize("headers", ["keystonemiddleware", "repose", "none"])
@pytest.mark.parametrize("spell", [str, str.upper, lambda name: name.replace("-", "_")])
@pytest.mark.parametrize("token", ["anne-token", None])
def test_what_a_client_says_of_itself_is_stripped_in_every_profile(
    headers: str, spell: Any, token: str | None
) -> None:
    filter = guard(headers=headers, delay_auth_decision=True)
    made = asked(token, *((spell(name), "evil") for name in IDENTITY_NAMES))
    assert "evil" not in told(filter, made).values()


def test_an_upstream_of_repose_is_told_in_its_words() -> None:
    filter = guard(headers="repose", repose={"user_quality": 0.8})
    first = told(filter, asked())
    assert first["X-PP-User"] == "anne;q=0.8"
    assert first["X-Authorization"] == "Proxy p1"
    assert "X-User" not in first and "X-Role" not in first
    assert told(filter, asked()) == first


def test_repose_calls_nobody_indeterminate() -> None:
    read = told(guard(headers="repose", delay_auth_decision=True), asked("unknown"))
    assert read == {
        "X-Auth-Token": "unknown",
        "X-Identity-Status": "Indeterminate",
        "X-Authorization": "Proxy",
        "X-Delegated": "status_code=401`component=token_auth`message=The token is not valid.;q=0.7",
    }


def test_an_upstream_may_be_told_nothing() -> None:
    filter = guard(headers="none", forward_token=False)
    made = asked()
    assert told(filter, made) == {}
    assert made.principal is not None and made.principal.user_id == "u1"
    assert told(guard(headers="none", delay_auth_decision=True), asked(None)) == {}


def test_options_of_repose_are_for_its_profile() -> None:
    with pytest.raises(ValidationError, match="repose needs"):
        guard(repose={})
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        guard(headers="repose", repose={"user_quality": 1.5})


# ---- an upstream's 401


def challenged(filter: TokenAuth, *headers: tuple[str, str], status: int = 401) -> list[str]:
    made = asked()
    made.response = Response(status, headers)
    assert judge_response(filter, made) is None
    return made.response.headers.all("WWW-Authenticate")


URI = 'Keystone uri="http://auth.test/v3"'


def test_an_upstream_that_does_not_say_how_to_get_a_token_is_helped_out() -> None:
    filter = guard(auth_url="http://auth.test/v3")
    assert filter.statuses == frozenset((401,))
    assert challenged(filter) == [URI]
    assert challenged(filter, ("www-authenticate", 'Bearer realm="x"')) == ['Bearer realm="x"']
    assert challenged(filter, status=403) == []


@pytest.mark.parametrize(
    ("options", "looks"),
    [
        ({}, False),
        ({"auth_url": "http://auth.test/v3"}, True),
        ({"providers": [KEYSTONE]}, True),
        ({"providers": [*PROVIDERS, KEYSTONE]}, True),
        ({"delay_auth_decision": True}, True),
    ],
)
def test_answers_are_looked_at_only_where_there_is_something_to_say(
    options: dict[str, Any], looks: bool
) -> None:
    filter = guard(**options)
    assert filter.statuses == (frozenset((401,)) if looks else frozenset())
    if looks and "auth_url" not in options:
        assert challenged(filter) == ["Keystone"]
