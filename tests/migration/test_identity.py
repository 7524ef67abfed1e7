"""Tokens, tenants and what is asked for none."""

import json
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final

import pytest
import yaml

from filters._identity import STRIPPED
from gateway.config.load import loads
from gateway.config.problem import ConfigurationError
from gateway.migration.identity import _told
from gateway.migration.repose import Migration, migrate
from gateway.registry import Registry
from gateway.trial.identity import identity_of
from gateway.trial.trial import Trial
from tests.migration.installed import installed, moved, moved_filter, notes, outcome, part, plan
from tests.support.upstream import Upstream, answers
from tests.trial.tried import given

SERVICE = '<identity-service uri="https://identity.example.com" username="gateway" password="hunter2"/>'
V3 = (
    '<openstack-identity-v3 %s><openstack-identity-service username="gateway" password="hunter2" domain-id="d" project-id="p" '
    'uri="http://keystone.example.com:5000"/>%s</openstack-identity-v3>'
)
ANN = identity_of(
    {"user": "ann", "user_name": "ann", "project": "t1", "roles": ["member"], "groups": ["g1", "g2"]}
)


def _v2(directory: Path, body: str, service: str = SERVICE, chain: str = "", **files: str) -> Migration:
    return moved_filter(
        directory, "keystone-v2", f"<keystone-v2>\n{service}{body}</keystone-v2>", before=chain, **files
    )


def _fields(got: object) -> dict[str, str]:
    assert got.forwarded is not None  # type: ignore[attr-defined]
    return dict(got.forwarded.headers)  # type: ignore[attr-defined]


async def test_a_token_is_asked_for(tmp_path: Path) -> None:
    made = _v2(tmp_path, "")
    got = await outcome(made)
    assert (got.status, got.filter) == (401, "keystone-v2")
    assert got.answer is not None
    assert dict(got.answer.headers)["WWW-Authenticate"] == 'Keystone uri="https://identity.example.com"'


async def test_the_upstream_is_told_as_repose_told_it(tmp_path: Path) -> None:
    fields = _fields(
        await outcome(_v2(tmp_path, ""), identity=ANN, headers=(("X-Auth-Token", "t"), ("X-Roles", "admin")))
    )
    told = {
        name: fields.get(name)
        for name in ("X-PP-User", "X-PP-Groups", "X-Roles", "X-Tenant-Id", "X-Authorization")
    }
    assert told == {
        "X-PP-User": "ann;q=1.0",
        "X-PP-Groups": "g1,g2",
        "X-Roles": "member",
        "X-Tenant-Id": "t1",
        "X-Authorization": "Proxy t1",
    }


def test_the_password_is_a_variable(tmp_path: Path) -> None:
    made = _v2(tmp_path, "")
    assert "hunter2" not in made.text + made.report.text()
    assert 'account: { user: gateway, password: "${KEYSTONE_V2_PASSWORD:-change-me}" }' in made.text
    assert "KEYSTONE_V2_PASSWORD" in notes(made, "keystone-v2")


@pytest.mark.parametrize("set_here", [{}, {"KSUSER": "u", "KSPASS": "p", "KSURL": "http://k.example.com"}])
@pytest.mark.parametrize("name", ["keystone-v2", "openstack-identity-v3"])
def test_variables_stay_variables_whether_they_are_set_here_or_not(
    tmp_path: Path, name: str, set_here: dict[str, str]
) -> None:
    service = "identity-service" if name == "keystone-v2" else "openstack-identity-service"
    text = f'<x><{service} uri="{{$ KSURL $}}" username="{{$ KSUSER $}}" password="{{$ KSPASS $}}"/></x>'
    installed(tmp_path, f'<filter name="{name}"/>', {name: text})
    made = migrate(tmp_path, environment=set_here)
    assert all(f'"${{{one}}}"' in made.text for one in ("KSUSER", "KSPASS"))
    assert "PASSWORD" not in made.text
    assert "# Variables that Repose has been given, and this needs too: KSURL, KSUSER, KSPASS\n" in made.text
    assert all(f"variable {one} " in notes(made, name) for one in ("KSURL", "KSUSER", "KSPASS"))
    assert not part(made, name).refuses
    with pytest.raises(ConfigurationError, match="KSUSER"):
        plan(made)
    assert plan(made, {"KSUSER": "u", "KSPASS": "p", "KSURL": "http://k.example.com"}).entries


def test_a_password_that_is_a_variable_in_part_is_not_written_down(tmp_path: Path) -> None:
    made = _v2(tmp_path, "", SERVICE.replace("hunter2", "hunter{$ TWO $}"))
    assert "hunter" not in made.text + made.report.text()
    assert "KEYSTONE_V2_PASSWORD; Repose has made it of TWO" in notes(made, "keystone-v2")


