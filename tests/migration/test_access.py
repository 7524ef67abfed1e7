"""Tables of roles."""

from pathlib import Path

import pytest

from gateway.migration.repose import Migration
from gateway.trial.identity import identity_of
from tests.migration.installed import KEYSTONE, KNOWN, moved, moved_filter, notes, outcome, part

SIMPLE = """
    /path/to/this   GET     role1,role2, role3
    /path/to/this   PUT     role1,role2
    # nothing
    /path/to/that   GET,PUT ALL
    /path/to/that   ALL     role1
    /path/{to.it}/wild/{to.it} GET role1
    /path/a{b} GET role1
    /short GET
"""
REGEX = """
/path/[^/]+/this get     role1,role2
/path/[^/]+/that GET,PUT ANY
/Path/[^/]+      GET     admin,role1
/Path/[^/]+      GET     admin,role2
/Path/[^/]+/.*   ALL     admin,role\u00a0with\u00a0space
"""


def _moved(directory: Path, name: str, rows: str, attributes: str = "", body: str = "") -> Migration:
    return moved_filter(
        directory, name, f"<{name} {attributes}>{body}<resources>{rows}</resources></{name}>", before=KNOWN
    )


async def _status(made: Migration, method: str, target: str, *roles: str) -> int | None:
    who = identity_of({"user": "u", "roles": roles})
    return (await outcome(made, method, target, identity=who, headers=(("X-Auth-Token", "t"),))).status


@pytest.mark.parametrize(
    ("method", "target", "roles", "status"),
    [
        ("GET", "/path/to/this", ("role3",), 200),
        ("PUT", "/path/to/this", ("role3",), 403),
        ("DELETE", "/path/to/this", ("role1",), 405),
        ("GET", "/path/to/that", (), 200),
        ("DELETE", "/path/to/that", ("role1",), 200),
        ("DELETE", "/path/to/that", ("role2",), 403),
        ("PATCH", "/path/to/that", ("role1",), 405),
        ("GET", "/path/x/wild/y", ("role1",), 200),
        ("GET", "/path/x", ("role1",), 403),
    ],
)
async def test_a_table_of_paths(
    tmp_path: Path, method: str, target: str, roles: tuple[str, ...], status: int
) -> None:
    assert await _status(_moved(tmp_path, "simple-rbac", SIMPLE), method, target, *roles) == status


def test_a_row_that_is_none_is_told_with_its_line(tmp_path: Path) -> None:
    said = notes(_moved(tmp_path, "simple-rbac", SIMPLE), "simple-rbac").splitlines()
    assert "simple-rbac.cfg.xml:8 the path '/path/a{b}' is no template" in said
    assert "simple-rbac.cfg.xml:9 a resource is PATH METHODS ROLES" in said


@pytest.mark.parametrize(
    ("method", "target", "roles", "status"),
    [
        ("GET", "/path/x/this", ("role2",), 200),
        ("GET", "/path/x/y/this", ("role2",), 403),
        ("PUT", "/path/x/that", (), 200),
        ("GET", "/Path/x", ("role1",), 403),
        ("GET", "/Path/x", ("role1", "role2"), 200),
        ("GET", "/Path/x", ("admin",), 200),
        ("DELETE", "/Path/x/y", ("role with space",), 200),
    ],
)
async def test_all_rows_of_expressions_must_be_satisfied(
    tmp_path: Path, method: str, target: str, roles: tuple[str, ...], status: int
) -> None:
    assert await _status(_moved(tmp_path, "regex-rbac", REGEX), method, target, *roles) == status


async def test_a_table_of_expressions_that_cannot_be_moved_whole_refuses(tmp_path: Path) -> None:
    made = _moved(tmp_path, "regex-rbac", "\n/v2/.*/admin/.*/keys/.*/raw ALL admin\n/v2/.* ALL ANY\n")
    assert await _status(made, "GET", "/v2/x/admin/y/keys/z/raw") == 503
    assert await _status(made, "GET", "/v2/x") == 503
    assert part(made, "regex-rbac").outcome == "not moved"
    assert "regex-rbac.cfg.xml:2 the expression '/v2/.*/admin/" in notes(made, "regex-rbac")


async def test_a_mask(tmp_path: Path) -> None:
    made = _moved(tmp_path, "simple-rbac", SIMPLE, 'mask-rax-roles-403="true"')
    assert await _status(made, "PUT", "/path/to/this", "role3") == 404
    assert "answered 404" in notes(made, "simple-rbac")


async def test_a_table_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_text("# rows\n/a GET role1\n/b GET\n")
    text = '<simple-rbac><resources href="rows.txt"/></simple-rbac>'
    made = moved_filter(tmp_path, "simple-rbac", text, before=KNOWN)
    assert await _status(made, "GET", "/a", "role1") == 200
    assert "# rows.txt:2" in made.text
    assert "rows.txt:3 a resource is PATH METHODS ROLES" in notes(made, "simple-rbac")
    missing = moved_filter(tmp_path, "simple-rbac", text.replace("rows", "none"))
    assert "there is no file 'none.txt'" in notes(missing, "simple-rbac")


def test_what_differs_is_told(tmp_path: Path) -> None:
    made = _moved(tmp_path, "simple-rbac", SIMPLE, 'roles-header-name="X-Groups" dot-output="/tmp/x"')
    said = notes(made, "simple-rbac")
    for text in ("roles-header-name 'X-Groups'", "answered 403, in place of 404"):
        assert text in said
    assert "put a `token_auth` there" not in said


def test_a_table_that_is_asked_of_nobody_is_told(tmp_path: Path) -> None:
    made = moved_filter(
        tmp_path, "simple-rbac", f"<simple-rbac><resources>{SIMPLE}</resources></simple-rbac>"
    )
    assert "put a `token_auth` there" in notes(made, "simple-rbac")


