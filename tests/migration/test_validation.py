"""Descriptions of APIs: what these do not have is refused."""

import os
from pathlib import Path

import pytest

from gateway.config.load import loads
from gateway.migration.repose import Migration, migrate
from gateway.migration.validation import _DEPTH
from gateway.plan import build_plan
from gateway.registry import Registry
from gateway.trial.identity import identity_of
from tests.migration.installed import KEYSTONE, KNOWN, installed, moved_filter, notes, outcome, part

WADL = """<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:rax="http://docs.rackspace.com/api">
<resources base="http://localhost/"><resource path="{path}"><method name="GET" {extra}/></resource></resources></application>
"""


def _moved(directory: Path, validators: str, attributes: str = "", body: str = "") -> Migration:
    for name, text in (
        ("servers.wadl", WADL.format(path="servers", extra="")),
        ("images.wadl", WADL.format(path="images", extra='rax:roles="admin"')),
    ):
        (directory / name).write_text(text)
    text = f"<validators {attributes}>{body}\n{validators}</validators>"
    return moved_filter(directory, "api-validator", text, file="validator", before=KNOWN)


async def _status(made: Migration, method: str, target: str, *roles: str) -> int | None:
    return (await outcome(made, method, target, identity=identity_of({"user": "u", "roles": roles}))).status


@pytest.mark.parametrize(
    ("method", "target", "status"), [("GET", "/servers", 200), ("PUT", "/servers", 405), ("GET", "/x", 404)]
)
async def test_one_description_for_all(tmp_path: Path, method: str, target: str, status: int) -> None:
    made = _moved(
        tmp_path, '<validator role="x" default="true" wadl="servers.wadl" check-well-formed="true"/>'
    )
    assert await _status(made, method, target) == status
    assert "max_size" in notes(made, "api-validator")
    assert "without regard to case" not in notes(made, "api-validator"), "no role chooses"


TWO = '<validator role="a b" wadl="servers.wadl" enable-rax-roles="true"/>\n<validator role="b c" wadl="{}" enable-rax-roles="true"/>'


@pytest.mark.parametrize(
    ("target", "roles", "status"),
    [
        ("/servers", ("a",), 200),
        ("/servers", ("b",), 200),
        ("/images", ("b",), 404),
        ("/images", ("c",), 403),
        ("/images", ("c", "admin"), 200),
        ("/servers", (), 403),
    ],
)
async def test_the_first_validator_whose_role_the_caller_has(
    tmp_path: Path, target: str, roles: tuple[str, ...], status: int
) -> None:
    assert await _status(_moved(tmp_path, TWO.format("images.wadl")), "GET", target, *roles) == status


async def test_the_default_is_for_who_has_none_of_the_roles(tmp_path: Path) -> None:
    made = _moved(
        tmp_path,
        '<validator role="d" default="true" wadl="images.wadl"/><validator role="a" wadl="servers.wadl"/>',
        'multi-role-match="true"',
    )
    assert [await _status(made, "GET", "/images", role) for role in ("A", "z")] == [404, 200]
    assert "multi-role-match" in notes(made, "api-validator")
    assert "without regard to case" in notes(made, "api-validator")


DEFAULT, A, B = (
    '<validator role="d" default="true" wadl="images.wadl"/>',
    '<validator role="a" wadl="servers.wadl"/>',
    '<validator role="b" wadl="servers.wadl"/>',
)


@pytest.mark.parametrize(
    ("validators", "roles", "judges"),
    [
        ((DEFAULT, A), ("d", "a"), "/images"),
        ((DEFAULT, A), ("a", "D"), "/images"),
        ((DEFAULT, A), ("a",), "/servers"),
        ((DEFAULT, A), ("d",), "/images"),
        ((DEFAULT, A), ("z",), "/images"),
        ((A, DEFAULT), ("d", "a"), "/servers"),
        ((A, DEFAULT), ("d",), "/images"),
        ((A, DEFAULT, B), ("d", "b"), "/images"),
        ((A, DEFAULT, B), ("d", "a", "b"), "/servers"),
        ((A, DEFAULT, B), ("b", "z"), "/servers"),
        ((A, DEFAULT, B), (), "/images"),
        ((DEFAULT.replace('"d"', '"d a"'), A), ("a",), "/images"),
        ((A, DEFAULT.replace('"d"', '"d a"'), B), ("a", "b"), "/servers"),
        ((DEFAULT.replace(' role="d"', ""), A), ("d", "a"), "/servers"),
    ],
)
async def test_a_default_that_has_roles_counts_in_its_place(
    tmp_path: Path, validators: tuple[str, ...], roles: tuple[str, ...], judges: str
) -> None:
    made = _moved(tmp_path, "\n".join(validators))
    for target in ("/servers", "/images"):
        assert await _status(made, "GET", target, *roles) == (200 if target == judges else 404)


