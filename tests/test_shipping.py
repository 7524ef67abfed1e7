"""The recipes of docs/shipping.md: carried out where the tool can run here, else parsed and compared with what a record has.

That of logrotate is carried out in tests/cli/test_reopen.py.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from gateway.config.load import loads
from gateway.inspect.field import FIELDS
from gateway.registry import Registry
from gateway.serializer import Serializer
from tests.support.gateway import configuration
from tests.support.records import attempt, record, refused

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "deploy" / "logs"
DOCUMENT = (ROOT / "docs" / "shipping.md").read_text()

KNOWN = {field.key for field in FIELDS} | {"kind", "timestamp"}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of a plan, a request that was passed on, and one that was refused."""
    serializer = Serializer(b"k" * 32, 0)
    passed, other = record(attempts=[attempt()]), refused()
    other_id = f"{other.exchange.request_id[:-1]}x".encode()
    path = tmp_path / "requests.log"
    path.write_bytes(
        serializer.plan("abc", {}, 1_700_000_000.0)
        + serializer.line(passed, 1)
        + serializer.line(other, 2).replace(other.exchange.request_id.encode(), other_id)
    )
    return path


def text(name: str) -> str:
    return (LOGS / name).read_text()


def test_every_sample_is_explained_and_every_one_that_is_explained_exists() -> None:
    linked = set(re.findall(r"\.\./deploy/logs/([\w.]+)\)", DOCUMENT))
    assert linked == {file.name for file in LOGS.iterdir()}


def test_the_configurations_that_are_shown_are_right() -> None:
    shown = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    shown += [line.strip() for line in re.findall(r"^    (log: \{.*\})$", DOCUMENT, re.MULTILINE)]
    assert len(shown) == 3
    for block in shown:
        loads(
            configuration("http://127.0.0.1:9", **yaml.safe_load(block)), "gateway.yaml", registry=Registry()
        )


def test_vectors_components_fit_together() -> None:
    vector = tomllib.loads(text("vector.toml"))
    sources, transforms, sinks = vector["sources"], vector["transforms"], vector["sinks"]
    for component in (*transforms.values(), *sinks.values()):
        assert set(component["inputs"]) <= sources.keys() | transforms.keys()
    named = re.findall(r"fields\.(\w+)|fields\.\"([\w.]+)\"", text("vector.toml"))
    assert {plain or quoted for plain, quoted in named} <= KNOWN


def test_promtails_stages_name_fields_that_there_are() -> None:
    (job,) = yaml.safe_load(text("promtail.yaml"))["scrape_configs"]
    stages: dict[str, Any] = {
        name: options for stage in job["pipeline_stages"] for name, options in stage.items()
    }
    expressions: dict[str, str] = stages["json"]["expressions"]
    assert {expression.strip('"') for expression in expressions.values()} <= KNOWN
    used = {stages["timestamp"]["source"], *stages["labels"], *stages["structured_metadata"]}
    assert used <= expressions.keys()


def test_alloys_components_fit_together_and_name_fields_that_there_are() -> None:
    alloy = re.sub(r"^\s*//.*$", "", text("alloy.alloy"), flags=re.MULTILINE)
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', alloy)
    assert bare.count("{") == bare.count("}")
    assert bare.count("[") == bare.count("]")
    blocks = {f"{kind}.{label}" for kind, label in re.findall(r'^([\w.]+) "(\w+)" \{', alloy, re.MULTILINE)}
    referred = set(re.findall(r"\b((?:local|loki)\.[\w.]+)\.(?:receiver|targets)\b", bare))
    assert referred == blocks - {"loki.source.file.weir"}
    (inside,) = re.findall(r"expressions = \{(.*?)\}", alloy, re.DOTALL)
    expressions = dict(re.findall(r'(\w+)\s*= "(timestamp|\\"[\w.]+\\")"', inside))
    assert len(expressions) == 5
    assert {expression.strip('\\"') for expression in expressions.values()} <= KNOWN


@pytest.mark.parametrize("name", ["promtail.yaml", "alloy.alloy"])
def test_lokis_agents_leave_out_what_is_no_request(name: str, log: Path) -> None:
    """Their selector looks for a text in the line, as `!=` does."""
    if name == "promtail.yaml":
        (job,) = yaml.safe_load(text(name))["scrape_configs"]
        (selector,) = [stage["match"]["selector"] for stage in job["pipeline_stages"] if "match" in stage]
    else:
        written = re.search(r'selector = ("(?:[^"\\]|\\.)*")', text(name))
        assert written is not None
        selector = orjson.loads(written[1])
    found = re.fullmatch(r'\{service_name="weir"\} != ("(?:[^"\\]|\\.)*")', selector)
    assert found is not None
    looked_for = orjson.loads(found[1])
    dropped = [orjson.loads(line)["kind"] for line in log.read_text().splitlines() if looked_for not in line]
    assert dropped == ["plan"]


def test_clickhouses_columns_are_of_fields_that_there_are() -> None:
    named = re.findall(r"JSONExtract\w+\(line, '([\w.]+)'\)", text("clickhouse.sql"))
    assert len(named) > 15
    assert set(named) <= KNOWN | {"tls.protocol.version"}


def test_clickhouse_takes_the_log_by_the_sample(log: Path, tmp_path: Path) -> None:
    chdb = pytest.importorskip("chdb.session", reason="needs chdb, which is half a gigabyte")
    session = chdb.Session(str(tmp_path / "clickhouse"))
    statements = re.sub(r"^--.*$", "", text("clickhouse.sql"), flags=re.MULTILINE)
    make, table, insert = statements.split(";")
    session.query(make)
    session.query(re.sub(r"\nTTL .*", "", table))  # the records are old
    insert, count = re.subn(r"input\('line String'\)", f"file('{log}', LineAsString, 'line String')", insert)
    assert count == 1
    for _ in range(2):  # what is put in twice is there once
        session.query(insert.replace("FORMAT LineAsString", ""))
    answer = session.query(
        "SELECT method, status, decision, reason, filter, revision, toUnixTimestamp64Milli(timestamp) AS at, path, upstream"
        " FROM weir.requests FINAL ORDER BY status FORMAT JSONEachRow"
    )
    rows = [orjson.loads(row) for row in str(answer).splitlines()]
    session.close()
    lines = [orjson.loads(line) for line in log.read_bytes().splitlines()[1:]]
    assert [(row["status"], row["reason"], row["path"]) for row in rows] == [
        (line["http.response.status_code"], line["gateway.reason"], line["url.path"]) for line in lines
    ]
    assert rows[1]["filter"] == "methods"
    assert int(rows[0]["at"]) == 1_700_000_000_250
