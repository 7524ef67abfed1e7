"""Principals without tokens."""

from typing import Any

import pytest
from pydantic import ValidationError

from filters._profile import profile
from filters._repose import ReposeOptions
from filters.principal import PrincipalConfig, PrincipalFilter
from gateway.api import Exchange, Fault, Principal
from gateway.api.testing import build, exchange, judge
from tests.support.client import get
from tests.support.gateway import proxy
from tests.support.upstream import Upstream, echo

OFFICE = {"ip": {"groups": [{"name": "office", "networks": ["10.0.0.0/8"], "roles": ["member"]}]}}
HEADER = {"header": {"name": "X-Remote-User", "trusted_peers": ["192.0.2.0/24"], "roles": ["reader"]}}
PATH = {"path": {"regex": "/v2/([^/]+)/.*"}}


def after(asked: Exchange, *sources: dict[str, Any], **options: Any) -> Exchange:
    assert judge(build(PrincipalFilter, {"sources": list(sources), **options}), asked) is None
    return asked


def lines(asked: Exchange) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in asked.request.headers]


def test_the_client_s_address_is_the_user_and_its_network_the_group() -> None:
    asked = after(exchange(client="10.1.2.3", peer="192.0.2.1"), OFFICE)
    assert asked.principal == Principal(
        user_id="10.1.2.3", user_name="10.1.2.3", roles=("member",), groups=("office",), provider="ip-user"
    )
    (note,) = asked.notes
    assert (note.reason, note.rule) == ("principal_found", ("sources", 0, "ip", "groups", 0))
    assert lines(asked) == []


def test_the_first_group_with_the_address_is_taken_and_others_only_where_asked_for() -> None:
    groups = [{"name": "lab", "networks": ["10.9.0.0/16"]}, *OFFICE["ip"]["groups"]]
    asked = after(exchange(client="10.9.0.1"), {"ip": {"groups": groups}})
    assert asked.principal is not None and asked.principal.groups == ("lab",)
    assert after(exchange(client="203.0.113.5"), OFFICE).principal is None
    asked = after(exchange(client="203.0.113.5"), {"ip": {"others": True}})
    assert asked.principal is not None and (asked.principal.user_id, asked.principal.groups) == (
        "203.0.113.5",
        (),
    )


def test_a_header_of_a_trusted_peer_is_the_user_and_goes_no_further() -> None:
    asked = after(exchange(headers={"x-remote-user": " Jos\xc3\xa9 ", "Accept": "*/*"}), HEADER)
    assert asked.principal is not None
    assert (asked.principal.user_id, asked.principal.groups, asked.principal.roles) == (
        "José",
        ("X-Remote-User",),
        ("reader",),
    )
    assert lines(asked) == [("Accept", "*/*")]
    kept = {"header": {**HEADER["header"], "forward": True, "group": "sso"}}
    asked = after(exchange(headers={"X-Remote-User": "ann"}), kept)
    assert asked.principal is not None and asked.principal.groups == ("sso",)
    assert lines(asked) == [("X-Remote-User", "ann")]


@pytest.mark.parametrize("forward", [False, True])
def test_a_header_of_anybody_else_is_neither_believed_nor_passed_on(forward: bool) -> None:
    source = {"header": {**HEADER["header"], "forward": forward}}
    asked = after(exchange(peer="203.0.113.1", client="192.0.2.9", headers={"X-Remote-User": "root"}), source)
    assert asked.principal is None
    assert lines(asked) == []


def test_every_other_spelling_of_the_header_is_the_gateway_s_own() -> None:
    owns = build(PrincipalFilter, {"sources": [HEADER]}).owns
    assert {b"x_remote_user", b"x-remote_user", b"x_remote-user", b"x-user-id", b"x_roles"} <= owns
    assert b"x-remote-user" not in owns


def test_a_part_of_the_path_is_the_user() -> None:
    asked = after(exchange("GET", "/v2/a%20b/servers"), PATH)
    assert asked.principal is not None
    assert (asked.principal.user_id, asked.principal.groups) == ("a b", ("User_Standard",))
    assert after(exchange("GET", "/v3/x/servers"), PATH).principal is None
    by_param = build(PrincipalFilter, {"sources": [{"path": {"param": "tenant", "group": "g"}}]})
    assert by_param.params == {"tenant": ("sources", 0, "path", "param")}
    asked = exchange("GET", "/x", params={"tenant": "t1"})
    assert judge(by_param, asked) is None
    assert asked.principal is not None and asked.principal.user_id == "t1"


