"""What a service hears, and what its answers mean."""

from typing import Any

import pytest

from filters.external_auth.convention import No, Trouble, Yes, carried, reader, spoken
from filters.external_auth.option import ExternalAuthConfig
from gateway.api import Fault, HttpAnswer, Principal, Response
from gateway.api.testing import exchange

PRINCIPAL = {"user_id": "X-Id", "roles": "X-Roles"}


def read(status: int, headers: dict[str, str] | None = None, body: bytes = b"", **options: Any) -> Yes | No:
    config = ExternalAuthConfig.model_validate({"url": "http://auth/", **options})
    return reader(config)(HttpAnswer(status, headers or {}, body))


def test_nginx_s_words() -> None:
    asked = exchange("POST", "/v2/a%20b?x=1&y=\xff")
    assert spoken(asked, "nginx") == [
        ("X-Original-Method", "POST"),
        ("X-Original-URI", "/v2/a%20b?x=1&y=%FF"),
    ]


def test_traefik_s_words() -> None:
    asked = exchange(
        "GET", "/a?b", scheme="https", host="api.test:8443", peer="10.0.0.1", client="203.0.113.9"
    )
    assert spoken(asked, "traefik") == [
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "api.test:8443"),
        ("X-Forwarded-Uri", "/a?b"),
        ("X-Forwarded-For", "203.0.113.9"),
    ]


def test_every_line_of_a_listed_field_is_carried_as_text() -> None:
    asked = exchange(headers=[("cookie", "a=1"), ("Accept", "*/*"), ("Cookie", "b=\xc3\xa9")])
    assert carried(asked, [("Cookie", b"cookie")]) == [("Cookie", "a=1"), ("Cookie", "b=é")]
    assert carried(exchange(headers={"Cookie": "\xff"}), [("Cookie", b"cookie")]) is None


@pytest.mark.parametrize("convention", ["nginx", "traefik"])
@pytest.mark.parametrize("status", [200, 204, 299])
def test_2xx_is_a_yes(convention: str, status: int) -> None:
    answer = read(
        status, {"x-user": "ann", "x-other": "x"}, convention=convention, response_headers=["X-User"]
    )
    assert isinstance(answer, Yes)
    assert list(answer.fields) == [(b"X-User", b"ann")]


def test_nginx_s_no_is_401_or_403_with_nothing_of_its_body() -> None:
    told = {"www-authenticate": 'Basic realm="a"', "set-cookie": "a=b", "x-secret": "s"}
    answer = read(401, told, b"body")
    assert isinstance(answer, No)
    verdict = answer.verdict()
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason) == (401, "external_auth_denied")
    assert verdict.headers == (("WWW-Authenticate", 'Basic realm="a"'),)
    answer = read(403, told)
    assert isinstance(answer, No) and answer.headers == ()


@pytest.mark.parametrize(
    ("status", "counts", "lenient"),
    [
        (302, False, False),
        (400, False, False),
        (404, False, False),
        (431, False, False),
        (500, True, False),
        (503, True, False),
    ],
)
def test_all_else_is_trouble_of_which_a_request_may_have_brought_about_some(
    status: int, counts: bool, lenient: bool
) -> None:
    with pytest.raises(Trouble, match=f"it answered {status}") as trouble:
        read(status)
    assert (trouble.value.counts, trouble.value.lenient) == (counts, lenient)


@pytest.mark.parametrize("status", [302, 401, 403, 404, 429, 500])
def test_traefik_s_no_goes_to_the_client_without_what_is_of_the_connection(status: int) -> None:
    told = {
        "location": "https://login.test/",
        "content-type": "text/html",
        "www-authenticate": "Bearer",
        "set-cookie": "session=1",
        "connection": "close, X-Hop",
        "x-hop": "1",
        "keep-alive": "timeout=5",
        "transfer-encoding": "chunked",
        "content-length": "4",
        "server": "auth/1.0",
    }
    answer = read(status, told, b"<b>!", convention="traefik")
    assert isinstance(answer, No)
    verdict = answer.verdict()
    assert isinstance(verdict, Response)
    assert (verdict.status, verdict.body.complete, verdict.reason) == (
        status,
        b"<b>!",
        "external_auth_denied",
    )
    assert [name for name, _ in verdict.headers] == [b"location", b"content-type", b"www-authenticate"]
    assert answer.verdict() is not verdict
    answer = read(status, told, convention="traefik", relay_headers=["Set-Cookie"])
    assert isinstance(answer, No)
    assert ("set-cookie", b"session=1") in answer.headers


