"""Whole installations: what they are moved to passes, says where it comes from, and does what Repose did."""

from pathlib import Path

import pytest

from gateway.config.load import load_as, loads
from gateway.migration.repose import Migration, MigrationError, migrate
from gateway.registry import Registry
from gateway.trial.case import Suite
from gateway.trial.coverage import Coverage
from gateway.trial.suite import run
from gateway.trial.trial import Trial
from tests.migration.installed import installed, moved, notes, outcome, part, plan

HERE = Path(__file__).parent
INSTALLATIONS = ("nine", "six")
SECRETS = ("n0t-for-y0u", "s3cr3t!", "0rigin", "m4nganese", "p4ssw0rd")


def _moved(name: str) -> Migration:
    return migrate(HERE / name, environment={})


@pytest.mark.parametrize("name", INSTALLATIONS)
async def test_requests_fare_as_they_did(name: str) -> None:
    suite = load_as(HERE / name / "requests.yaml", Suite)
    registry = Registry()
    trial = Trial(loads(_moved(name).text, f"{name}.yaml", registry=registry, environment={}), registry)
    try:
        results = await run(suite, trial, Coverage(trial.plan))
    finally:
        await trial.close()
    assert [(one.test.name, one.step, one.mismatches, one.error) for one in results if not one.passed] == []


@pytest.mark.parametrize("name", INSTALLATIONS)
def test_what_is_written_may_be_put_in_force(name: str) -> None:
    assert plan(_moved(name)).entries


@pytest.mark.parametrize("name", INSTALLATIONS)
def test_secrets_are_written_nowhere(name: str) -> None:
    made = _moved(name)
    for text in (made.text, made.report.text(), str(made.report.as_json())):
        assert not [secret for secret in SECRETS if secret in text]
    assert all(f"${{{variable}:-change-me}}" in made.text for variable in made.variables)
    assert made.variables


@pytest.mark.parametrize("name", INSTALLATIONS)
def test_every_entry_names_the_file_and_the_line_that_it_is_made_of(name: str) -> None:
    lines = _moved(name).text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("  - ") and not line.startswith("  - {"):
            first = next(above for above in range(number, 0, -1) if not lines[above - 1].startswith("  # "))
            file, _, place = lines[first].strip().removeprefix("# ").partition(":")
            source = (HERE / name / file).read_text().splitlines()
            assert source[int(place) - 1].strip().startswith("<"), line


def test_nothing_is_silently_lost() -> None:
    made = _moved("nine")
    named = {part.name for part in made.report.parts}
    assert {"valkyrie-authorization", "metrics.cfg.xml", "keystone-v2-authorization"} <= named
    assert part(made, "valkyrie-authorization").outcome == "not moved"
    assert part(made, "header-translation").outcome == "moved"
    assert part(made, "keystone-v2").outcome == "moved with a difference"


def test_what_nobody_has_asked_for_is_told(tmp_path: Path) -> None:
    made = moved(
        tmp_path,
        '<filter name="uri-user" extra="1"/>',
        uri_user='<uri-user shape="round"><identification-mappings>\n'
        '<mapping id="m" identification-regex="/u/([^/]+)"/></identification-mappings>\n<colour>red</colour></uri-user>',
    )
    said = notes(made, "uri-user")
    assert "uri-user.cfg.xml:1 the attribute shape of uri-user is unknown" in said
    assert "uri-user.cfg.xml:3 the element colour of uri-user is unknown" in said
    assert part(made, "the attribute extra of filter").outcome == "not moved"


def test_a_filter_that_nobody_knows_and_one_without_its_file(tmp_path: Path) -> None:
    made = moved(tmp_path, '<filter name="of-our-own"/>\n<filter name="ip-user"/>')
    assert "no filter of this name is known" in notes(made, "of-our-own")
    assert notes(made, "ip-user").startswith("system-model.cfg.xml:4 there is no file ip-user.cfg.xml\n")


def test_all_files_that_are_wrong_are_told_at_once(tmp_path: Path) -> None:
    files = {"ip-user": "<ip-user>", "uri-user": "<uri-user>\n<quality>much</quality></uri-user>"}
    installed(tmp_path, '<filter name="ip-user"/><filter name="uri-user"/>', files)
    with pytest.raises(MigrationError) as raised:
        migrate(tmp_path, environment={})
    assert str(raised.value).splitlines() == [
        "ip-user.cfg.xml:1: not XML: no element found",
        "uri-user.cfg.xml:2: quality is a number, not 'much'",
    ]


def test_variables_that_repose_has_been_given_are_named(tmp_path: Path) -> None:
    files = {"add-header": "<a><request><header name='X-A'>{$ REGION $}</header></request></a>"}
    installed(tmp_path, '<filter name="add-header"/>', files)
    made = migrate(tmp_path, environment={})
    assert "# Variables that Repose has been given, and this needs too: REGION\n" in made.text
    (entry,) = plan(made, {"REGION": "north"}).entries
    assert entry.name == "add-header"