@pytest.mark.parametrize(("written", "moved_to"), [("2.0", "1"), ("-1", "0")])
def test_a_quality_that_is_none_is_the_nearest_that_is(tmp_path: Path, written: str, moved_to: str) -> None:
    text = f'<simple-rbac><delegating quality="{written}"/><resources>{SIMPLE}</resources></simple-rbac>'
    made = moved_filter(tmp_path, "simple-rbac", text, before=KNOWN)
    assert f"quality is {moved_to}, since a quality is from 0 to 1" in notes(made, "simple-rbac")


async def test_delegating_tells_the_refusal_and_another_filter_answers_with_it(tmp_path: Path) -> None:
    text = f'<simple-rbac><delegating quality="0.3"/><resources>{SIMPLE}</resources></simple-rbac>'
    made = moved_filter(tmp_path, "simple-rbac", text, before=KNOWN)
    who = identity_of({"user": "u", "roles": ["role3"]})
    got = await outcome(made, "PUT", "/path/to/this", identity=who)
    assert got.status == 200 and got.forwarded is not None
    told = dict(got.forwarded.headers)["X-Delegated"]
    assert told.startswith("status_code=403`component=simple-rbac`") and told.endswith(";q=0.3")
    made = moved(
        tmp_path,
        f'{KNOWN}<filter name="simple-rbac"/><filter name="derp"/>',
        **{"simple-rbac": text, "keystone-v2": KEYSTONE},
    )
    got = await outcome(made, "PUT", "/path/to/this", identity=who)
    assert (got.status, got.filter) == (403, "derp")
    assert (await outcome(made, "GET", "/path/to/this", identity=who)).status == 200


async def test_an_empty_table_is_not_moved_and_refuses(tmp_path: Path) -> None:
    made = _moved(tmp_path, "simple-rbac", "")
    assert part(made, "simple-rbac").outcome == "not moved"
    assert await _status(made, "GET", "/a", "role1") == 503


BEFORE = """
/servers/{id}    GET         role1
/servers/detail  GET         role2
/servers/{id}    DELETE,GET  role3
/images          GET         role1
/images          GET         role2
/{kind}/detail   GET         role4
"""


@pytest.mark.parametrize(
    ("method", "target", "role", "status"),
    [
        *(("GET", "/servers/detail", role, 200) for role in ("role1", "role2", "role3", "role4")),
        ("DELETE", "/servers/detail", "role3", 200),
        ("DELETE", "/servers/detail", "role2", 403),
        ("GET", "/servers/1", "role1", 200),
        ("GET", "/servers/1", "role3", 200),
        ("GET", "/servers/1", "role2", 403),
        ("GET", "/images", "role1", 200),
        ("GET", "/images", "role2", 200),
        ("GET", "/images", "role3", 403),
    ],
)
async def test_one_of_the_rows_that_have_a_path_is_enough(
    tmp_path: Path, method: str, target: str, role: str, status: int
) -> None:
    assert await _status(_moved(tmp_path, "simple-rbac", BEFORE), method, target, role) == status


def test_templates_that_meet_and_have_no_order_are_told(tmp_path: Path) -> None:
    made = _moved(tmp_path, "simple-rbac", "\n/a/{x} GET role1\n/{y}/b GET role2\n/{z}/c PUT role2\n")
    assert "that both /a/{x} and /{y}/b have" in notes(made, "simple-rbac")
    assert "/{z}/c" not in notes(made, "simple-rbac")


async def test_a_line_that_cannot_be_read_may_have_refused(tmp_path: Path) -> None:
    made = _moved(tmp_path, "regex-rbac", "\n/v2/admin ALL\n/v2/.* ALL ANY\n")
    assert await _status(made, "GET", "/v2/admin") == 503
    assert "regex-rbac.cfg.xml:2 a resource is PATH METHODS ROLES" in notes(made, "regex-rbac")


@pytest.mark.parametrize("attribute", ["roles-header-name", "tenants-header-name"])
async def test_roles_of_another_field_are_not_the_principals(tmp_path: Path, attribute: str) -> None:
    made = _moved(tmp_path, "simple-rbac", SIMPLE, f'{attribute}="X-Mine"')
    assert await _status(made, "GET", "/path/to/this", "role1") == 503
    assert part(made, "simple-rbac").outcome == "not moved"


@pytest.mark.parametrize("name", ["simple-rbac", "regex-rbac"])
async def test_roles_that_a_filter_has_written_since_are_not_the_principals(
    tmp_path: Path, name: str
) -> None:
    made = moved(
        tmp_path,
        f'{KNOWN}<filter name="add-header"/><filter name="{name}"/>',
        **{
            "keystone-v2": KEYSTONE,
            "add-header": "<a><request><header name='x-roles' overwrite='true'>guest</header></request></a>",
            name: f"<{name}><resources>/path GET admin</resources></{name}>",
        },
    )
    assert await _status(made, "GET", "/path", "admin") == 503
    assert "its roles are those of add-header.cfg.xml:1" in notes(made, name)


async def test_a_path_that_is_too_long_for_expressions_is_told(tmp_path: Path) -> None:
    made = _moved(tmp_path, "regex-rbac", "\n/v2/.* ALL ANY\n")
    long = "/v2/" + "x" * 2045
    assert [await _status(made, "GET", target, "a") for target in (long[:-1], long)] == [200, 414]
    assert "a path of more than 2,048 characters is answered 414" in notes(made, "regex-rbac")
    templates = _moved(tmp_path, "simple-rbac", "\n/v2/{x} ALL ANY\n")
    assert await _status(templates, "GET", long, "a") == 200
    assert "2,048" not in notes(templates, "simple-rbac")
