"""The filter, by itself."""

from typing import Any

import pytest

from filters.external_auth import ExternalAuth
from gateway.api import Exchange, Fault, HttpAnswer, HttpError, Principal, Response
from gateway.api.testing import Answering, FrozenServices, build, exchange, judge

URL = "http://auth.test/verify"


def guard(answer: Answering, **options: Any) -> tuple[ExternalAuth, FrozenServices]:
    services = FrozenServices(answer=answer)
    return build(ExternalAuth, {"url": URL, **options}, services), services


def says(status: int, **headers: str) -> Answering:
    return lambda request: HttpAnswer(
        status, {name.replace("_", "-"): text for name, text in headers.items()}, b""
    )


def names(asked: Exchange) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in asked.request.headers]


def test_only_the_listed_fields_and_the_request_line_go_to_the_service() -> None:
    filter, services = guard(says(204))
    headers = {"Authorization": "Bearer t", "X-Other": "1", "Host": "api.test"}
    asked = exchange("PUT", "/a?b=c", headers=headers, body=b"secret")
    assert judge(filter, asked) is None
    (request,) = services.requests
    assert (request.method, request.url, request.body) == ("GET", URL, b"")
    assert request.headers == {
        "x-original-method": "PUT",
        "x-original-uri": "/a?b=c",
        "authorization": "Bearer t",
    }
    assert [(note.reason, note.rule) for note in asked.notes] == [("external_auth_allowed", ("url",))]
    assert filter.secrets == {b"authorization", b"cookie", b"x-auth-token"}


def test_fields_of_a_yes_take_the_place_of_the_clients_own() -> None:
    options = {"request_headers": ["Authorization"], "response_headers": ["X-User-Id", "Authorization"]}
    filter, _ = guard(says(200, x_user_id="u1", authorization="Basic inner"), **options)
    assert {b"x-user-id", b"x_user_id", b"x-user_id", b"x_user-id"} <= filter.owns
    assert b"authorization" not in filter.owns
    asked = exchange(headers={"Authorization": "Bearer outer", "Accept": "*/*"})
    assert judge(filter, asked) is None
    assert names(asked) == [("Accept", "*/*"), ("X-User-Id", "u1"), ("Authorization", "Basic inner")]
    filter, _ = guard(says(200), **options)
    asked = exchange(headers={"Authorization": "Bearer outer"})
    assert judge(filter, asked) is None
    assert names(asked) == []


def test_fields_of_a_yes_take_the_place_of_what_an_earlier_filter_has_set() -> None:
    filter, _ = guard(says(200, x_user_id="theirs"), response_headers=["X-User-Id", "X-Group"])
    asked = exchange(headers={"X-User-Id": "earlier", "X-Group": "earlier", "X-Roles": "member"})
    assert judge(filter, asked) is None
    assert names(asked) == [("X-Roles", "member"), ("X-User-Id", "theirs")]
    options = {"request_headers": ["X-Key"], "response_headers": ["X-User-Id", "X-Key"], "on_error": "allow"}
    filter, _ = guard(lambda _: HttpError("connect"), **options)
    asked = exchange(headers={"X-User-Id": "earlier", "X-Key": "client"})
    assert judge(filter, asked) is None
    assert names(asked) == [("X-User-Id", "earlier")]  # nobody has said anything in its place


@pytest.mark.parametrize(
    "options", [{"response_headers": ["X-User-Id"]}, {"principal": {"user_name": "X-Remote-User"}}]
)
def test_who_says_who_is_calling_has_all_that_a_client_says_of_it_taken_away(options: dict[str, Any]) -> None:
    filter, _ = guard(says(200), **options)
    assert {b"x-roles", b"x_roles", b"x-project_id", b"x-pp-user"} <= filter.owns
    filter, _ = guard(says(200), response_headers=["X-Group"])
    assert b"x-roles" not in filter.owns  # an upstream may have it from elsewhere
    filter, _ = guard(says(200), request_headers=["X-Roles"], **options)
    assert b"x-roles" not in filter.owns and b"x_roles" in filter.owns  # the service judges it


WHO = {"user_name": "Remote-User", "roles": "Remote-Groups"}


def test_what_the_principal_is_read_from_is_the_service_s_to_say() -> None:
    filter, _ = guard(says(200), principal=WHO)
    assert {b"remote-user", b"remote_user", b"remote-groups", b"remote_groups"} <= filter.owns
    filter, _ = guard(says(200), principal=WHO, request_headers=["Remote-User", "X-Roles"])
    assert b"remote-user" not in filter.owns and b"remote_user" in filter.owns
    client = {"Remote-User": "root", "X-Roles": "member"}
    asked = exchange(headers=client)
    assert judge(filter, asked) is None
    assert names(asked) == [("X-Roles", "member")]  # the service has judged it
    options = {"principal": WHO, "request_headers": ["Remote-User", "X-Roles"], "on_error": "allow"}
    filter, _ = guard(lambda _: HttpError("connect"), **options)
    asked = exchange(headers=client)
    assert judge(filter, asked) is None
    assert names(asked) == []
    asked = exchange(headers=client)
    asked.principal = Principal(user_id="earlier")  # whose filter has set what there is
    assert judge(filter, asked) is None
    assert names(asked) == [("X-Roles", "member")]


