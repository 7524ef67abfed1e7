"""`weir diff`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main

OLD = """\
upstreams: {a: {endpoints: ["http://a:1"]}}
filters: [rate_limit: {limits: [{name: few, rate: 10/minute}]}, methods: {allow: [GET]}]
routes: [{name: r, path: "/{x}", upstream: a}]
"""


def diff(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["diff", *map(str, arguments)])


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(OLD)
    new.write_text(OLD.replace("10/minute", "5/minute").replace("[GET]", "[GET, PUT]"))
    return old, new


def test_changes_in_words(paths: tuple[Path, Path]) -> None:
    old, new = paths
    done = diff(old, new)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"loosens   methods allow: added PUT  {new}:2:87",
        f"tightens  rate_limit 'few' rate: 10/minute -> 5/minute  {new}:2:45",
        "rate_limit 'few': what it has counted or remembered is lost",
        "2 changes: 1 loosens, 1 tightens. A reload puts them in force.",
    ]


def test_what_means_the_same(paths: tuple[Path, Path]) -> None:
    old, _ = paths
    assert diff(old, old).stdout == "They mean the same.\n"


def test_how_refusals_look_is_nothing_that_is_forgotten(paths: tuple[Path, Path]) -> None:
    old, new = paths
    new.write_text(OLD.replace("limits:", "status: 429, headers_on: all, limits:"))
    assert "is lost" not in diff(old, new).stdout


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ("[{name: a, max: 9, queue: {max: 3}}, {name: b, max: 2, key: [client_ip]}]", []),
        ("[{name: b, max: 2, key: [client_ip]}, {name: a, max: 2, status: 503}]", []),
        ("[{name: a, max: 2}]", ["concurrency 'b'"]),
        ("[{name: a, max: 2}, {name: b, max: 2, key: [user_id]}]", ["concurrency 'b'"]),
    ],
)
def test_requests_under_way_are_forgotten_limit_by_limit(
    paths: tuple[Path, Path], limits: str, told: list[str]
) -> None:
    old, new = paths
    text = OLD.replace("methods: {allow: [GET]}", "concurrency: {limits: LIMITS}")
    old.write_text(text.replace("LIMITS", "[{name: a, max: 2}, {name: b, max: 2, key: [client_ip]}]"))
    new.write_text(text.replace("LIMITS", limits))
    assert json.loads(diff(old, new, "--format", "json").stdout)["lost"] == told


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("store: {url: 'redis://a', lease: {}}", "store: {url: 'redis://a'}", []),
        ("store: {url: 'redis://a'}", "store: {url: 'redis://a', lease: {}}", []),
        ("store: {url: 'redis://a'}", "store: {url: 'redis://A:6379/0'}", []),
        (
            "store: {url: 'redis://a', lease: {}}",
            "consumers: true",
            ["rate_limit 'few'", "rate_limit 'more'"],
        ),
        ("store: {url: 'redis://a'}", "store: {url: 'redis://b'}", ["rate_limit 'few'", "rate_limit 'more'"]),
    ],
)
def test_where_is_counted_is_a_matter_of_limits(
    paths: tuple[Path, Path], was: str, now: str, told: list[str]
) -> None:
    old, new = paths
    text = OLD.replace("limits: [", "WHERE, limits: [{name: more, rate: 9/day}, ")
    old.write_text(text.replace("WHERE", was))
    new.write_text(text.replace("WHERE", now))
    assert json.loads(diff(old, new, "--format", "json").stdout)["lost"] == told


def test_a_limit_that_shares_its_name_is_told_with_its_group(paths: tuple[Path, Path]) -> None:
    old, new = paths
    groups = "groups: [{name: a, for: {roles: [a]}, limits: [{name: w, rate: 1/day}]}, {name: b, limits: [{name: w, rate: 2/day}]}]"
    old.write_text(OLD.replace("limits:", f"{groups}, limits:"))
    new.write_text(old.read_text().replace("2/day", "3/day"))
    assert json.loads(diff(old, new, "--format", "json").stdout)["lost"] == ["rate_limit 'b.w'"]


def test_json(paths: tuple[Path, Path]) -> None:
    told = json.loads(diff(*paths, "--format", "json").stdout)
    assert [change["risk"] for change in told["changes"]] == ["loosens", "tightens"]
    assert told["lost"] == ["rate_limit 'few'"]


def test_what_is_not_to_be(paths: tuple[Path, Path]) -> None:
    assert diff(*paths, "--fail-on", "loosens").exit_code == 1
    assert diff(*paths, "--fail-on", "either").exit_code == 0


def test_a_restart(paths: tuple[Path, Path]) -> None:
    old, new = paths
    new.write_text(OLD + "workers: 3\n")
    assert "A restart is needed." in diff(old, new).stdout


def test_a_configuration_that_is_wrong(paths: tuple[Path, Path]) -> None:
    old, new = paths
    new.write_text(OLD.replace("allow", "alow"))
    done = diff(old, new)
    assert done.exit_code == 2 and "did you mean 'allow'?" in done.stderr