def test_a_token_may_ask_for_itself(tmp_path: Path) -> None:
    made = _v2(
        tmp_path,
        "",
        '<identity-service uri="http://identity.example.com/v2.0/" set-groups-in-header="false"/>',
    )
    assert 'url: "http://identity.example.com/v2.0"' in made.text
    assert "groups: false" in made.text
    assert "account" not in made.text


async def test_the_white_list_is_asked_for_no_token_and_brings_no_identity(tmp_path: Path) -> None:
    made = _v2(
        tmp_path, "<white-list><uri-regex>/v1/(a|b)</uri-regex><uri-regex>/open/.*</uri-regex></white-list>"
    )
    for target in ("/v1/a", "/v1/b", "/open/x/y"):
        fields = _fields(await outcome(made, target=target, headers=(("X-Roles", "admin"),)))
        assert "X-Roles" not in fields
    assert (await outcome(made, target="/v1/c")).status == 401
    assert (await outcome(made, target="/v1/" + "a" * 3000)).status == 401


async def test_an_expression_of_the_white_list_that_cannot_be_said_spares_nobody(tmp_path: Path) -> None:
    made = _v2(tmp_path, "<white-list><uri-regex>(a+)+b</uri-regex></white-list>")
    assert (await outcome(made, target="/x")).status == 401
    assert "(a+)+b" in notes(made, "keystone-v2")


@pytest.mark.parametrize(
    ("timeouts", "cache"),
    [
        ("<timeouts><token>120</token></timeouts>", "{ ttl: 120s }"),
        (
            '<timeouts variability="30"><token>120</token><group>1</group></timeouts>',
            "{ ttl: 1s, jitter: 100 }",
        ),
        ("<timeouts><token>120</token><group>0</group></timeouts>", "{ ttl: 120s }"),
        ("<timeouts><token>0</token><group>30</group></timeouts>", "{ ttl: 30s }"),
        ("<timeouts><token>120</token><group>-1</group></timeouts>", "{ ttl: 0s }"),
        ("<timeouts><token>0</token></timeouts>", "{ ttl: 1d }"),
        ("<timeouts><token>-1</token></timeouts>", "{ ttl: 0s }"),
        ("<timeouts/>", "{ ttl: 600s }"),
    ],
)
def test_how_long_a_token_is_remembered(tmp_path: Path, timeouts: str, cache: str) -> None:
    assert f"cache: {cache}" in _v2(tmp_path, f"<cache>{timeouts}</cache>").text


TENANT = (
    '<tenant-handling send-all-tenant-ids="true"><validate-tenant strip-token-tenant-prefixes="/foo:/bar-">'
    "<uri-extraction-regex>.*/servers/([-|\\w]+)/?.*</uri-extraction-regex></validate-tenant>"
    '<send-tenant-id-quality default-tenant-quality="0.8" uri-tenant-quality="0.6" roles-tenant-quality="0.4"/></tenant-handling>'
    "<pre-authorized-roles><role>racker</role></pre-authorized-roles>"
)


def test_the_tenant_in_the_path(tmp_path: Path) -> None:
    made = _v2(tmp_path, TENANT)
    text = made.text
    assert "who may name any tenant (racker)" in notes(made, "keystone-v2")
    assert 'regex: ["(?a).*/servers/([-|\\\\w]+)/?.*+"]' in text
    assert 'strip_prefixes: ["foo:", bar-]' in text
    assert "bypass_roles: [racker]" in text
    assert "tenant_quality: { chosen: 0.6, default: 0.8, roles: 0.4 }" in text
    assert "all_tenants: true" in text


EXTRACTOR = '<url-extractor-to-header><extraction header="X-T" url-regex="/s/([^/]+)/(.*)"/></url-extractor-to-header>'
BY_FIELD = (
    "<%s><tenant-handling><validate-tenant><header-extraction-name>x-t</header-extraction-name></validate-tenant>"
    "</tenant-handling></%s>"
)


def test_the_tenant_in_a_field_that_is_taken_from_the_path(tmp_path: Path) -> None:
    name = "keystone-v2-authorization"
    made = moved(
        tmp_path,
        f'<filter name="url-extractor-to-header"/><filter name="keystone-v2"/><filter name="{name}"/>',
        url_extractor_to_header=EXTRACTOR,
        keystone_v2=f"<keystone-v2>{SERVICE}</keystone-v2>",
        keystone_v2_authorization=BY_FIELD % (name, name),
    )
    assert 'regex: [".*?/s/([^/]+)/(?:.*).*+"]' in made.text
    assert part(made, name).into == ["tenant of token_auth 'keystone-v2'"]


def test_the_tenant_in_a_field_that_nobody_fills_is_told(tmp_path: Path) -> None:
    name = "keystone-v2-authorization"
    made = moved(
        tmp_path,
        f'<filter name="keystone-v2"/><filter name="{name}"/>',
        keystone_v2=f"<keystone-v2>{SERVICE}</keystone-v2>",
        keystone_v2_authorization=BY_FIELD % (name, name),
    )
    assert "no url-extractor-to-header before it" in notes(made, name)
    alone = moved_filter(tmp_path, name, BY_FIELD % (name, name))
    assert "no keystone-v2 before it" in notes(alone, name)