def test_gateway_and_upstream_hold_one_identity() -> None:
    """Whoever was known before, or marked as nobody, gives way with all that told of him."""
    set_before = {
        "X-Identity-Status": "Confirmed",
        "X-User-Id": "u1",
        "X-Roles": "admin",
        "Remote-User": "u1",
        "Accept": "*/*",
    }
    filter, _ = guard(says(200, remote_user="ann"), principal=WHO, response_headers=["X-User-Name"])
    for earlier in (Principal(user_id="u1", roles=("admin",)), None):
        asked = exchange(headers=set_before)
        asked.principal = earlier
        assert judge(filter, asked) is None
        assert asked.principal is not None and asked.principal.user_name == "ann"
        assert names(asked) == [("Accept", "*/*")]
    filter, _ = guard(says(200, remote_user="ann"), principal=WHO, response_headers=["Remote-User"])
    asked = exchange(headers=set_before)
    assert judge(filter, asked) is None
    assert names(asked) == [("Accept", "*/*"), ("Remote-User", "ann")]
    filter, _ = guard(says(200), principal=WHO)  # a yes that names nobody leaves both as they are
    asked = exchange(headers=set_before)
    asked.principal = Principal(user_id="u1")
    assert judge(filter, asked) is None
    assert asked.principal == Principal(user_id="u1")
    assert dict(names(asked)) == set_before


def test_a_credential_has_one_spelling() -> None:
    filter, _ = guard(says(200), request_headers=["X-Auth-Token", "X_Key"])
    assert {b"x_auth_token", b"x-auth_token", b"x-key"} <= filter.owns
    assert filter.owns.isdisjoint({b"x-auth-token", b"x_key"})


@pytest.mark.parametrize(
    ("asked", "judges"), [(["X-Service-Token"], {b"x-service-token"}), (["X-Auth-Token"], set())]
)
def test_a_service_token_that_it_is_asked_about_is_left_to_it(asked: list[str], judges: set[bytes]) -> None:
    filter, _ = guard(says(200), request_headers=asked)
    assert filter.judges == judges
    assert (b"x-service-token" in filter.owns) == bool(judges), "on other routes nobody judges it"


@pytest.mark.parametrize(
    ("answer", "options", "unjudged"),
    [
        (says(200), {}, False),
        (lambda _: HttpError("connect"), {"on_error": "allow"}, True),
        (lambda _: HttpError("timeout"), {"on_error": "allow"}, True),
        (says(200), {"cache": {}}, False),
        (says(200), {"cache": {"headers": ["x-service-token"]}}, False),
        (says(200), {"cache": {"headers": ["Authorization"]}}, True),
    ],
)
def test_it_says_where_nobody_has_judged_a_service_token(
    answer: Answering, options: dict[str, Any], unjudged: bool
) -> None:
    filter, _ = guard(answer, request_headers=["Authorization", "X-Service-Token"], **options)
    for _ in range(2):
        asked = exchange(headers={"Authorization": "a", "X-Service-Token": "s"})
        assert judge(filter, asked) is None
        assert asked.unjudged == ((filter,) if unjudged else ())


def test_a_no_is_answered_and_nothing_is_changed() -> None:
    filter, _ = guard(says(401, www_authenticate="Bearer"), response_headers=["Authorization"])
    verdict = judge(filter, exchange(headers={"Authorization": "x"}))
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.headers) == (401, (("WWW-Authenticate", "Bearer"),))
    filter, _ = guard(says(302, location="https://login.test/"), convention="traefik")
    relayed = judge(filter, exchange())
    assert isinstance(relayed, Response)
    assert (relayed.status, relayed.headers.get("location")) == (302, "https://login.test/")


def test_what_is_remembered_depends_on_all_that_was_sent() -> None:
    filter, services = guard(says(200), cache={})
    plain = {"headers": {"Authorization": "t1"}, "client": "192.0.2.9"}

    def asks(method: str = "GET", target: str = "/a", **over: Any) -> int:
        before = len(services.requests)
        assert judge(filter, exchange(method, target, **{**plain, **over})) is None
        return len(services.requests) - before

    assert (asks(), asks()) == (1, 0)
    assert asks(headers={"Authorization": "t2"}) == 1
    assert asks(headers={"Authorization": "t1", "Cookie": "a"}) == 1
    assert asks(headers=[("Authorization", "t1"), ("Cookie", "a"), ("Cookie", "b")]) == 1
    assert asks("POST") == 1
    assert asks(target="/b") == 1
    assert asks(host="other.test") == 1
    assert asks(scheme="https") == 1
    assert asks(client="192.0.2.8") == 1
    assert asks(headers={"Authorization": "t1", "X-Other": "1"}) == 0


