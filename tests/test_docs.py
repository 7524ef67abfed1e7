"""What the documents show works as shown."""

import re
import sys
import types
from pathlib import Path

import pytest

from gateway.api import REASONS
from gateway.cli.main import COMMANDS
from gateway.config.load import loads
from gateway.plan import build_plan
from gateway.registry import Registry
from gateway.trial.case import Circumstances, Expected, Step, UpstreamAnswer
from tests.openstack.difference import KINDS
from tests.openstack.traffic import REQUESTS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_readmes_configuration_is_valid(tmp_path: Path) -> None:
    (text,) = blocks("yaml")
    (tmp_path / "tokens.yaml").write_text("- { token: t-1, user: u, user_id: i, project_id: p }\n")
    registry = Registry()
    build_plan(loads(text, "README.md", registry=registry, directory=tmp_path), registry)


def test_the_readmes_filter_and_its_test_run(monkeypatch: pytest.MonkeyPatch) -> None:
    source, test = blocks("python")
    module = types.ModuleType("filters.quiet_hours")
    monkeypatch.setitem(sys.modules, "filters.quiet_hours", module)
    exec(compile(source, "quiet_hours.py", "exec"), module.__dict__)
    exec(compile(test, "README.md", "exec"), {})


def test_every_command_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"\bweir (\w+)", README))
    assert named <= set(COMMANDS)


def test_every_file_that_the_documents_link_to_exists() -> None:
    for document in (
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "docs/from-repose.md",
        "docs/openstack.md",
        "docs/shipping.md",
        "docs/records.md",
        "docs/descriptions.md",
        "docs/moving-from-repose.md",
    ):
        place = ROOT / document
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", place.read_text()):
            assert (place.parent / target).exists(), f"{document}: {target}"


def test_the_make_targets_that_the_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in ("README.md", "CONTRIBUTING.md", "docs/openstack.md", "docs/records.md"):
        named = set(re.findall(r"\bmake ([a-z-]+)", (ROOT / document).read_text()))
        assert named <= targets, document


def test_every_difference_that_is_meant_is_explained() -> None:
    text = (ROOT / "docs" / "openstack.md").read_text()
    table = text.partition("| Kind | What a client sees | Why |\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[1:]]
    assert [kind for kind, _, _ in rows] == [kind.name for kind in KINDS]
    assert all(all(row) for row in rows)
    assert f"\n{len(REQUESTS)} requests" in text


def test_all_that_a_configuration_test_may_say_is_documented() -> None:
    text = (ROOT / "docs" / "trying.md").read_text()
    for model in (Circumstances, Expected, UpstreamAnswer, Step):
        for name in model.model_fields:
            assert f"`{name}`" in text, f"{name} of {model.__name__}"


def test_the_configurations_of_the_page_on_descriptions_are_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "descriptions.md").read_text()
    (tmp_path / "tokens.yaml").write_text("- { token: t-1, user: u, user_id: i, project_id: p }\n")
    described = ROOT / "config" / "examples" / "api" / "image-metadata.openapi.yaml"
    (tmp_path / "api.yaml").write_bytes(described.read_bytes())
    shown = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(shown) == 2
    registry = Registry()
    for filters in shown:
        whole = (
            'upstreams: { u: { endpoints: ["http://u:1"] } }\n'
            + filters
            + 'routes: [{ name: r, path: "/{rest*}", upstream: u }]\n'
        )
        build_plan(loads(whole, "descriptions.md", registry=registry, directory=tmp_path), registry)


def test_the_page_on_descriptions_names_every_reason_of_a_refusal() -> None:
    text = (ROOT / "docs" / "descriptions.md").read_text()
    table = text.partition("| Reason in the record |\n")[2].partition("\n\n")[0]
    cells = (line.strip("|").rpartition("|")[2] for line in table.splitlines()[1:])
    named = {reason for cell in cells for reason in re.findall(r"`([a-z_]+)`", cell)}
    sources = (path.read_text() for path in (ROOT / "filters" / "api").glob("*.py"))
    given = set().union(*(re.findall(r'"([a-z]+(?:_[a-z]+)+)"', source) for source in sources))
    refusals = {reason for reason in given & REASONS.keys() if not reason.startswith("answer_")}
    assert refusals <= named
    assert named <= REASONS.keys()