def test_tenants_that_cannot_be_moved_leave_what_is_there_as_it_is(tmp_path: Path) -> None:
    name = "keystone-v2-authorization"
    made = moved(
        tmp_path,
        f'<filter name="keystone-v2"/><filter name="{name}"/>',
        keystone_v2=f"<keystone-v2>{SERVICE}</keystone-v2>",
        keystone_v2_authorization=f"<{name}>"
        + TENANT.replace("<role>racker</role>", "<role>a,b</role><role/>")
        + f"</{name}>",
    )
    assert part(made, name).outcome == "not moved"
    assert "bypass_roles[0]: a comma separates roles" in notes(made, name)
    assert "tenant:" not in made.text and "NOT MOVED" in made.text
    assert part(made, "keystone-v2").outcome == "moved with a difference"


async def test_delegating_passes_a_request_and_says_what_it_would_have_been(tmp_path: Path) -> None:
    made = _v2(tmp_path, '<delegating quality="0.6"/>')
    fields = _fields(await outcome(made))
    assert fields["X-Identity-Status"] == "Indeterminate"
    assert fields["X-Delegated"].startswith("status_code=401`component=")
    assert fields["X-Delegated"].endswith(";q=0.6")


def test_what_identity_v2_does_not_have_here_is_told(tmp_path: Path) -> None:
    made = _v2(
        tmp_path,
        '<require-service-endpoint public-url="x" region="y"/><cache><timeouts/><atom-feed id="f"/></cache>'
        "<ignored-roles>one two</ignored-roles>",
        '<identity-service uri="http://i.example.com" set-catalog-in-header="true" set-roles-in-header="false" apply-rcn-roles="true"/>',
    )
    said = notes(made, "keystone-v2")
    for text in (
        "require-service-endpoint",
        "Atom feed",
        "set-catalog-in-header",
        "apply-rcn-roles",
        "X-Map-Roles",
    ):
        assert text in said
    assert "ignored_roles: [one, two]" in made.text
    assert part(made, "keystone-v2").outcome == "not moved", "nobody asks for the endpoint"
    assert "NOT MOVED" in made.text


async def test_keystone_v3_reads_the_token_that_repose_read(tmp_path: Path) -> None:
    made = moved_filter(
        tmp_path,
        "openstack-identity-v3",
        V3 % ("", "<white-list><uri-pattern>/v3</uri-pattern></white-list>"),
    )
    assert 'url: "http://keystone.example.com:5000/v3"' in made.text
    assert "user_domain_id: d" in made.text and "project_id: p" in made.text
    assert "groups:" not in made.text, "which `headers: repose` has Keystone asked for"
    assert "forward-groups" in notes(made, "openstack-identity-v3")
    assert "hunter2" not in made.text
    assert (await outcome(made, target="/v3")).status == 200
    assert (await outcome(made, target="/x", headers=(("X-Subject-Token", "t"),), identity=ANN)).status == 200
    assert (await outcome(made, target="/x")).status == 401


@pytest.mark.parametrize(
    ("target", "status"), [("/v2/t1/x", 200), ("/a/v2/t1/x", 200), ("/v2/t2/x", 403), ("/v9/t1", 403)]
)
async def test_the_project_in_the_path_is_that_of_the_token(tmp_path: Path, target: str, status: int) -> None:
    text = V3 % (
        'forward-groups="false" token-cache-timeout="60000" cache-offset="6000"',
        '<validate-project-id-in-uri regex="/v2/([^/]+)/.*"/><pre-authorized-roles><role>admin</role></pre-authorized-roles>',
    )
    made = moved_filter(tmp_path, "openstack-identity-v3", text)
    assert "cache: { ttl: 60s, jitter: 10 }" in made.text
    assert "groups: none" in made.text and "forward-groups" not in notes(made, "openstack-identity-v3")
    headers = (("X-Subject-Token", "t"),)
    assert (await outcome(made, target=target, headers=headers, identity=ANN)).status == status
    admin = identity_of({"user": "root", "project": "t9", "roles": ["admin"]})
    assert (await outcome(made, target="/v2/t1/x", headers=headers, identity=admin)).status == 200


def test_client_auth_of_repose_6(tmp_path: Path) -> None:
    text = (
        '<client-auth><openstack-auth delegable="true" token-cache-timeout="30000" send-tenant-id-quality="true">'
        '<identity-service username="u" password="hunter2" uri="http://i.example.com" tenantId="7"/>'
        '<client-mapping id-regex="/v2/([^/]+)/.*"/><ignore-tenant-roles><role>r</role></ignore-tenant-roles>'
        '<endpoints-in-header format="JSON"/></openstack-auth>'
        '<atom-feeds enable="true"><rs-identity-feed id="f" uri="x"/></atom-feeds></client-auth>'
    )
    made = moved_filter(tmp_path, "client-auth", text, file="client-auth-n")
    assert 'regex: [".*?/v2/([^/]+)/.*"], bypass_roles: [r] }' in made.text
    assert "delay_auth_decision: true" in made.text
    assert "cache: { ttl: 5s }" in made.text, "as often as Repose looked at the feed"
    said = notes(made, "client-auth")
    for told in (
        "tenantId",
        "endpoints-in-header",
        "Atom feed",
        "is answered 403",
        "(r) may do so by a role",
    ):
        assert told in said
    assert "hunter2" not in made.text