def test_sources_are_asked_in_their_order() -> None:
    def found(*sources: dict[str, Any]) -> str:
        asked = exchange("GET", "/v2/t1/x", client="10.0.0.1", headers={"X-Remote-User": "ann"})
        after(asked, *sources)
        assert asked.principal is not None and asked.principal.user_id is not None
        assert asked.request.headers.get("x-remote-user") is None
        return asked.principal.user_id

    assert found(HEADER, OFFICE, PATH) == "ann"
    assert found(OFFICE, HEADER, PATH) == "10.0.0.1"
    assert found({"ip": {"groups": [{"name": "x", "networks": ["::1"]}]}}, PATH, HEADER) == "t1"


@pytest.mark.parametrize(
    ("asked", "source"),
    [
        (exchange(headers=[("X-Remote-User", "a"), ("X-Remote-User", "b")]), HEADER),
        (exchange(headers={"X-Remote-User": "\xff"}), HEADER),
        (exchange(headers={"X-Remote-User": "a\tb"}), HEADER),
        (exchange(headers={"X-Remote-User": "x" * 256}), HEADER),
        (exchange("GET", "/v2/%0D%0AX-Roles:admin/x"), PATH),
        (exchange("GET", "/v2/%ff/x"), PATH),
        (exchange("GET", "/v2/%20a/x"), PATH),
    ],
)
def test_answers_400_where_the_user_cannot_be_read(asked: Exchange, source: dict[str, Any]) -> None:
    verdict = judge(build(PrincipalFilter, {"sources": [source, {"ip": {"others": True}}]}), asked)
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason, verdict.rule[:2]) == (400, "principal_invalid", ("sources", 0))
    assert asked.principal is None


def test_a_principal_that_is_there_is_kept_unless_told_otherwise() -> None:
    known = Principal(user_id="u1", roles=("admin",))
    fields = {"X-User-Id": "u1", "X-Roles": "admin", "X-Remote-User": "ann"}
    asked = after(exchange(principal=known, headers=fields), HEADER)
    assert asked.principal is known
    assert [note.reason for note in asked.notes] == ["principal_kept"]
    assert lines(asked) == [("X-User-Id", "u1"), ("X-Roles", "admin")]
    asked = after(exchange(principal=known, headers=fields), HEADER, override=True)
    assert asked.principal is not None and asked.principal.user_id == "ann"
    assert lines(asked) == []
    asked = after(exchange(principal=known, headers={"X-User-Id": "u1"}), HEADER, override=True)
    assert asked.principal is known
    assert lines(asked) == [("X-User-Id", "u1")]


def test_upstreams_that_were_behind_repose_hear_of_the_user_with_its_quality() -> None:
    asked = after(exchange(client="10.1.2.3"), OFFICE, headers="repose")
    assert lines(asked) == [("X-PP-User", "10.1.2.3;q=0.4"), ("X-PP-Groups", "office;q=0.4")]
    asked = after(exchange("GET", "/v2/a;q=1,b/x"), PATH, headers="repose")
    assert lines(asked)[0] == ("X-PP-User", "a%3Bq=1%2Cb;q=0.5")


def test_openstack_s_services_hear_of_it_where_asked_for() -> None:
    asked = after(exchange(headers={"X-Remote-User": "ann"}), HEADER, headers="keystonemiddleware")
    assert asked.request.headers.get("x-user-id") == "ann"
    assert asked.request.headers.get("x-roles") == "reader"