def test_all_validators_may_say_whether_they_are_the_default(tmp_path: Path) -> None:
    made = _moved(tmp_path, f'{DEFAULT}<validator role="a" default="false" wadl="servers.wadl"/>')
    assert "unknown" not in notes(made, "api-validator")


async def test_delegating_lets_the_request_pass_and_tells(tmp_path: Path) -> None:
    made = _moved(
        tmp_path, '<validator default="true" wadl="servers.wadl"/>', body='<delegating quality="0.2"/>'
    )
    got = await outcome(made, "GET", "/x", identity=identity_of({"user": "u"}))
    assert got.status == 200 and got.forwarded is not None
    assert dict(got.forwarded.headers)["X-Delegated"].startswith("status_code=404`")
    assert "too late" not in notes(made, "api-validator")


@pytest.mark.parametrize(
    ("wadl", "said"),
    [
        ("none.wadl", "none.wadl: cannot be read: no such file"),
        ("http://example.com/a.wadl", "is not a file of this directory"),
        ("../a.wadl", "is not a file of this directory"),
        ("validator.cfg.xml", "the description: validator.cfg.xml:1:"),
        ("", "put it into a file of its own"),
    ],
)
async def test_a_description_that_cannot_be_read_refuses(tmp_path: Path, wadl: str, said: str) -> None:
    made = _moved(tmp_path, f'<validator default="true" wadl="{wadl}"/>')
    assert part(made, "api-validator").outcome == "not moved"
    assert said in notes(made, "api-validator")
    assert await _status(made, "GET", "/servers") == 503


def test_the_description_is_named_from_where_the_configuration_will_be(tmp_path: Path) -> None:
    etc, out = tmp_path / "etc", tmp_path / "out" / "deep"
    etc.mkdir()
    out.mkdir(parents=True)
    (etc / "api.yaml").write_text(
        "openapi: 3.1.0\ninfo: {title: t, version: '1'}\npaths: {/a: {get: {responses: {}}}}\n"
    )
    text = f'<open-api-validator href="file://{etc}/api.yaml"/>'
    installed(
        etc,
        f'{KNOWN}<filter name="openapi-validator"/>',
        {"openapi-validator": text, "keystone-v2": KEYSTONE},
    )
    made = migrate(etc, beside=out, environment={})
    assert os.path.join("..", "..", "etc", "api.yaml") in made.text
    registry = Registry()
    build_plan(loads(made.text, "x", registry=registry, environment={}, directory=out), registry)


async def test_of_several_validators_the_one_that_cannot_be_said_refuses_its_callers(tmp_path: Path) -> None:
    made = _moved(tmp_path, TWO.format("none.wadl"))
    assert [await _status(made, "GET", "/servers", role) for role in ("a", "c", "d")] == [200, 503, 403]
    assert part(made, "api-validator").outcome == "not moved"


ASKS = """<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:rax="http://docs.rackspace.com/api">
<grammars><s:schema xmlns:s="http://www.w3.org/2001/XMLSchema"><s:element name="a"/></s:schema></grammars>
<resources base="http://localhost/"><resource path="a"><method name="POST" {roles}><request>
{inside}</request></method></resource></resources></application>
"""
XML = '<representation mediaType="application/xml"/>'
XPATH = (
    '<representation mediaType="application/json"><param name="n" style="plain" required="true" path="$body?n castable as xs:int"/>'
    "</representation>"
)
ASSERT = '<rax:assert test="true()"/>'
TENANT = 'rax:roles="admin/{tid}"'