def test_a_status_that_is_none_is_trouble() -> None:
    with pytest.raises(Trouble):
        read(700, convention="traefik")


def test_a_yes_may_say_who_is_calling() -> None:
    names = {"user_id": "X-Id", "user_name": "X-Name", "project_id": "X-Project", "roles": "X-Roles"}
    answer = read(
        200, {"x-id": "u1", "x-name": "José", "x-project": "p1", "x-roles": "a, b,,"}, principal=names
    )
    assert isinstance(answer, Yes)
    assert answer.principal == Principal(
        user_id="u1", user_name="José", project_id="p1", roles=("a", "b"), provider="external_auth"
    )
    nobody = read(200, {"x-roles": "admin"}, principal=names)
    assert isinstance(nobody, Yes) and nobody.principal is None


def test_all_lines_of_a_field_of_a_yes_count() -> None:
    config = ExternalAuthConfig.model_validate(
        {"url": "http://auth/", "response_headers": ["X-Roles"], "principal": PRINCIPAL}
    )
    told = HttpAnswer(200, {"x-id": "u1", "x-roles": "a, b"}, b"", (("x-roles", "c"),))
    answer = reader(config)(told)
    assert isinstance(answer, Yes)
    assert list(answer.fields) == [(b"X-Roles", b"a, b"), (b"X-Roles", b"c")]
    assert answer.principal == Principal(user_id="u1", roles=("a", "b", "c"), provider="external_auth")
    with pytest.raises(Trouble) as trouble:
        reader(config)(HttpAnswer(200, {"x-id": "u1"}, b"", (("x-id", "u2"),)))
    assert not trouble.value.lenient


@pytest.mark.parametrize("value", ["a\x7fb", "a\udcff"])
def test_text_that_cannot_be_a_name_is_trouble_and_lets_nobody_pass(value: str) -> None:
    with pytest.raises(Trouble) as trouble:
        read(200, {"x-id": value}, principal={"user_id": "X-Id"})
    assert not trouble.value.lenient


def test_bytes_of_a_field_reach_the_upstream_as_they_came() -> None:
    answer = read(200, {"x-city": "Orl\udce9ans"}, response_headers=["X-City"])
    assert isinstance(answer, Yes)
    assert list(answer.fields) == [(b"X-City", b"Orl\xe9ans")]


@pytest.mark.parametrize("name", ["X-User-Id", "X_Project-Id", "X-Roles", "X-PP-User", "Authorization"])
def test_who_is_calling_is_told_in_text_alone(name: str) -> None:
    good = read(200, {name.lower(): "Jos\u00e9"}, response_headers=[name])
    assert isinstance(good, Yes) and list(good.fields) == [(name.encode(), b"Jos\xc3\xa9")]
    with pytest.raises(Trouble) as trouble:
        read(200, {name.lower(): "Jos\udce9"}, response_headers=[name])
    assert not trouble.value.lenient and not trouble.value.counts


@pytest.mark.parametrize(
    ("name", "many"),
    [
        ("X-User-Id", False),
        ("x_user-id", False),
        ("X-Project-Name", False),
        ("X-Impersonator-Id", False),
        ("Authorization", False),
        ("X-Service-Token", False),
        ("X-Roles", True),
        ("X_Role", True),
        ("X-Service-Roles", True),
        ("X-PP-User", True),
        ("X-PP-Groups", True),
        ("X-Authenticated-By", True),
        ("X-Group", True),
    ],
)
def test_of_what_says_who_is_calling_there_is_one_line_unless_it_is_a_list(name: str, many: bool) -> None:
    config = ExternalAuthConfig.model_validate({"url": "http://auth/", "response_headers": [name]})
    told = HttpAnswer(200, {name.lower(): "a"}, b"", ((name.lower(), "b"),))
    if many:
        answer = reader(config)(told)
        assert isinstance(answer, Yes)
        assert list(answer.fields) == [(name.encode(), b"a"), (name.encode(), b"b")]
        return
    with pytest.raises(Trouble) as trouble:
        reader(config)(told)
    assert not trouble.value.lenient and not trouble.value.counts