@pytest.mark.parametrize("name", ["Authorization", "X-Auth-Token"])
def test_a_credential_that_comes_twice_is_nobodys(name: str) -> None:
    filter, services = guard(says(200), request_headers=["Cookie", name])
    verdict = judge(filter, exchange(headers=[(name, "good"), (name, "evil")]))
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason) == (400, "credential_unreadable")
    assert services.requests == []


def test_a_service_may_go_by_credentials_alone() -> None:
    filter, services = guard(says(200), cache={"headers": ["authorization"], "by_request": False})
    for target, cookie in (("/a", "x"), ("/b", "y")):
        asked = exchange("GET", target, headers={"Authorization": "t", "Cookie": cookie})
        assert judge(filter, asked) is None
    assert len(services.requests) == 1
    judge(filter, exchange(headers={"Authorization": "u"}))
    assert len(services.requests) == 2
    assert asked.notes[0].facts == {"cached": True}


FAILURES = [
    (lambda request: HttpError("connect"), True),
    (lambda request: HttpError("timeout"), True),
    (says(500), False),
    (says(404), False),
    (says(302), False),
    (lambda request: HttpError("busy"), False),
]


@pytest.mark.parametrize(("answer", "lenient"), FAILURES)
def test_what_is_not_judged_is_answered_503_or_passed_where_that_is_said(
    answer: Answering, lenient: bool
) -> None:
    filter, _ = guard(answer)
    verdict = judge(filter, exchange())
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason, verdict.rule) == (503, "external_auth_unavailable", ("on_error",))
    assert verdict.retry_after is not None and verdict.retry_after >= 1
    options = {"on_error": "allow", "response_headers": ["Authorization"]}
    filter, _ = guard(answer, **options)
    asked = exchange(headers={"Authorization": "t"})
    verdict = judge(filter, asked)
    if lenient:
        assert verdict is None
        assert names(asked) == []
        assert [(note.reason, note.rule) for note in asked.notes] == [
            ("external_auth_unavailable", ("on_error",))
        ]
    else:
        assert isinstance(verdict, Fault) and verdict.status == 503


def test_who_is_calling_is_known_by_a_yes_and_bytes_that_are_no_text_by_nobody() -> None:
    filter, services = guard(
        says(200, x_id="u1", x_roles="a,b"), principal={"user_id": "X-Id", "roles": "X-Roles"}
    )
    asked = exchange()
    assert judge(filter, asked) is None
    assert asked.principal is not None
    assert (asked.principal.user_id, asked.principal.roles) == ("u1", ("a", "b"))
    verdict = judge(filter, exchange(headers={"Cookie": "\xff"}))
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason) == (400, "credential_unreadable")
    assert len(services.requests) == 1


@pytest.mark.parametrize("options", [{}, {"cache": {"headers": ["Authorization"]}}])
def test_credentials_that_the_service_fails_for_keep_nobody_else_out(options: dict[str, Any]) -> None:
    filter, services = guard(
        lambda request: HttpAnswer(500 if request.headers.get("authorization") == "bad" else 204, {}, b""),
        breaker={"failures": 2},
        **options,
    )

    def status(number: int, *headers: tuple[str, str], client: str = "192.0.2.1") -> int | None:
        verdict = judge(filter, exchange(target=f"/{number}", headers=headers, client=client))
        return verdict.status if isinstance(verdict, Fault) else None

    assert [status(number, ("Authorization", "bad")) for number in range(9)] == [503] * 9
    assert len(services.requests) == 2, "whatever it asks for"
    assert status(0, ("Authorization", "good")) is None
    assert status(0) is None
    services.answer = says(500)
    for _ in range(3):
        status(1, client="192.0.2.1")
    services.answer = says(204)
    assert [status(1, client=client) for client in ("192.0.2.1", "192.0.2.2")] == [503, None]


def test_no_credential_is_in_what_is_logged() -> None:
    filter, services = guard(lambda request: HttpError("connect", "refused"))
    judge(filter, exchange(headers={"Authorization": "Bearer s3cret", "Cookie": "s3cret"}))
    assert "s3cret" not in repr(services.warnings)


@pytest.mark.parametrize(("options", "challenge"), [({}, "Keystone"), ({"challenge": "Bearer"}, "Bearer")])
def test_a_401_says_how_to_become_known_also_where_the_service_does_not(
    options: dict[str, str], challenge: str
) -> None:
    """RFC 9110 section 15.5.2."""
    filter, _ = guard(says(401), **options)
    verdict = judge(filter, exchange())
    assert isinstance(verdict, Fault) and verdict.headers == (("WWW-Authenticate", challenge),)
