"""`weir explain`."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import main
from gateway.config.locate import bundled
from tests.backtest.logged import Asked, logged, text_of, written

CONFIG = """\
upstreams: {a: {endpoints: ["http://a.invalid:1"]}}
filters:
  - token_auth:
      providers: [{introspection: {url: "http://idp.invalid/", client_id: a, client_secret: b}}]
  - rate_limit: {limits: [{name: few, rate: 2/minute, burst: 2, key: [project_id]}]}
  - methods: {allow: [GET, POST]}
routes:
  - {name: r, path: "/{x}", upstream: a}
"""


def explain(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, ["explain", *arguments], input=given)


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    return str(path)


def test_a_request_that_is_forwarded(path: str) -> None:
    done = explain(path, "/a", "--as", "user=u,project=p", "--answer", "200", "--answer-data", "ok")
    assert done.exit_code == 0
    assert done.stdout.startswith("GET /a  200  forward  passed\n")


def test_a_request_that_is_refused(path: str) -> None:
    done = explain(path, "/a", "-X", "DELETE", "--as", "user=u,project=p")
    assert done.exit_code == 1
    assert f"405  refuse  method_not_allowed  by methods  {path}:6:" in done.stdout


def test_a_request_that_is_undecidable(path: str) -> None:
    done = explain(path, "/a", "-H", "X-Auth-Token: t")
    assert done.exit_code == 3
    assert "undecidable: token_auth" in done.stdout and "asks the network: http://idp.invalid" in done.stdout


def test_what_has_been_counted(path: str) -> None:
    done = explain(path, "/a", "--as", "user=u,project=p", "--counted", "few=2", "--format", "json")
    told = json.loads(done.stdout)
    assert (told["status"], told["filter"], done.exit_code) == (413, "rate_limit", 1)


def test_a_body_from_a_file_and_from_standard_input(path: str, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"from a file")
    who = ("--as", "user=u,project=p", "--format", "json")
    told = json.loads(explain(path, "/a", "-d", f"@{tmp_path}/body", *who).stdout)
    assert (told["forwarded"]["line"], told["forwarded"]["body"]) == ("POST /a HTTP/1.1", "from a file")
    assert (
        json.loads(explain(path, "/a", "-d", "@-", *who, given="typed").stdout)["forwarded"]["body"]
        == "typed"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("/a", "-H", "X-Own"), "Expected `Name: value`"),
        (("/a", "--as", "usr=u"), "a caller has no 'usr'"),
        (("/a", "--counted", "few"), "Expected --counted LIMIT=N"),
        (("/a", "--at", "noon"), "is no time"),
        (("/a", "--at", "9999-01-01T00:00"), "--at: expected a time between 1970 and 2999."),
        (("/a", "--client", "999"), "--client: expected an IP address, got '999'."),
        (
            ("/a", "--counted", "fwe=1", "--as", "nobody"),
            "no limit is named 'fwe' (did you mean 'few'?): there are 'few'.",
        ),
        (("/a", "--counted", "few=1000000001"), "--counted: expected a number between 0 and 1,000,000,000."),
        (
            ("/a", "-X", "POST", "-H", "Content-Length: 5", "--as", "user=u,project=p"),
            "the request is not whole",
        ),
        (("/a", "--answer-data", "x"), "need --answer"),
        (("/a", "-d", "@/nowhere"), "cannot be read"),
        (("/a", "/b"), "One CONFIG and one TARGET"),
    ],
)
def test_what_is_wrong_is_said(path: str, arguments: tuple[str, ...], message: str) -> None:
    done = explain(path, *arguments)
    assert done.exit_code == 2 and message in done.output


def test_a_configuration_that_is_wrong(path: str) -> None:
    Path(path).write_text(CONFIG.replace("allow", "alow"))
    done = explain(path, "/a")
    assert done.exit_code == 2 and "did you mean 'allow'?" in done.stderr


def test_a_request_that_the_log_does_not_have(tmp_path: Path) -> None:
    """Not 1, which is said of one that is refused."""
    (tmp_path / "log").write_text("")
    done = explain("req-00000000-0000-4000-8000-000000000000", "--log", str(tmp_path / "log"))
    assert done.exit_code == 2 and "has the id" in done.stderr


def test_a_request_of_the_log(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    record = {
        "timestamp": "2026-01-31T12:00:00.000Z",
        "kind": "request",
        "gateway.request_id": "req-00000000-0000-4000-8000-000000000000",
        "http.request.method": "GET",
        "url.path": "/a",
        "gateway.decision": "refuse",
        "gateway.reason": "token_missing",
        "gateway.filter": "token_auth",
    }
    log.write_text(json.dumps(record) + "\n")
    done = explain("req-00000000-0000-4000-8000-000000000000", "--log", str(log))
    assert done.exit_code == 0 and "token_auth: token_missing" in done.stdout


def test_a_request_of_the_log_by_another_configuration(tmp_path: Path) -> None:
    old = text_of(filters=[{"methods": {"allow": ["GET"]}}])
    (tmp_path / "old.yaml").write_text(old)
    (tmp_path / "new.yaml").write_text(text_of())
    lines = asyncio.run(logged(old, [Asked(0, method="PUT"), Asked(1)]))
    log = written(lines, tmp_path / "log")
    refused = lines[1]["gateway.request_id"]
    done = explain(refused, "--log", str(log), "--config", str(tmp_path / "new.yaml"))
    assert "method_not_allowed" in done.stdout
    assert done.stdout.endswith(f"by {tmp_path / 'new.yaml'}\n  newly allowed: forwarded\n")
    done = explain(refused, "--log", str(log), "--config", str(tmp_path / "old.yaml"))
    assert done.stdout.endswith("  the same\n")
    told = explain(refused, "--log", str(log), "--config", str(tmp_path / "new.yaml"), "--format", "json")
    assert json.loads(told.stdout.splitlines()[-1])["class"] == "newly_allowed"


def test_the_bundled_configuration(tmp_path: Path) -> None:
    done = explain(str(bundled()), "/v2/p1/images")
    assert done.exit_code == 1 and "401" in done.stdout