def test_upstreams_are_told_one_thing_where_an_earlier_filter_has_told_that_nobody_is_known() -> None:
    delayed = {"X-Remote-User": "ann", "X-Identity-Status": "Invalid"}
    asked = after(exchange(headers=delayed), HEADER, headers="keystonemiddleware")
    assert asked.request.headers.all("x-identity-status") == ["Confirmed"]
    asked = after(exchange(headers=delayed), HEADER)
    assert asked.request.headers.all("x-identity-status") == ["Invalid"]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ({}, "exactly one of"),
        ({**OFFICE, **PATH}, "exactly one of"),
        ({"ip": {}}, "nobody's address"),
        ({"ip": {"groups": [{"name": "x", "networks": ["10.0.0.1/8"]}]}}, "host bits"),
        ({"header": {"name": "X-Remote-User"}}, "trusted_peers"),
        ({"header": {**HEADER["header"], "name": "X-User-Id"}}, "client's own is stripped"),
        ({"header": {**HEADER["header"], "roles": ["a,b"]}}, "comma"),
        ({"path": {}}, "one of param and regex"),
        ({"path": {"regex": "/v2/.*"}}, "needs a group"),
        ({"path": {"regex": "/(a+)+"}}, "match for ever"),
    ],
)
def test_what_knows_nobody_is_refused(source: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        PrincipalConfig.model_validate({"sources": [source]})


FRONT = {"repose": {"trusted_peers": ["192.0.2.0/24"], "roles": ["reader"]}}


def test_a_gateway_in_front_says_who_is_calling() -> None:
    told = [
        ("X-PP-User", "ann;q=1.0"),
        ("X-PP-Groups", "gold;q=0.5,lab;q=1,"),
        ("x-pp-groups", " new ; q=1.000"),
    ]
    asked = after(exchange(headers=[*told, ("Accept", "*/*")]), FRONT)
    assert asked.principal == Principal(
        user_id="ann", user_name="ann", roles=("reader",), groups=("lab", "new"), provider="repose"
    ), "of groups those of the highest quality, as Repose counts"
    assert lines(asked) == [("Accept", "*/*")]
    (note,) = asked.notes
    assert (note.reason, note.rule) == ("principal_found", ("sources", 0, "repose"))
    asked = after(exchange(headers={"X-PP-User": "Jos\xc3\xa9"}), FRONT, headers="repose")
    assert asked.principal is not None and (asked.principal.user_id, asked.principal.groups) == ("José", ())
    assert lines(asked) == [("X-PP-User", "José;q=1.0")]


def test_what_this_gateway_tells_another_of_it_takes_over() -> None:
    names = ("a,b;c%2C", ("g;q=0.1", "h,i", "50%"))
    principal = Principal(user_id="u", user_name=names[0], groups=names[1])
    written = profile("repose", ReposeOptions(), "x").fields(principal)
    kept = [(name.decode(), value.decode()) for name, value in written if name.startswith(b"X-PP")]
    asked = after(exchange(headers=kept), FRONT)
    assert asked.principal is not None
    assert (asked.principal.user_id, asked.principal.groups) == names


@pytest.mark.parametrize(
    "told",
    [
        [("X-PP-User", "root;q=1"), ("X-PP-User", "ann;q=1")],
        [("X-PP-User", "root;q=1,ann;q=0.4")],
        [("X-PP-User", "ann;q=2")],
        [("X-PP-User", "ann;role=admin")],
        [("X-PP-User", "\xff")],
        [("X-PP-User", "a" * 256)],
        [("X-PP-User", "ann"), ("X-PP-Groups", "a;b")],
        [("X-PP-User", "ann"), ("X-PP-Groups", "g" * 256)],
    ],
)
def test_a_gateway_in_front_that_cannot_be_understood_is_answered_with_400(
    told: list[tuple[str, str]],
) -> None:
    verdict = judge(build(PrincipalFilter, {"sources": [FRONT]}), exchange(headers=told))
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason, verdict.rule) == (
        400,
        "principal_invalid",
        ("sources", 0, "repose"),
    )


def test_groups_without_a_user_are_nobody() -> None:
    assert after(exchange(headers={"X-PP-Groups": "gold"}), FRONT).principal is None
    assert after(exchange(headers={"X-PP-User": " , "}), FRONT).principal is None