@pytest.mark.parametrize("name", ["rackspace-auth", "http-basic-auth"])
def test_other_services_are_told(tmp_path: Path, name: str) -> None:
    made = moved_filter(
        tmp_path,
        "client-auth",
        f"<client-auth><{name} a='b'><c d='e'/></{name}></client-auth>",
        file="client-auth-n",
    )
    assert part(made, "client-auth").outcome == "not moved"
    assert name in notes(made, "client-auth")


def test_passwords_by_identity_v2_are_told(tmp_path: Path) -> None:
    made = moved_filter(
        tmp_path, "keystone-v2-basic-auth", '<x keystone-v2-service-uri="http://i" secret-type="password"/>'
    )
    assert "Keystone v3" in notes(made, "keystone-v2-basic-auth")


MAPPED = (
    '<client-auth><openstack-auth tenanted="%s"><identity-service uri="http://i.example.com"/>'
    '<client-mapping id-regex="%s"/></openstack-auth>'
    '<white-list><uri-pattern uri-regex="/v2/?"/></white-list></client-auth>'
)
HEADERS = (("X-Auth-Token", "t"),)


@pytest.mark.parametrize("regex", [r".*/servers/([-|\w]+)/?.*", ".*/servers/([^/]+).*"])
def test_an_expression_with_any_beginning_names_the_tenant(tmp_path: Path, regex: str) -> None:
    made = moved_filter(tmp_path, "client-auth", MAPPED % ("true", regex), file="client-auth-n")
    (auth,) = yaml.safe_load(made.text)["filters"]
    (text,) = auth["token_auth"]["providers"][0]["keystone_v2"]["tenant"]["regex"]
    named = re.fullmatch(text, "/v2/servers/t1/x")
    assert named is not None and named[1] == "t1"


def test_an_authorization_behind_the_older_filter_asks_for_its_own_tenant(tmp_path: Path) -> None:
    made = moved(
        tmp_path,
        '<filter name="client-auth"/><filter name="keystone-v2-authorization"/>',
        **{
            "client-auth-n": MAPPED % ("true", "/v1/([^/]+)/"),
            "keystone-v2-authorization": "<keystone-v2-authorization><tenant-handling><validate-tenant>"
            "<uri-extraction-regex>/v2/([^/]+)/.*</uri-extraction-regex>"
            "</validate-tenant></tenant-handling></keystone-v2-authorization>",
        },
    )
    auth, rbac = (next(iter(entry.values())) for entry in yaml.safe_load(made.text)["filters"])
    (text,) = auth["providers"][0]["keystone_v2"]["tenant"]["regex"]
    assert re.fullmatch(text, "/v1/t1/") is not None
    (row,) = rbac["rows"]
    assert re.fullmatch(row["regex"], "/v2/t1/x") is not None and rbac["project_param"] == "project_id"


async def test_a_tenant_that_cannot_be_said_refuses_what_it_would_have_checked(tmp_path: Path) -> None:
    regex = ".*/a/.*/([^/]+)/.*/b"
    made = moved_filter(tmp_path, "client-auth", MAPPED % ("true", regex), file="client-auth-n")
    assert (await outcome(made, target="/v2/x", headers=HEADERS, identity=ANN)).status == 503
    assert (await outcome(made, target="/v2")).status == 200
    assert part(made, "client-auth").outcome == "not moved"
    assert "# NOT MOVED: a check of it cannot be said" in made.text
    free = moved_filter(tmp_path, "client-auth", MAPPED % ("false", regex), file="client-auth-n")
    assert (await outcome(free, target="/v2/x", headers=HEADERS, identity=ANN)).status == 200
    shadowed = migrate(tmp_path, shadow="http://127.0.0.1:8088", environment={})
    plan(shadowed)


async def test_a_project_that_cannot_be_said_refuses(tmp_path: Path) -> None:
    body = '<validate-project-id-in-uri regex="/(?&lt;=x)(a+)+b"/>'
    made = moved_filter(tmp_path, "openstack-identity-v3", V3 % ("", body))
    headers = (("X-Subject-Token", "t"),)
    assert (await outcome(made, headers=headers, identity=ANN)).status == 503
    assert part(made, "openstack-identity-v3").outcome == "not moved"