@pytest.mark.parametrize(
    ("inside", "roles", "on", "off", "said"),
    [
        (XML, "", 'check-xsd-grammar="true"', "", "not the XML Schema"),
        (XML, "", 'check-grammars="true"', 'check-well-formed="true"', "not the XML Schema"),
        (XPATH, "", 'check-plain-params="true"', "", "castable"),
        (
            ASSERT,
            "",
            "",
            'enable-assert-extension="false" enable-pre-process-extension="false"',
            "rax:assert",
        ),
        ("", TENANT, 'enable-rax-roles="true"', "", "admin/{tid}"),
    ],
)
async def test_what_repose_has_looked_at_and_nobody_here_does_refuses(
    tmp_path: Path, inside: str, roles: str, on: str, off: str, said: str
) -> None:
    (tmp_path / "asks.wadl").write_text(ASKS.format(inside=inside, roles=roles))
    made = _moved(tmp_path, f'<validator default="true" wadl="asks.wadl" {on}/>')
    assert await _status(made, "POST", "/a", "admin") == 503
    assert part(made, "api-validator").refuses
    assert "Repose has looked at this, and `api` does not: asks.wadl" in notes(made, "api-validator")
    assert said in notes(made, "api-validator")
    made = _moved(tmp_path, f'<validator default="true" wadl="asks.wadl" {off}/>')
    assert "unchecked: allow" in made.text
    assert said in notes(made, "api-validator")
    assert not part(made, "api-validator").refuses


async def test_roles_with_a_space_within_are_one(tmp_path: Path) -> None:
    (tmp_path / "spaced.wadl").write_text(
        WADL.format(path="servers", extra='rax:roles="member&#xA0;admin"'), encoding="utf-8"
    )
    made = _moved(tmp_path, '<validator role="a" default="true" wadl="spaced.wadl" enable-rax-roles="true"/>')
    assert await _status(made, "GET", "/servers", "member", "admin") == 403
    assert await _status(made, "GET", "/servers", "member admin") == 200


