"""`weir test`."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from gateway.config.locate import bundled

CONFIG_DIRECTORY = bundled().parent
EXAMPLES = sorted((CONFIG_DIRECTORY / "examples").glob("*.yaml"))
CONFIG = """\
upstreams: {a: {endpoints: ["http://a.invalid:1"]}}
filters: [methods: {allow: [GET]}]
routes:
  - {name: r, path: "/{x}", upstream: a}
  - {name: s, path: /s/t, upstream: a}
"""
TESTS = """\
configuration: gateway.yaml
given: { upstream: { status: 200 } }
tests:
  - { name: reads pass, given: { request: GET /a }, expect: { status: 200, route: r } }
  - { name: writes do not, given: { request: POST /a }, expect: { status: %s, filter: methods } }
"""


def test(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["test", *arguments])


test.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "gateway.yaml").write_text(CONFIG)
    (tmp_path / "tests.yaml").write_text(TESTS % 405)
    return str(tmp_path / "tests.yaml")


def _fail(path: str) -> None:
    Path(path).write_text(TESTS % 404)


def test_all_pass_and_what_is_not_tested_is_said(path: str) -> None:
    done = test(path)
    assert done.exit_code == 0
    config = Path(path).parent / "gateway.yaml"
    assert done.stdout.splitlines()[:2] == [
        f"{config}: tests come to 1 of 2 routes, 1 of 1 filters",
        f"    not to the route s  {config}:5:5",
    ]
    assert done.stdout.splitlines()[2].startswith("2 passed, 0 failed in ")


def test_one_that_fails_is_told_with_both_sides(path: str) -> None:
    _fail(path)
    done = test(path, "--no-coverage")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[:4] == [
        f"FAILED {path}: writes do not",
        "    status:",
        "      - 404",
        "      + 405",
    ]


def test_only_some(path: str) -> None:
    _fail(path)
    assert test(path, "-k", "reads").exit_code == 0
    assert test(path, "-k", "nothing").exit_code == 2


def test_another_configuration(path: str, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(CONFIG.replace("[GET]", "[GET, POST]"))
    assert test(path, "--config", str(other)).exit_code == 1


def test_what_is_covered_can_be_demanded(path: str) -> None:
    assert test(path, "--fail-under", "60").exit_code == 0
    done = test(path, "--fail-under", "90")
    assert done.exit_code == 1 and "67 %" in done.stderr


def test_tap(path: str) -> None:
    _fail(path)
    lines = test(path, "--format", "tap").stdout.splitlines()
    assert lines[:4] == [
        "TAP version 13",
        "1..2",
        f"ok 1 - {path}: reads pass",
        f"not ok 2 - {path}: writes do not",
    ]
    assert all(line.startswith("# ") for line in lines[4:])
    config = Path(path).parent / "gateway.yaml"
    assert lines[-2:] == [
        f"# {config}: tests come to 1 of 2 routes, 1 of 1 filters",
        f"#     not to the route s  {config}:5:5",
    ]
    assert "tests come to" not in test(path, "--format", "tap", "--no-coverage").stdout


def test_junit(path: str) -> None:
    _fail(path)
    suites = ET.fromstring(test(path, "--format", "junit").stdout)
    (suite,) = suites
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    properties, *cases = suite
    assert [case.get("name") for case in cases] == ["reads pass", "writes do not"]
    (failure,) = cases[1]
    assert failure.tag == "failure" and "- 404" in (failure.text or "")
    config = Path(path).parent / "gateway.yaml"
    assert [(one.get("name"), one.get("value")) for one in properties] == [
        ("configuration", str(config)),
        ("coverage.route", "1 of 2"),
        ("coverage.filter", "1 of 1"),
        ("uncovered.route", f"s  {config}:5:5"),
    ]
    (suite,) = ET.fromstring(test(path, "--format", "junit", "-k", "reads").stdout)
    assert [one.tag for one in suite] == ["testcase"]


def test_junit_says_once_what_several_files_come_to(path: str, tmp_path: Path) -> None:
    other = tmp_path / "others.yaml"
    other.write_text((TESTS % 405).replace("GET /a", "GET /s/t").replace("route: r", "route: s"))
    suites = ET.fromstring(test(path, str(other), "--format", "junit").stdout)
    assert [one.find("properties") is not None for one in suites] == [False, True]
    assert "2 of 2" in [one.get("value") for one in suites.iter("property")]


def test_json(path: str) -> None:
    _fail(path)
    told = json.loads(test(path, "--format", "json").stdout)
    assert [one["passed"] for one in told["tests"]] == [True, False]
    assert told["tests"][1]["mismatches"] == [{"what": "status", "expected": "404", "got": "405"}]
    config = Path(path).parent / "gateway.yaml"
    assert told["coverage"] == [
        {
            "configuration": str(config),
            "counts": {"route": {"reached": 1, "total": 2}, "filter": {"reached": 1, "total": 1}},
            "missed": [{"kind": "route", "name": "s", "source": f"{config}:5:5"}],
        }
    ]
    assert json.loads(test(path, "--format", "json", "--no-coverage").stdout)["coverage"] is None


def test_what_is_wrong_in_a_file_is_said_with_its_place(path: str) -> None:
    Path(path).write_text((TESTS % 405).replace("route: r", "rute: r"))
    done = test(path)
    assert done.exit_code == 2
    assert f"{path}:4:" in done.stderr and "did you mean 'route'?" in done.stderr


@pytest.mark.parametrize(
    ("expect", "place", "key"),
    [
        ("headers: { Allow: '/[/' }", "4:74", "headers.Allow"),
        ("body: '/(/'", "4:63", "body"),
        ("body: { faults: [ok, '/*/'] }", "4:84", "body.faults[1]"),
        ("forwarded: { headers: { Host: '/a{2,1}/' } }", "4:87", "forwarded.headers.Host"),
    ],
)
def test_a_pattern_that_is_none_is_said_with_its_place(path: str, expect: str, place: str, key: str) -> None:
    Path(path).write_text((TESTS % 405).replace("status: 200, route: r", expect))
    done = test(path)
    assert done.exit_code == 2
    assert f"{path}:{place}: tests[0].expect.{key}: not a regular expression: " in done.stderr


def test_a_configuration_that_is_wrong(path: str, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(CONFIG.replace("allow", "alow"))
    done = test(path)
    assert done.exit_code == 2 and "did you mean 'allow'?" in done.stderr


@pytest.mark.parametrize("name", ["gateway", *(path.stem for path in EXAMPLES)])
def test_what_is_shipped_has_tests_that_come_to_all_of_it(name: str) -> None:
    done = test(str(CONFIG_DIRECTORY / "tests" / f"{name}.yaml"), "--fail-under", "100")
    assert done.exit_code == 0, done.output


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = test(str(tmp_path / "none.yaml"))
    assert done.exit_code == 2 and "cannot be read" in done.stderr