async def test_limits_count_whom_a_trusted_gateway_names_and_never_whom_a_client_does() -> None:
    def filters(peers: str) -> list[dict[str, Any]]:
        limit = {"rate": "1/hour", "key": ["user_id"]}
        named = {"rate": "2/hour", "key": ["header:X-PP-User"]}
        return [
            {"rate_limit": {"name": "before", "limits": [named]}},
            {
                "principal": {
                    "sources": [{"repose": {"trusted_peers": [peers]}}],
                    "headers": "repose",
                }
            },
            {
                "rate_limit": {
                    "name": "after",
                    "limits": [limit],
                    "groups": [{"name": "gold", "for": {"groups": ["gold"]}, "limits": [limit]}],
                },
            },
        ]

    ann, bob = ("X-PP-User: ann;q=1.0", "X-PP-Groups: gold;q=1.0"), ("X-PP-User: bob", "X_PP_User: root")
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, filters=filters("127.0.0.0/8")) as gateway,
    ):
        client = await gateway.connect()
        assert [(await client.ask(get("/", *who))).status for who in (ann, bob, ann)] == [200, 200, 413]
        first, second = upstream.requests
        assert (first.get("x-pp-user"), first.get("x-pp-groups")) == ("ann;q=1.0", "gold;q=1.0")
        assert (second.get("x-pp-user"), second.get("x_pp_user")) == ("bob;q=1.0", None)
        records = await gateway.records(3)
        assert [record["user.id"] for record in records] == ["ann", "bob", "ann"]
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, filters=filters("10.0.0.0/8")) as gateway,
    ):
        client = await gateway.connect()
        statuses = [(await client.ask(get("/", *who))).status for who in (ann, bob)]
        assert statuses == [200, 413], "both are one address"
        (received,) = upstream.requests
        assert (received.get("x-pp-user"), received.get("x-pp-groups")) == (None, None)
        assert (await client.ask(get("/", "X-PP-User: eve"))).status == 413
        records = await gateway.records(3)
        assert not any("user.id" in record for record in records)
        assert records[2]["gateway.filter"] == "before", "its field is gone before any filter reads it"


async def test_who_is_known_already_is_not_told_of_twice() -> None:
    front = {"repose": {"trusted_peers": ["127.0.0.1"]}}
    address = {"ip": {"others": True}}
    filters = [
        {"principal": {"sources": [address], "headers": "repose"}},
        {"principal": {"sources": [front]}},
    ]
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        for said in ("ann", "127.0.0.1;q=0.4"):
            assert (await client.ask(get("/", f"X-PP-User: {said}", "X-PP-Groups: gold"))).status == 200
        for received in upstream.requests:
            told = [value for name, value in received.head.lines if name.lower().startswith("x-pp-")]
            assert told == ["127.0.0.1;q=0.4"]


@pytest.mark.parametrize("first", [{"ip": {"others": True}}, None])
async def test_what_is_made_of_a_gateways_word_goes_no_further_than_it_would_itself(
    first: dict[str, Any] | None,
) -> None:
    front = {"repose": {"trusted_peers": ["127.0.0.1"]}}
    sources = [front] if first is None else [first, front]
    weights = {"X-PP-User": 0.3, "X-PP-Groups": 0.2}
    filters: list[dict[str, Any]] = [
        {"headers": {"request": {"quality": weights}}},
        {"principal": {"sources": sources}},
    ]
    said = ["X-PP-Groups: gold"] if first is None else ["X-PP-User: ann", "X-PP-Groups: gold"]
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/", *said))).status == 200
        (received,) = upstream.requests
        assert (received.get("x-pp-user"), received.get("x-pp-groups")) == (None, None)


async def test_through_the_gateway_a_client_cannot_say_who_it_is() -> None:
    local = {"header": {"name": "X-Remote-User", "trusted_peers": ["10.0.0.0/8"]}}
    address = {"ip": {"groups": [{"name": "local", "networks": ["127.0.0.0/8"], "roles": ["member"]}]}}
    filters = [
        {"principal": {"sources": [local, address], "headers": "repose"}},
        {"rbac": {"rows": [{"path": "/{rest*}", "roles": "member"}]}},
    ]
    async with Upstream(echo) as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        forged = ("X-Remote-User: root", "X_Remote_User: root", "X-PP-User: root", "X_PP_Groups: admin")
        assert (await client.ask(get("/", *forged))).status == 200
        (received,) = upstream.requests
        assert received.get("x-pp-user") == "127.0.0.1;q=0.4"
        names = [name.lower() for name, _ in received.head.lines]
        assert not {"x-remote-user", "x_remote_user", "x_pp_groups"}.intersection(names)
        assert names.count("x-pp-user") == 1
        record = await gateway.record()
        assert (record["user.id"], record["user.roles"]) == ("127.0.0.1", ["member"])