VALIDATES = "<tenant-handling><validate-tenant>%s</validate-tenant></tenant-handling>"
REGEX = "<uri-extraction-regex>%s</uri-extraction-regex>"
AUTHORIZATION = "keystone-v2-authorization"
MINE = identity_of({"user": "ann", "project": "mine", "roles": ["member"]})


def _two(directory: Path, first: str, second: str, white: tuple[str, str] = ("", "")) -> Migration:
    return moved(
        directory,
        f'<filter name="keystone-v2"/><filter name="{AUTHORIZATION}"/>',
        keystone_v2=f"<keystone-v2>{SERVICE}{white[0]}{first}</keystone-v2>",
        keystone_v2_authorization=f"<{AUTHORIZATION}>{white[1]}{second}</{AUTHORIZATION}>",
    )


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/mine/t/mine", 200),
        ("/v1/mine/t/other", 403),
        ("/v1/mine/x", 403),
        ("/x", 403),
    ],
)
async def test_two_filters_that_ask_for_a_tenant_both_do(tmp_path: Path, target: str, status: int) -> None:
    made = _two(
        tmp_path,
        VALIDATES % REGEX % "/v1/([^/]+)/.*",
        VALIDATES % REGEX % "/v1/[^/]+/t/([^/]+)",
    )
    assert 'tenant: { regex: ["/v1/([^/]+)/.*"] }' in made.text, "of which a trial is told the answer"
    assert (await outcome(made, target=target, headers=HEADERS, identity=MINE)).status == status


async def test_two_filters_that_ask_for_the_same_ask_once(tmp_path: Path) -> None:
    same = VALIDATES % REGEX % "/v1/([^/]+)/.*"
    made = _two(tmp_path, same, same)
    assert "rbac" not in made.text
    assert not any(part.refuses for part in made.report.parts)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/mine/t/mine", 200),
        ("/v1/mine/t/other", 403),
        ("/v1/mine/x", 200),
        ("/v2/mine", 200),
        ("/v2/other", 403),
        ("/x", 403),
    ],
)
async def test_of_several_expressions_each_that_matches_must_name_the_tenant(
    tmp_path: Path, target: str, status: int
) -> None:
    expressions = [REGEX % text for text in ("/v1/([^/]+)/.*", "/v1/[^/]+/t/([^/]+)", "/v2/([^/]+)")]
    made = _v2(tmp_path, VALIDATES % "".join(expressions))
    assert (await outcome(made, target=target, headers=HEADERS, identity=MINE)).status == status


@pytest.mark.parametrize("attributes", [' strip-token-tenant-prefixes="a:"', ""])
async def test_several_expressions_that_cannot_all_be_asked_refuse(tmp_path: Path, attributes: str) -> None:
    second = "/v2(?:/([^/]+))?" if not attributes else "/v2/([^/]+)"
    validates = VALIDATES.replace("<validate-tenant>", f"<validate-tenant{attributes}>")
    made = _v2(tmp_path, validates % (REGEX % "/v1/([^/]+)" + REGEX % second))
    assert (await outcome(made, target="/v1/mine", headers=HEADERS, identity=MINE)).status == 503
    assert part(made, "keystone-v2").outcome == "not moved"


TOKEN = {
    "token": {"id": "t", "expires": "2099-01-01T00:00:00Z", "tenant": {"id": "mine", "name": "mine"}},
    "user": {
        "id": "ann",
        "name": "ann",
        "roles": [{"name": "member", "tenantId": "mine"}, {"name": "reader", "tenantId": "second"}],
    },
}
"""What an Identity service says of a token that is good for two tenants, `mine` by default."""