async def test_a_schema_of_the_dialect_that_repose_has_moves(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(
        '{"$schema": "http://json-schema.org/draft-04/schema#", "id": "http://x/s", '
        '"properties": {"n": {"minimum": 1, "exclusiveMinimum": true}}, "dependencies": {"a": ["n"]}}'
    )
    (tmp_path / "draft.wadl").write_text(
        '<application xmlns="http://wadl.dev.java.net/2009/02"><grammars><include href="s.json"/></grammars><resources base="/">'
        '<resource path="x"><method name="PUT"><request><representation mediaType="application/json"/></request></method>'
        "</resource></resources></application>"
    )
    made = _moved(tmp_path, '<validator role="a" default="true" wadl="draft.wadl" check-grammars="true"/>')
    assert not part(made, "api-validator").refuses
    for body, status in ((b'{"n": 2, "a": 1}', 200), (b'{"n": 1}', 400), (b'{"a": 1}', 400)):
        headers = (("Content-Type", "application/json"),)
        got = await outcome(
            made, "PUT", "/x", headers=headers, body=body, identity=identity_of({"user": "u"})
        )
        assert got.status == status, body


BEYOND = """<application xmlns="http://wadl.dev.java.net/2009/02" xmlns:xsd="http://www.w3.org/2001/XMLSchema"><grammars>{grammar}</grammars>
<resources base="http://localhost/"><resource path="a"><method name="POST"><request>
{inside}</request></method></resource></resources></application>
"""
SCHEMA = '<include href="body.json"/>'
JSON = '<representation mediaType="application/json"/>'
NEEDS = '<param name="%s" style="%s" required="true" type="xsd:int"/>'
PLAIN = '<representation mediaType="application/json"><param name="n" style="plain" required="true" path="$body?server"/></representation>'
ROOT = '<representation mediaType="application/xml" xmlns:t="http://t" element="t:server"/>'


@pytest.mark.parametrize(
    ("grammar", "inside", "option", "said", "sent"),
    [
        ("", NEEDS % ("X-Need", "header"), "check-headers", "header fields that are required", ("", b"")),
        ("", JSON, "check-well-formed", "JSON to be well-formed", ("application/json", b"{")),
        ("", XML, "check-well-formed", "XML to be well-formed", ("application/xml", b"<a>")),
        (SCHEMA, JSON, "check-grammars", "bodies to fit the JSON Schema", ("application/json", b"[]")),
        ("", PLAIN, "check-plain-params", "parts of bodies", ("application/json", b"{}")),
        ("", ROOT, "check-elements", "the root element", ("application/xml", b"<a/>")),
    ],
)
async def test_what_repose_was_not_told_to_look_at_is_told_by_its_option(
    tmp_path: Path, grammar: str, inside: str, option: str, said: str, sent: tuple[str, bytes]
) -> None:
    (tmp_path / "body.json").write_text('{"type": "object"}')
    (tmp_path / "asks.wadl").write_text(BEYOND.format(grammar=grammar, inside=inside))
    made = _moved(tmp_path, '<validator default="true" wadl="asks.wadl"/>')
    kind, body = sent
    headers = (("Content-Type", kind),) if kind else ()
    got = await outcome(made, "POST", "/a", headers=headers, body=body, identity=identity_of({"user": "u"}))
    assert (got.status, got.filter) == (400, "api-validator")
    told = notes(made, "api-validator")
    assert f"{option} is not set, so that requests have passed which `api` refuses (400)" in told
    assert said in told and "`mode: shadow`" in told
    set_here = _moved(tmp_path, f'<validator default="true" wadl="asks.wadl" {option}="true"/>')
    assert f"{option} is not set" not in notes(set_here, "api-validator")
    assert not part(set_here, "api-validator").refuses


@pytest.mark.parametrize("options", ["", 'check-headers="true" check-grammars="true" check-elements="true"'])
async def test_that_the_query_is_looked_at_is_told_in_any_case(tmp_path: Path, options: str) -> None:
    (tmp_path / "asks.wadl").write_text(BEYOND.format(grammar="", inside=NEEDS % ("q", "query")))
    made = _moved(tmp_path, f'<validator default="true" wadl="asks.wadl" {options}/>')
    assert await _status(made, "POST", "/a") == 400
    assert "no option has Repose look at the query" in notes(made, "api-validator")
    assert not part(made, "api-validator").refuses


def test_nothing_is_told_of_what_the_description_does_not_ask_for(tmp_path: Path) -> None:
    assert "have passed" not in notes(
        _moved(tmp_path, '<validator default="true" wadl="servers.wadl"/>'), "api-validator"
    )


def test_what_is_looked_at_needs_no_leave(tmp_path: Path) -> None:
    assert "unchecked" not in _moved(tmp_path, '<validator default="true" wadl="servers.wadl"/>').text


@pytest.mark.parametrize(
    "text",
    [
        "swagger: '2.0'\ninfo: {title: t, version: '1'}\npaths: {}\n",
        "openapi: 3.1.0\ninfo: {title: t, version: '1'}\n"
        "paths: {/a: {get: {parameters: [{name: c, in: cookie, schema: {type: string}}], responses: {}}}}\n",
    ],
)
async def test_a_document_of_openapi_that_is_not_looked_at_whole_refuses(tmp_path: Path, text: str) -> None:
    (tmp_path / "api.yaml").write_text(text)
    made = moved_filter(tmp_path, "openapi-validator", '<open-api-validator href="api.yaml"/>', before=KNOWN)
    assert await _status(made, "GET", "/a") == 503
    assert part(made, "openapi-validator").outcome == "not moved"


async def test_a_role_may_have_a_space(tmp_path: Path) -> None:
    made = _moved(tmp_path, '<validator role="a\u00a0b" wadl="servers.wadl"/>')
    assert [await _status(made, "GET", "/servers", role) for role in ("a b", "a")] == [200, 403]


async def _unknown(directory: Path, validators: str, **options: object) -> tuple[Migration, int | None]:
    for name in ("servers", "images"):
        roles = 'rax:roles="admin"' if name == "images" else ""
        (directory / f"{name}.wadl").write_text(WADL.format(path=name, extra=roles))
    made = moved_filter(
        directory, "api-validator", f"<validators>{validators}</validators>", file="validator"
    )
    got = await outcome(made, "GET", "/servers", headers=(("X-Roles", "admin"),))
    return made, got.status


async def test_a_validator_for_a_role_that_nobody_knows_is_not_skipped_to_the_default(tmp_path: Path) -> None:
    made, status = await _unknown(
        tmp_path,
        '<validator role="admin" wadl="images.wadl"/><validator default="true" wadl="servers.wadl"/>',
    )
    assert status == 503
    assert part(made, "api-validator").refuses
    assert "no filter before this one knows any" in notes(made, "api-validator")


async def test_validators_for_roles_that_nobody_knows_are_told(tmp_path: Path) -> None:
    made, status = await _unknown(tmp_path, '<validator role="admin" wadl="servers.wadl"/>')
    assert status == 401
    assert "no filter before this one knows any" in notes(made, "api-validator")


@pytest.mark.parametrize(
    ("wadl", "option", "told"),
    [
        ("images.wadl", 'enable-rax-roles="true"', True),
        ("images.wadl", "", False),
        ("servers.wadl", 'enable-rax-roles="true"', False),
    ],
)
async def test_a_description_that_asks_for_roles_that_nobody_knows_is_told(
    tmp_path: Path, wadl: str, option: str, told: bool
) -> None:
    made, _ = await _unknown(tmp_path, f'<validator default="true" wadl="{wadl}" {option}/>')
    assert ("no filter before this one knows any" in notes(made, "api-validator")) is told
    assert not part(made, "api-validator").refuses


@pytest.mark.parametrize("roles", ["admin", ""])
def test_a_document_that_asks_for_roles_that_nobody_knows_is_told(tmp_path: Path, roles: str) -> None:
    asked = f"security: [{{token: [{roles}]}}], " if roles else ""
    (tmp_path / "api.yaml").write_text(
        "openapi: 3.1.0\ninfo: {title: t, version: '1'}\n"
        "components: {securitySchemes: {token: {type: apiKey, in: header, name: X-Auth-Token}}}\n"
        f"paths: {{/a: {{get: {{{asked}responses: {{}}}}}}}}\n"
    )
    made = moved_filter(tmp_path, "openapi-validator", '<open-api-validator href="api.yaml"/>')
    assert ("no filter before this one knows any" in notes(made, "openapi-validator")) is bool(roles)


@pytest.mark.parametrize(
    ("target", "headers", "body", "status", "said"),
    [
        ("/a", (), b"{}", 200, ""),
        ("//a", (), b"{}", 400, "an empty segment of a path"),
        ("/a/", (), b"{}", 404, "a slash at its end"),
        ("/a", (), b"[" * 33 + b"]" * 33, 400, "nests more than 32 deep"),
        ("/a", (), b'{"x": 1, "x": 2}', 400, "names a member of an object twice"),
        ("/a", (), b"", 400, "a request without a body"),
        ("/a", (("Content-Encoding", "gzip"),), b"{}", 415, "a body with a Content-Encoding is answered 415"),
    ],
)
@pytest.mark.parametrize("options", ["", 'check-well-formed="true" check-grammars="true"'])
async def test_what_is_refused_whatever_the_options_is_told(
    tmp_path: Path,
    options: str,
    target: str,
    headers: tuple[tuple[str, str], ...],
    body: bytes,
    status: int,
    said: str,
) -> None:
    (tmp_path / "a.wadl").write_text(BEYOND.format(grammar="", inside=JSON))
    made = _moved(tmp_path, f'<validator default="true" wadl="a.wadl" {options}/>')
    got = await outcome(
        made,
        "POST",
        target,
        headers=(("Content-Type", "application/json"), *headers),
        body=body,
        identity=identity_of({"user": "u"}),
    )
    assert got.status == status
    assert said in notes(made, "api-validator")
    assert not part(made, "api-validator").refuses


def test_how_deep_is_told_is_how_deep_it_is() -> None:
    assert Registry().get("api").Config.model_fields["max_depth"].default == _DEPTH


async def test_of_a_description_without_bodies_nothing_is_told_of_them(tmp_path: Path) -> None:
    told = notes(_moved(tmp_path, '<validator default="true" wadl="servers.wadl"/>'), "api-validator")
    assert "an empty segment of a path" in told
    assert not any(text in told for text in ("JSON that", "XML that", "without a body", "Content-Encoding"))


async def test_an_openapi_validator_is_told_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        '{"openapi": "3.1.0", "paths": {"/a": {"put": {"requestBody": {"required": true, "content": {"application/json": {}}}}}}}'
    )
    made = moved_filter(tmp_path, "openapi-validator", '<open-api-validator href="a.yaml"/>')
    told = notes(made, "openapi-validator")
    for said in ("an empty segment", "more than 32 deep", "without a body", "answered 415"):
        assert said in told
