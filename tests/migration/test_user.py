"""Who is calling without a token."""

from pathlib import Path

import pytest

from gateway.migration.repose import Migration
from tests.migration.installed import moved, moved_filter, notes, outcome, part

IP = '<ip-user><group name="office"><cidr-ip>192.0.2.0/24</cidr-ip></group></ip-user>'
URI = '<uri-user><identification-mappings><mapping id="m" identification-regex="/users/([^/]+)"/></identification-mappings>%s</uri-user>'


async def _told(made: Migration, target: str = "/", **options: object) -> tuple[list[str], list[str]]:
    got = await outcome(made, "GET", target, **options)
    assert got.forwarded is not None
    fields = got.forwarded.headers
    return (
        [value for name, value in fields if name.lower() == "x-pp-user"],
        [value for name, value in fields if name.lower() == "x-pp-groups"],
    )


async def test_an_address_is_the_user_and_its_network_the_group(tmp_path: Path) -> None:
    made = moved_filter(tmp_path, "ip-user", IP)
    assert await _told(made, peer="192.0.2.7") == (["192.0.2.7;q=0.4"], ["office;q=0.4"])
    assert await _told(made, peer="203.0.113.7") == (["203.0.113.7;q=0.4"], [])
    assert "trusted_proxies" in notes(made, "ip-user")


async def test_a_client_does_not_choose_its_address(tmp_path: Path) -> None:
    made = moved_filter(tmp_path, "ip-user", IP)
    spoofed = (("X-Forwarded-For", "192.0.2.7"), ("X-PP-User", "admin"))
    assert await _told(made, peer="203.0.113.7", headers=spoofed) == (["203.0.113.7;q=0.4"], [])


def test_names_of_fields_and_two_qualities_are_told(tmp_path: Path) -> None:
    text = (
        '<ip-user><user-header name="X-U" quality="0.5"/><group-header quality="0.2"/>'
        '<group name="g"><cidr-ip>192.0.2.0/24</cidr-ip></group></ip-user>'
    )
    made = moved_filter(tmp_path, "ip-user", text)
    assert "the name 'X-U'" in notes(made, "ip-user")
    assert "one quality" in notes(made, "ip-user")


async def test_everybody_has_a_group_in_repose_6(tmp_path: Path) -> None:
    text = (
        "<ip-identity><quality>0.2</quality><white-list quality='0.9'><ip-address>192.0.2.7</ip-address>"
        "</white-list></ip-identity>"
    )
    made = moved_filter(tmp_path, "ip-identity", text)
    assert await _told(made, peer="192.0.2.7") == (["192.0.2.7;q=0.2"], ["IP_Super;q=0.2"])
    assert await _told(made, peer="2001:db8::1") == (["2001:db8::1;q=0.2"], ["IP_Standard;q=0.2"])
    assert "one quality" in notes(made, "ip-identity")


async def test_the_first_field_of_a_trusted_peer_is_the_user(tmp_path: Path) -> None:
    text = "<header-user><source-headers><header id='X-A' quality='0.7'/><header id='X-B'/></source-headers></header-user>"
    made = moved_filter(tmp_path, "header-user", text)
    assert await _told(made, peer="127.0.0.1", headers=(("X-B", "bob"),)) == (["bob;q=0.1"], ["X-B;q=0.1"])
    both = (("X-B", "bob"), ("X-A", "ann"))
    assert await _told(made, peer="127.0.0.1", headers=both) == (["ann;q=0.7"], ["X-A;q=0.7"])
    assert await _told(made, peer="203.0.113.7", headers=both) == ([], [])
    assert "trusted_peers" in notes(made, "header-user")


def test_a_field_that_only_the_gateway_may_set_is_no_source(tmp_path: Path) -> None:
    text = "<header-user><source-headers><header id='X-PP-User'/></source-headers></header-user>"
    made = moved_filter(tmp_path, "header-user", text)
    assert part(made, "header-user").outcome == "not moved"
    assert "stripped" in notes(made, "header-user")


async def test_the_first_group_found_in_the_path_is_the_user(tmp_path: Path) -> None:
    made = moved_filter(tmp_path, "uri-user", URI % "<group>people</group><quality>0.6</quality>")
    assert await _told(made, "/v1/users/ann/x") == (["ann;q=0.6"], ["people;q=0.6"])
    assert await _told(made, "/v1/people/ann") == ([], [])


@pytest.mark.parametrize("expression", ["/users/.*", "(a+)+b"])
def test_an_expression_that_names_nobody_is_told(tmp_path: Path, expression: str) -> None:
    made = moved_filter(
        tmp_path,
        "uri-identity",
        (URI % "").replace("/users/([^/]+)", expression).replace("uri-user", "uri-identity"),
    )
    assert part(made, "uri-identity").outcome == "not moved"


@pytest.mark.parametrize(("quality", "user"), [("0.3", "192.0.2.7;q=0.4"), ("0.5", "ann;q=0.5")])
async def test_the_greater_quality_wins_wherever_it_stands(tmp_path: Path, quality: str, user: str) -> None:
    made = moved(
        tmp_path,
        '<filter name="ip-user"/><filter name="uri-user"/>',
        ip_user=IP,
        uri_user=URI % f"<quality>{quality}</quality>",
    )
    users, _ = await _told(made, "/users/ann", peer="192.0.2.7")
    assert users == [user]


async def test_a_user_of_an_expression_that_cannot_be_said_is_not_nobody(tmp_path: Path) -> None:
    made = moved_filter(
        tmp_path,
        "uri-user",
        '<uri-user><identification-mappings><mapping id="a" identification-regex="/u/([^/]+)/.*"/>'
        '<mapping id="b" identification-regex="(a+)+b"/></identification-mappings></uri-user>',
    )
    assert (await outcome(made, target="/u/ann/x")).status == 503
    assert part(made, "uri-user").outcome == "not moved"