@pytest.fixture
async def service() -> AsyncIterator[str]:
    """Where an Identity service knows one token, `t`."""
    body = json.dumps({"access": TOKEN}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    async with Upstream(answers(head.encode() + body)) as upstream:
        yield f'<identity-service uri="{upstream.url}" set-groups-in-header="false"/>'


def _conditioned(
    directory: Path, service: str, *filters: tuple[str, str], condition: str = "/>", body: str = ""
) -> Migration:
    """A keystone-v2, and behind it an authorization for each pair of what stands in the chain and in its configuration."""
    chain, files = f'<filter name="keystone-v2"{condition}', {}
    for number, (attributes, text) in enumerate(filters):
        chain += f'<filter name="{AUTHORIZATION}" configuration="{number}.xml" {attributes}'
        files[f"{number}.xml"] = f"<{AUTHORIZATION}>{text}</{AUTHORIZATION}>"
    return moved(directory, chain, keystone_v2=f"<keystone-v2>{service}{body}</keystone-v2>", **files)


async def _statuses(made: Migration, lines: Iterable[str], token: str = "t") -> dict[str, int | None]:
    """What requests are answered with where the Identity service is asked in earnest."""
    registry = Registry()
    trial = Trial(loads(made.text, "moved.yaml", registry=registry), registry, live=True)
    await trial.start()
    try:
        found = {}
        for line in lines:
            method, target = line.split()
            headers = (("X-Auth-Token", token), ("X-Asked", "1")) if token else ()
            found[line] = (await trial.run(given(method, target, headers=headers))).status
        return found
    finally:
        await trial.close()


V1 = VALIDATES % REGEX % "/v1/([^/]+)/.*"
V2 = VALIDATES % REGEX % "/v2/([^/]+)/.*"
POST = '><methods value="POST"/></filter>'
PUBLIC = "<white-list><uri-regex>/public/.*</uri-regex></white-list>"


@pytest.mark.parametrize(
    ("attributes", "body", "expected"),
    [
        (
            POST,
            V1,
            {
                "GET /v1/other/x": 200,
                "GET /health": 200,
                "POST /v1/mine/x": 200,
                "POST /v1/second/x": 200,
                "POST /v1/other/x": 403,
                "POST /health": 403,
            },
        ),
        (
            'uri-regex="/v1/.*"/>',
            V1,
            {"GET /health": 200, "GET /v1/mine/x": 200, "GET /v1/second/x": 200, "GET /v1/other/x": 403},
        ),
        (
            "/>",
            PUBLIC + V1,
            {"GET /public/x": 200, "GET /v1/second/x": 200, "GET /v1/other/x": 403, "GET /health": 403},
        ),
        ('><header name="X-Asked" value="no"/></filter>', V1, {"GET /v1/other/x": 200}),
        ('><header name="X-Asked"/></filter>', V1, {"GET /v1/second/x": 200, "GET /v1/other/x": 403}),
    ],
)
async def test_a_tenant_is_asked_for_of_the_requests_that_the_filter_saw(
    tmp_path: Path, service: str, attributes: str, body: str, expected: dict[str, int]
) -> None:
    made = _conditioned(tmp_path, service, (attributes, body))
    assert await _statuses(made, expected) == expected
    assert set((await _statuses(made, expected, token="")).values()) == {401}, "a token is asked for of all"
    assert "'keystone-v2' asks for those of the others" in notes(made, AUTHORIZATION)
    assert not any(one.refuses for one in made.report.parts)


async def test_a_tenant_is_asked_for_of_all_where_both_filters_see_the_same(
    tmp_path: Path, service: str
) -> None:
    made = _conditioned(tmp_path, service, (POST, V1), condition=POST)
    assert made.text.count("token_auth:") == 1
    assert part(made, AUTHORIZATION).into == ["tenant of token_auth 'keystone-v2'"]
    expected = {"POST /v1/other/x": 403, "POST /v1/second/x": 200, "GET /v1/other/x": 200}
    assert await _statuses(made, expected) == expected


async def test_nobody_is_known_where_only_a_filter_behind_sees_a_request(
    tmp_path: Path, service: str
) -> None:
    made = _conditioned(tmp_path, service, (POST, V1), body=PUBLIC)
    expected = {"GET /public/x": 200, "POST /public/x": 500, "POST /v1/other/x": 403, "GET /x": 200}
    assert await _statuses(made, expected) == expected


@pytest.mark.parametrize(
    ("first", "second", "rest"),
    [
        ('uri-regex="/v1/.*"/>', 'uri-regex="/v2/.*"/>', 200),
        ('><uri regex="/v1/.*"/></filter>', '><not><uri regex="/v1/.*"/></not></filter>', 403),
    ],
)
async def test_of_two_filters_that_see_other_requests_each_asks_for_its_tenant(
    tmp_path: Path, service: str, first: str, second: str, rest: int
) -> None:
    made = _conditioned(tmp_path, service, (first, V1), (second, V2))
    expected = {
        "GET /v1/second/x": 200,
        "GET /v1/other/x": 403,
        "GET /v2/second/x": 200,
        "GET /v2/other/x": 403,
        "GET /health": rest,
    }
    assert await _statuses(made, expected) == expected
    assert "rbac" not in made.text
    assert "must name one and the same" not in made.report.text()


async def test_of_requests_that_two_filters_see_both_tenants_are_asked_for(
    tmp_path: Path, service: str
) -> None:
    deep = VALIDATES % REGEX % "/v1/[^/]+/t/([^/]+)"
    made = _conditioned(tmp_path, service, ('uri-regex="/v1/.*"/>', V1), (POST, deep))
    expected = {
        "GET /v1/mine/t/other": 200,
        "GET /v1/other/t/mine": 403,
        "POST /v1/mine/t/other": 403,
        "POST /v1/other/t/mine": 403,
        "POST /v1/second/t/second": 200,
        "POST /health": 403,
        "GET /health": 200,
    }
    assert await _statuses(made, expected) == expected


async def test_a_condition_that_holds_behind_the_token_only_is_asked_there(
    tmp_path: Path, service: str
) -> None:
    made = _conditioned(tmp_path, service, ('><header name="X-Roles" value="member"/></filter>', V1))
    expected = {"GET /v1/mine/x": 200, "GET /v1/second/x": 403, "GET /v1/other/x": 403}
    assert await _statuses(made, expected) == expected
    assert "tenant:" not in made.text
    assert "the one that it has by default" in notes(made, AUTHORIZATION)
    guests = _conditioned(tmp_path, service, ('><header name="X-Roles" value="guest"/></filter>', V1))
    assert await _statuses(guests, ["GET /v1/other/x"]) == {"GET /v1/other/x": 200}


async def test_what_the_upstream_is_told_of_tenants_goes_by_the_condition_too(
    tmp_path: Path, service: str
) -> None:
    told = '<tenant-handling send-all-tenant-ids="true"/>'
    made = _conditioned(tmp_path, service, (POST, told))
    filters = [entry["token_auth"] for entry in yaml.safe_load(made.text)["filters"]]
    assert [entry["repose"].get("all_tenants") for entry in filters] == [True, None]
    behind = _conditioned(tmp_path, service, ('><header name="X-Roles"/></filter>', told))
    assert part(behind, AUTHORIZATION).refuses
    assert "cannot go by the conditions" in notes(behind, AUTHORIZATION)


def test_fields_that_a_token_is_told_in_are_known() -> None:
    assert all(_told(name.decode()) for name in STRIPPED)
    assert not _told("X-Internal")


async def test_a_tenant_is_asked_for_where_no_token_is(tmp_path: Path) -> None:
    white = "<white-list><uri-regex>/v1/free/.*</uri-regex></white-list>"
    asks = VALIDATES % REGEX % "/v1/([^/]+)/.*"
    bare = _two(tmp_path, "", asks, (white, ""))
    assert (await outcome(bare, target="/v1/free/x")).status == 500
    assert (await outcome(bare, target="/v1/mine/x", headers=HEADERS, identity=MINE)).status == 200
    both = _two(tmp_path, "", asks, (white, white))
    assert (await outcome(both, target="/v1/free/x")).status == 200
    for made in (bare, both):
        assert 'tenant: { regex: ["/v1/([^/]+)/.*"] }' in made.text


async def test_a_tenant_is_asked_for_behind_one_that_only_tells(tmp_path: Path) -> None:
    asks = VALIDATES % REGEX % "/v1/([^/]+)/.*"
    made = _two(tmp_path, "<delegating/>", asks)
    assert (await outcome(made, target="/v1/other/x", headers=HEADERS, identity=MINE)).status in (401, 403)
    assert (await outcome(made, target="/v1/mine/x", headers=HEADERS, identity=MINE)).status == 200
    assert (await outcome(made, target="/v1/mine/x")).status == 401


async def test_the_same_tenant_is_asked_for_behind_one_that_only_tells(tmp_path: Path) -> None:
    asks = VALIDATES % REGEX % "/v1/([^/]+)/.*"
    made = _two(tmp_path, f"<delegating/>{asks}", asks)
    assert (await outcome(made, target="/v1/mine/x")).status == 401


async def test_a_tenant_in_a_path_that_a_filter_has_made_refuses(tmp_path: Path) -> None:
    made = moved(
        tmp_path,
        f'<filter name="keystone-v2"/><filter name="uri-stripper"/><filter name="{AUTHORIZATION}"/>',
        keystone_v2=f"<keystone-v2>{SERVICE}</keystone-v2>",
        uri_stripper='<uri-stripper token-index="0"/>',
        keystone_v2_authorization=f"<{AUTHORIZATION}>{VALIDATES % REGEX % '/v1/([^/]+)/.*'}</{AUTHORIZATION}>",
    )
    assert (await outcome(made, target="/a/v1/mine/x", headers=HEADERS, identity=MINE)).status == 503
    assert "tenant:" not in made.text


async def test_a_tenant_that_nothing_names_refuses(tmp_path: Path) -> None:
    made = _v2(tmp_path, VALIDATES % "")
    assert (await outcome(made, headers=HEADERS, identity=MINE)).status == 503


def test_a_feed_of_revoked_tokens_has_them_remembered_as_long_as_repose_did(tmp_path: Path) -> None:
    made = _v2(tmp_path, '<cache><timeouts><token>600</token></timeouts><atom-feed id="f"/></cache>')
    assert "cache: { ttl: 5s }" in made.text
    off = _v2(tmp_path, '<cache><timeouts><token>-1</token></timeouts><atom-feed id="f"/></cache>')
    assert "cache: { ttl: 0s }" in off.text


async def test_a_client_mapping_that_is_missing_refuses(tmp_path: Path) -> None:
    text = '<client-auth><openstack-auth><identity-service uri="http://i.example.com"/></openstack-auth></client-auth>'
    made = moved_filter(tmp_path, "client-auth", text, file="client-auth-n")
    assert (await outcome(made, headers=HEADERS, identity=ANN)).status == 503


async def test_an_account_without_a_project_asks_without_a_scope(tmp_path: Path) -> None:
    made = moved_filter(tmp_path, "openstack-identity-v3", (V3 % ("", "")).replace(' project-id="p"', ""))
    assert "scope: none" in made.text
    assert part(made, "openstack-identity-v3").outcome == "moved with a difference"
    headers = (("X-Subject-Token", "t"),)
    assert (await outcome(made, headers=headers, identity=ANN)).status == 200


async def test_tenants_that_are_all_told_are_not_culled(tmp_path: Path) -> None:
    for handling, status in (("<tenant-handling send-all-tenant-ids='true'/>", 503), ("", 200)):
        made = moved(
            tmp_path,
            '<filter name="keystone-v2"/><filter name="tenant-culling"/>',
            keystone_v2=f"<keystone-v2>{SERVICE}{handling}</keystone-v2>",
        )
        assert (await outcome(made, headers=HEADERS, identity=ANN)).status == status


ADDS = "<a><request><header name='%s'>extra</header></request></a>"


@pytest.mark.parametrize(
    ("chain", "name", "told"),
    [
        ("add-header keystone-v2", "X-Roles", True),
        ("add-header keystone-v2", "X-Tenant-Id", True),
        ("add-header keystone-v2", "X-Region", False),
        ("keystone-v2 add-header", "X-Roles", False),
    ],
)
async def test_a_field_of_identity_that_is_written_before_the_token_is_asked_for_is_told(
    tmp_path: Path, chain: str, name: str, told: bool
) -> None:
    made = moved(
        tmp_path,
        "".join(f'<filter name="{one}"/>' for one in chain.split()),
        keystone_v2=f"<keystone-v2>{SERVICE}</keystone-v2>",
        add_header=ADDS % name,
    )
    got = await outcome(made, headers=(("X-Auth-Token", "t"),), identity=ANN)
    sent = [value for key, value in got.forwarded.headers if key == name] if got.forwarded else []
    assert ("extra" in ",".join(sent)) is not told
    said = notes(made, "keystone-v2")
    assert (f"add-header.cfg.xml:1 has written into {name.lower()} is replaced" in said) is told


async def test_a_path_that_is_too_long_for_the_expression_of_a_tenant_is_told(
    tmp_path: Path, service: str
) -> None:
    tenants = "<tenant-handling><validate-tenant><uri-extraction-regex>/v1/([^/]+)/.*</uri-extraction-regex></validate-tenant></tenant-handling>"
    made = _v2(tmp_path, tenants, service)
    long = "GET /v1/mine/" + "x" * (2049 - len("/v1/mine/"))
    assert list((await _statuses(made, (long[:-1], long))).values()) == [200, 403]
    assert "a path of more than 2,048 characters names no tenant, and is answered 403" in notes(
        made, "keystone-v2"
    )


def _access(name: str, role: str) -> bytes:
    user = {"id": name, "name": name, "roles": [{"name": role, "tenantId": "mine"}]}
    body = json.dumps({"access": {**TOKEN, "user": user}}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_NO: Final = b'{"unauthorized": {"code": 401, "message": "No valid token provided."}}'
_UNKNOWN: Final = (
    b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    % (len(_NO), _NO)
)


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (_access("ann", "member"), _access("bob", "admin"), 200),
        (_UNKNOWN, _access("bob", "admin"), 401),
        (_access("ann", "member"), _UNKNOWN, 401),
    ],
)
async def test_of_two_filters_that_ask_for_a_token_both_do_and_the_last_says_who_it_is(
    tmp_path: Path, first: bytes, second: bytes, status: int
) -> None:
    async with Upstream(answers(first)) as one, Upstream(answers(second)) as other:
        texts = [
            f'<keystone-v2><identity-service uri="{service.url}" username="gateway" password="{password}" '
            'set-groups-in-header="false"/></keystone-v2>'
            for service, password in ((one, "hunter1"), (other, "hunter2"))
        ]
        chain = '<filter name="keystone-v2"/><filter name="keystone-v2" configuration="other.cfg.xml"/>'
        made = moved(tmp_path, chain, keystone_v2=texts[0], other=texts[1])
        assert list(made.variables) == ["KEYSTONE_V2_PASSWORD", "KEYSTONE_V2_PASSWORD_2"]
        before, behind = (
            [note.text for note in of.notes] for of in made.report.parts if of.name == "keystone-v2"
        )
        assert not any("asks for a token too" in text for text in before)
        assert any("asks for a token too" in text and "is who is calling" in text for text in behind)
        texts = [
            re.sub(' (?:username|password)="[^"]*"', "", text) for text in texts
        ]  # a token asks for itself
        made = moved(tmp_path, chain, keystone_v2=texts[0], other=texts[1])
        registry = Registry()
        trial = Trial(loads(made.text, "moved.yaml", registry=registry), registry, live=True)
        await trial.start()
        try:
            got = await trial.run(given("GET", "/", headers=(("X-Auth-Token", "t"),)))
        finally:
            await trial.close()
    assert got.status == status
    if status == 200:
        fields = _fields(got)
        assert (fields["X-User-Name"], fields["X-Roles"]) == ("bob", "admin")
