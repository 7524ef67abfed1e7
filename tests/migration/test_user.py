"""Who is calling without a token."""

from pathlib import Path

import pytest

from gateway.migration.repose import Migration
from gateway.trial.identity import identity_of
from tests.migration.installed import KEYSTONE, moved, moved_filter, notes, outcome, part

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


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("X-PP-User", "`sources: [ { repose: { trusted_peers: [...] } } ]` of `principal`"),
        ("x-user-id", "is set by the gateway, and stripped"),
    ],
)
def test_a_field_that_only_the_gateway_may_set_is_no_source(tmp_path: Path, name: str, said: str) -> None:
    text = f"<header-user><source-headers><header id='{name}'/></source-headers></header-user>"
    made = moved_filter(tmp_path, "header-user", text)
    assert part(made, "header-user").outcome == "not moved"
    assert said in notes(made, "header-user")


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


LOW_KEYSTONE_HIGH = '<filter name="ip-user"/><filter name="%s" %s/><filter name="uri-user"/>'
ANN = identity_of({"user": "ann", "user_name": "ann", "project": "t1", "roles": ["member"]})


@pytest.mark.parametrize(
    ("name", "attributes", "config"),
    [
        (
            "keystone-v2",
            "",
            KEYSTONE.replace(
                "</keystone", "<white-list><uri-regex>/users/.*</uri-regex></white-list></keystone"
            ),
        ),
        (
            "client-auth",
            "",
            '<client-auth><openstack-auth tenanted="false"><identity-service uri="http://identity.example.com"/>'
            '</openstack-auth><white-list><uri-pattern uri-regex="/users/.*"/></white-list></client-auth>',
        ),
        ("keystone-v2", 'uri-regex="/v1/.*"', KEYSTONE),
        ("keystone-v2", "", KEYSTONE.replace("</keystone", "<delegating/></keystone")),
    ],
)
async def test_the_greatest_quality_wins_where_a_token_is_not_always_asked_for(
    tmp_path: Path, name: str, attributes: str, config: str
) -> None:
    file = "client-auth-n" if name == "client-auth" else name
    made = moved(
        tmp_path,
        LOW_KEYSTONE_HIGH % (name, attributes),
        ip_user=IP,
        uri_user=URI % "",
        **{file: config},
    )
    assert await _told(made, "/users/bob", peer="192.0.2.7") == (["bob;q=0.5"], ["User_Standard;q=0.5"])
    users, _ = await _told(
        made, "/v1/users/bob", peer="192.0.2.7", identity=ANN, headers=(("X-Auth-Token", "t"),)
    )
    assert users == ["ann;q=1.0"]


async def test_the_user_of_a_token_need_not_have_a_name(tmp_path: Path) -> None:
    chain = LOW_KEYSTONE_HIGH % ("keystone-v2", 'uri-regex="/v1/.*"')
    made = moved(tmp_path, chain, ip_user=IP, uri_user=URI % "", keystone_v2=KEYSTONE)
    got = await outcome(
        made, "GET", "/v1/users/bob", identity=identity_of({"user": "ann"}), headers=(("X-Auth-Token", "t"),)
    )
    assert got.forwarded is not None
    assert dict(got.forwarded.headers)["X-User-Id"] == "ann"


async def test_whom_a_missing_token_makes_forgotten_is_told(tmp_path: Path) -> None:
    delegating = KEYSTONE.replace("</keystone", "<delegating/></keystone")
    chain = '<filter name="ip-user"/><filter name="keystone-v2"/><filter name="rate-limiting"/>'
    limits = (
        '<rate-limiting><limit-group id="g" default="true">'
        '<limit uri="*" uri-regex=".*" http-methods="ALL" unit="DAY" value="9"/></limit-group></rate-limiting>'
    )
    made = moved(tmp_path, chain, ip_user=IP, keystone_v2=delegating, rate_limiting=limits)
    assert "is forgotten where the token is missing" in notes(made, "keystone-v2")
    assert (await outcome(made, peer="192.0.2.7")).status == 401


def test_a_token_that_is_always_asked_for_needs_no_condition(tmp_path: Path) -> None:
    made = moved(
        tmp_path, LOW_KEYSTONE_HIGH % ("keystone-v2", ""), ip_user=IP, uri_user=URI % "", keystone_v2=KEYSTONE
    )
    assert "override" not in made.text


async def test_a_field_is_believed_from_trusted_peers_only_also_where_a_token_is_known(
    tmp_path: Path,
) -> None:
    made = moved(
        tmp_path,
        '<filter name="ip-user"/><filter name="keystone-v2" uri-regex="/v1/.*"/><filter name="header-user"/>',
        ip_user=IP,
        keystone_v2=KEYSTONE,
        header_user="<header-user><source-headers><header id='X-A' quality='0.7'/></source-headers></header-user>",
    )
    sent = (("X-A", "bob"), ("X-Auth-Token", "t"))
    for peer, target, user, forwarded in (
        ("127.0.0.1", "/v1/x", "ann;q=1.0", True),
        ("203.0.113.7", "/v1/x", "ann;q=1.0", False),
        ("127.0.0.1", "/", "bob;q=0.7", True),
        ("203.0.113.7", "/", "203.0.113.7;q=0.4", False),
    ):
        got = await outcome(made, "GET", target, peer=peer, identity=ANN, headers=sent)
        assert got.forwarded is not None
        fields = dict(got.forwarded.headers)
        assert (fields["X-PP-User"], "X-A" in fields) == (user, forwarded)


def test_a_quality_between_those_of_two_fields_is_told(tmp_path: Path) -> None:
    text = "<header-user><source-headers><header id='X-A' quality='0.7'/><header id='X-B'/></source-headers></header-user>"
    made = moved(
        tmp_path, '<filter name="ip-user"/><filter name="header-user"/>', ip_user=IP, header_user=text
    )
    assert "quality is between theirs" in notes(made, "header-user")


async def test_a_user_of_an_expression_that_cannot_be_said_is_not_nobody(tmp_path: Path) -> None:
    made = moved_filter(
        tmp_path,
        "uri-user",
        '<uri-user><identification-mappings><mapping id="a" identification-regex="/u/([^/]+)/.*"/>'
        '<mapping id="b" identification-regex="(a+)+b"/></identification-mappings></uri-user>',
    )
    assert (await outcome(made, target="/u/ann/x")).status == 503
    assert part(made, "uri-user").outcome == "not moved"


async def test_a_user_that_is_written_before_one_is_found_is_told(tmp_path: Path) -> None:
    adds = "<a><request><header name='%s'>extra</header></request></a>"
    address = "<ip-user><group name='g'><cidr-ip>192.0.2.0/24</cidr-ip></group></ip-user>"
    for name, told in (("X-PP-Groups", True), ("X-Region", False)):
        made = moved(
            tmp_path,
            '<filter name="add-header"/><filter name="ip-user"/>',
            add_header=adds % name,
            ip_user=address,
        )
        got = await outcome(made)
        sent = [value for key, value in got.forwarded.headers if key == name] if got.forwarded else []
        assert ("extra" in ",".join(sent)) is not told
        assert ("where Repose adds to it" in notes(made, "ip-user")) is told
