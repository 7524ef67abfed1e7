"""`weir routes`: from a description to routes, and back."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main

CONFIG = Path(__file__).parents[2] / "config"
EXAMPLES = CONFIG / "examples" / "api"
DESCRIPTIONS = ["image-metadata.openapi.yaml", "image-metadata.wadl"]


def weir(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["routes", *map(str, arguments)])


@pytest.mark.parametrize("options", [[], ["--by-hand"]])
@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_what_is_imported_passes_the_check_and_agrees_with_its_description(
    tmp_path: Path, name: str, options: list[str]
) -> None:
    output = tmp_path / "gateway.yaml"
    assert weir("import", EXAMPLES / name, "-o", output, *options).exit_code == 0
    checked = CliRunner().invoke(main, ["check", str(output)])
    assert (checked.exit_code, "2 routes" in checked.output) == (0, True), checked.output
    for description in DESCRIPTIONS:
        told = weir("lint", EXAMPLES / description, output)
        assert (told.exit_code, told.output) == (0, f"{output}: as described, 2 paths\n")


def test_the_shipped_configuration_agrees_with_the_description() -> None:
    assert weir("lint", EXAMPLES / DESCRIPTIONS[0], CONFIG / "gateway.yaml").exit_code == 0


def test_without_a_file_to_write_it_is_printed() -> None:
    told = weir("import", EXAMPLES / DESCRIPTIONS[0], "--upstream", "compute", "--base", "/v3")
    assert told.exit_code == 0
    assert "    path: /v3/{project_id}/images/{image_id}/metadata\n    upstream: compute\n" in told.output


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    output = tmp_path / "gateway.yaml"
    output.write_text("mine")
    told = weir("import", EXAMPLES / DESCRIPTIONS[0], "-o", output)
    assert (told.exit_code, output.read_text()) == (1, "mine")
    assert "File exists" in told.output


def test_findings_are_printed_with_their_places(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(
        'upstreams: { u: { endpoints: ["http://u:1"] } }\n'
        "routes: [{ name: r, path: /open, upstream: u, methods: [GET] }]\n"
    )
    told = weir("lint", EXAMPLES / DESCRIPTIONS[1], config)
    assert told.exit_code == 1
    lines = told.output.splitlines()
    assert lines[0] == f"{config}:2:21: the route 'r' takes what is not described: GET of /open"
    assert len(lines) == 7
    assert all("is described, and no route takes it" in line for line in lines[1:])
    listed = json.loads(weir("lint", EXAMPLES / DESCRIPTIONS[1], config, "--format", "json").output)
    assert [one["kind"] for one in listed] == ["open", *["unreachable"] * 6]
    assert (listed[0]["line"], listed[0]["column"]) == (2, 21)


def test_an_api_entry_that_reads_the_description_elsewhere_is_found(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    example = EXAMPLES / DESCRIPTIONS[0]
    config.write_text(
        'upstreams: { u: { endpoints: ["http://u:1"] } }\n'
        'routes: [{ name: r, path: "/{rest*}", upstream: u }]\n'
        f"filters: [{{ api: {{ description: '{example}', base: /other }} }}]\n"
    )
    told = weir("lint", example, config)
    assert told.exit_code == 1
    assert "`api` of the route 'r' refuses it" in told.output
    assert weir("lint", example, config, "--base", "/other").exit_code == 0
    config.write_text(config.read_text().replace(str(example), "none.yaml"))
    assert weir("lint", example, config).exit_code == 2


def test_by_hand_whom_operations_are_for_is_told(tmp_path: Path) -> None:
    output = tmp_path / "gateway.yaml"
    told = weir("import", EXAMPLES / DESCRIPTIONS[1], "--by-hand", "-o", output)
    lines = [line for line in told.stderr.splitlines() if "nobody asks" in line]
    assert len(lines) == output.read_text().count("Nobody asks for who is calling") > 0
    path = "/v2/{project_id}/images/{image_id}/metadata"
    assert f"nobody asks for who is calling: POST {path} is for the roles admin or member" in lines
    assert "nobody asks" not in weir("import", EXAMPLES / DESCRIPTIONS[1]).stderr


def test_what_cannot_be_read_is_told_and_nothing_else(tmp_path: Path) -> None:
    bad = tmp_path / "api.yaml"
    bad.write_text("openapi: 3.1.0\npaths: { a: {get: {}} }\n")
    told = weir("import", bad)
    assert (told.exit_code, told.output) == (1, f"{bad}:2:10: /paths/a: a path begins with '/'\n")
    bad.write_text("openapi: 3.1.0\n")
    assert "no path that can be a route" in weir("import", bad).output
    bad.write_text("openapi: 2.0\n")
    assert weir("lint", bad, CONFIG / "gateway.yaml").exit_code == 2
    assert weir("lint", EXAMPLES / DESCRIPTIONS[0], bad).exit_code == 2
    assert weir("import", tmp_path / "none.yaml").exit_code == 1


COOKIE = (
    "openapi: 3.1.0\ninfo: {title: t, version: '1'}\npaths:\n  /a:\n    get:\n"
    "      parameters: [{name: c, in: cookie, schema: {type: string}}]\n      responses: {}\n"
)


def test_what_nobody_looks_at_passes_when_it_is_said_so(tmp_path: Path) -> None:
    description = tmp_path / "api.yaml"
    description.write_text(COOKIE)
    for options, told, status in (
        ([], "`weir check` refuses it, or --allow-unchecked", 1),
        (["--allow-unchecked"], "it passes (`unchecked: allow`)", 0),
    ):
        output = tmp_path / f"gateway{status}.yaml"
        made = weir("import", description, "-o", output, *options)
        assert (made.exit_code, made.stderr.splitlines()[-1]) == (0, told)
        assert "not checked: " in made.stderr and "cookies are not looked at: 'c'" in made.stderr
        checked = CliRunner().invoke(main, ["check", str(output)])
        assert (checked.exit_code, "`unchecked: allow` has it pass" in checked.stderr) == (
            status,
            status == 1,
        )
    assert "weir check" not in weir("import", description, "--by-hand").stderr


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    for arguments in (("import", "/dev/zero"), ("lint", "/dev/zero", CONFIG / "gateway.yaml")):
        assert "/dev/zero: cannot be read: it is no regular file" in weir(*arguments).output
    config = tmp_path / "gateway.yaml"
    config.write_text(
        'filters: [{ api: { description: /dev/zero } }]\nupstreams: { u: { endpoints: ["http://u:1"] } }\n'
        "routes: [{ name: r, path: /open, upstream: u }]\n"
    )
    checked = CliRunner().invoke(main, ["check", str(config)])
    assert "it is no regular file" in checked.stderr


def test_a_link_out_of_the_directory_is_not_followed(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.xsd").write_text("<a/>")
    (inside / "l.xsd").symlink_to(tmp_path / "secret.xsd")
    wadl = inside / "api.wadl"
    wadl.write_text(
        '<application xmlns="http://wadl.dev.java.net/2009/02"><grammars><include href="l.xsd"/></grammars></application>'
    )
    assert "l.xsd: cannot be read: it leads out of the directory of api.wadl" in weir("import", wadl).output
    config = inside / "gateway.yaml"
    config.write_text(
        'filters: [{ api: { description: api.wadl } }]\nupstreams: { u: { endpoints: ["http://u:1"] } }\n'
        "routes: [{ name: r, path: /open, upstream: u }]\n"
    )
    checked = CliRunner().invoke(main, ["check", str(config)])
    assert "it leads out of the directory of api.wadl" in checked.stderr