def test_a_directory_without_a_system_model(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=r"system-model\.cfg\.xml: there is no system-model\.cfg\.xml"):
        migrate(tmp_path)


def test_names_and_values_cannot_write_lines_of_their_own(tmp_path: Path) -> None:
    hostile = "x&#10;admin: 0.0.0.0:1&#10;y"
    made = moved(
        tmp_path,
        f'<filter id="{hostile}" name="add-header"/>',
        add_header=f"<add-headers><request><header name='X-A'>{hostile}</header></request>"
        "<response><header name='X-B'>: \" # {} [] ${HOME} $$ \u00e9 \\ ' - x</header></response></add-headers>",
    )
    assert "\nadmin" not in made.text
    assert "headers: request.add" in notes(made, "add-header")
    made = moved(
        tmp_path,
        '<filter name="add-header"/>',
        add_header="<add-headers>"
        "<response><header name='X-B'>: \" # {} [] ${HOME} $$ \u00e9 \\ ' - x</header></response></add-headers>",
    )
    (entry,) = loads(made.text, "x", registry=Registry(), environment={}).configuration.filters
    assert entry.options.response.add == {"X-B": ": \" # {} [] ${HOME} $$ \u00e9 \\ ' - x"}  # type: ignore[attr-defined]


async def test_in_front_of_the_repose_everything_is_forwarded_as_it_came_and_judged_in_shadow() -> None:
    made = migrate(HERE / "nine", shadow="http://127.0.0.1:8088", environment={})
    configuration = loads(made.text, "x", registry=Registry(), environment={}).configuration
    assert {entry.mode for entry in configuration.filters} == {"shadow"}
    headers = (("X-Internal", "1"), ("X-Roles", "admin"))
    got = await outcome(made, "DELETE", "/servers//t1", headers=headers)
    assert got.forwarded is not None and got.status == 200
    assert got.forwarded.line.startswith("DELETE /servers//t1 ")
    assert set(headers) <= set(got.forwarded.headers)
    assert [step.told["name"] for step in got.steps if step.told["verdict"] == "refuse"][:1] == [
        "keystone-v2"
    ]


REFUSED = [
    ("client-authorization", "", ""),
    ("valkyrie-authorization", "valkyrie-authorization", "<valkyrie-authorization/>"),
    ("scripting", "scripting", "<scripting/>"),
    ("versioning", "", ""),
    ("translation", "", ""),
    ("my-own-auth", "", ""),
    ("keystone-v2", "", ""),
    ("simple-rbac", "", ""),
    ("rate-limiting", "", ""),
    ("header-normalization", "", ""),
    ("keystone-v2", "keystone-v2", "<keystone-v2/>"),
    ("client-auth", "client-auth-n", "<client-auth><rackspace-auth/></client-auth>"),
    ("client-auth", "client-auth-n", "<client-auth><openstack-auth/></client-auth>"),
    ("openstack-identity-v3", "openstack-identity-v3", "<openstack-identity-v3/>"),
    ("keystone-v2-basic-auth", "keystone-v2-basic-auth", "<keystone-v2-basic-auth/>"),
    ("uri-user", "uri-user", "<uri-user/>"),
    ("api-validator", "validator", "<validators/>"),
    ("cors", "cors", "<cors/>"),
]


@pytest.mark.parametrize(("name", "file", "text"), REFUSED)
async def test_what_cannot_be_moved_and_may_have_refused_something_refuses_all(
    tmp_path: Path, name: str, file: str, text: str
) -> None:
    made = moved(tmp_path, f'<filter name="{name}" uri-regex="/a/.*"/>', **({file: text} if file else {}))
    assert part(made, name).outcome == "not moved"
    assert part(made, name).refuses
    assert (await outcome(made, target="/a/b")).status == 503
    assert (await outcome(made, target="/b")).status == 200


@pytest.mark.parametrize(
    "name", ["slf4j-http-logging", "herp", "flush-output", "merge-header", "compression"]
)
async def test_what_has_refused_nothing_is_left_out_with_a_note(tmp_path: Path, name: str) -> None:
    made = moved(tmp_path, f'<filter name="{name}"/>')
    assert part(made, name).outcome == "not moved"
    assert not part(made, name).refuses
    assert (await outcome(made)).status == 200


@pytest.mark.parametrize(("attribute", "status"), [("require-mfa", 503), ("id", 200)])
async def test_what_is_unknown_of_a_filter_may_have_been_a_check(
    tmp_path: Path, attribute: str, status: int
) -> None:
    text = f"<header-normalization {attribute}='x'><target><request><blacklist><header id='X-A'/></blacklist></request></target></header-normalization>"
    made = moved(tmp_path, '<filter name="header-normalization"/>', header_normalization=text)
    assert (await outcome(made)).status == status
    assert f"the attribute {attribute}" in notes(made, "header-normalization")
