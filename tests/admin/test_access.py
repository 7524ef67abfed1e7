"""Who may ask the admin listener."""

from pathlib import Path
from typing import Any

import pytest

from gateway.admin.access import OPERATOR, VIEWER, Access, Refused, load_access
from gateway.config.load import loads
from gateway.config.model import AdminListen
from gateway.config.problem import ConfigurationError
from gateway.registry import Registry
from tests.support.authority import Authority
from tests.support.gateway import configuration


def access(**options: Any) -> Access:
    return Access(AdminListen.model_validate(options))


LOOPBACK = access(address="127.0.0.1:9901")
GUARDED = access(address="0.0.0.0:9901", token="open sesame")
SOCKET = access(unix="/run/weir/admin.sock")


def status(rules: Access, method: str = "GET", *, public: bool = False, **headers: str) -> int | None:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    role = rules.role(method, {"Host": "127.0.0.1:9901", **sent}, public=public)
    return role.status if isinstance(role, Refused) else None


@pytest.mark.parametrize("host", ["127.0.0.1:9901", "[::1]:9901", "localhost:9901", "LOCALHOST", "10.0.0.1"])
def test_a_program_of_this_host_may(host: str) -> None:
    assert status(LOOPBACK, Host=host) is None


@pytest.mark.parametrize(
    "host", ["evil.example:9901", "127.0.0.1.evil.example", "", "[::1", "localhost.evil.example"]
)
def test_a_name_that_somebody_has_made_to_stand_for_our_address_may_not(host: str) -> None:
    assert status(LOOPBACK, Host=host) == 403
    assert status(LOOPBACK, Host=host, public=True) == 403


def test_the_configured_name_is_ours() -> None:
    assert status(access(address="localhost:9901"), Host="localhost:9901") is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8000"},
        {"Origin": "http://["},
        {"Origin": "127.0.0.1:9901"},
        {"Origin": ""},
        {"Origin": "file://", "Host": ""},
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(headers: dict[str, Any]) -> None:
    for rules in (LOOPBACK, GUARDED, SOCKET):
        assert status(rules, "POST", Authorization="Bearer open sesame", **headers) == 403


def test_a_page_of_our_own_may_ask() -> None:
    assert status(LOOPBACK, "POST", Origin="http://127.0.0.1:9901") is None
    assert status(LOOPBACK, "POST") is None  # curl


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer open", "Basic open sesame", "open sesame", "Bearer open sesame2"]
)
def test_without_the_token_only_the_health_pages_answer(authorization: str) -> None:
    assert status(GUARDED, Authorization=authorization) == 401
    assert status(GUARDED, Authorization=authorization, public=True) is None


def test_with_the_token_all_do_by_any_name() -> None:
    assert status(GUARDED, Authorization="Bearer open sesame", Host="weir.internal:9901") is None
    assert status(GUARDED, "POST", Authorization="bearer open sesame") is None


def test_who_may_write_to_a_socket_may_ask_by_any_name() -> None:
    assert status(SOCKET, Host="whatever") is None


@pytest.mark.parametrize(
    ("admin", "message"),
    [
        ("0.0.0.0:9901", "can be reached by others than this host: it needs a token, or tls with client_ca"),
        ("[::]:9901", "can be reached by others"),
        ("weir.internal:9901", "can be reached by others"),
        ({"address": "0.0.0.0:9901", "tls": {"certificate": "own.pem"}}, "can be reached by others"),
        ({"address": "127.0.0.1:1", "unix": "a"}, "expected exactly one of address, unix"),
        ({"address": "127.0.0.1:1", "token": ""}, "expected at least one visible ASCII character"),
        ({"address": "127.0.0.1:1", "token": "two\nlines"}, "expected at least one visible ASCII character"),
        ({"address": "127.0.0.1:1", "token": " open"}, "expected at least one visible ASCII character"),
        ({"address": "127.0.0.1:1", "token": "schlüssel"}, "expected at least one visible ASCII character"),
        ({"address": "127.0.0.1:1", "mode": "0600"}, "mode is for a Unix socket"),
    ],
)
def test_what_others_can_reach_is_guarded_or_an_error(admin: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        loads(configuration("http://127.0.0.1:1", admin=admin), "gateway.yaml", registry=Registry())


def test_files_that_are_no_good_are_told_at_their_option() -> None:
    admin = {"address": "127.0.0.1:1", "tls": {"certificate": "absent.pem"}}
    loaded = loads(configuration("http://127.0.0.1:1", admin=admin), "gateway.yaml", registry=Registry())
    with pytest.raises(ConfigurationError) as caught:
        load_access(loaded)
    (problem,) = caught.value.problems
    assert problem.key == "admin.tls.certificate"


def test_certificates_guard_as_well(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.issue()
    tls = {**own.options, "client_ca": own.options["certificate"]}
    text = configuration("http://127.0.0.1:1", admin={"address": "0.0.0.0:1", "tls": tls})
    loaded = loads(text, "gateway.yaml", registry=Registry(), directory=tmp_path)
    made = load_access(loaded)
    assert made is not None
    assert made.credentials is not None
    assert status(made, Host="weir.internal") is None


def test_one_token_is_of_operators_and_the_other_of_who_may_look_only() -> None:
    rules = access(address="0.0.0.0:9901", token="open sesame", viewer_token="look here")

    def role(token: str | None, *, public: bool = False) -> str | int:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        found = rules.role("GET", {"Host": "gateway.example", **headers}, public=public)
        return found.status if isinstance(found, Refused) else found

    assert role("open sesame") == OPERATOR
    assert role("look here") == VIEWER
    assert [role("open look"), role(""), role(None)] == [401, 401, 401]
    assert role(None, public=True) == VIEWER
    assert LOOPBACK.role("GET", {"Host": "localhost"}, public=False) == OPERATOR


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"viewer_token": "look here"}, "viewer_token needs a token beside it"),
        ({"token": "same", "viewer_token": "same"}, "viewer_token and token are the same"),
        ({"token": "one", "viewer_token": "two\n"}, "expected at least one visible ASCII character"),
    ],
)
def test_a_second_token_that_means_nothing_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        access(address="127.0.0.1:9901", **options)
