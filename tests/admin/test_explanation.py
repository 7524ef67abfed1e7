"""A trial in a process of its own: what it reads, what it writes, and what it says of what cannot be tried."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.explanation import question
from gateway.config.load import Loaded, loads
from gateway.registry import Registry
from gateway.trial.case import Circumstances
from tests.support.gateway import configuration

SECRET = "hidden-token"
FILTERS = [{"token_auth": {"providers": [{"static": {"tokens": [{"token": SECRET, "user": "a"}]}}]}}]


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    text = configuration("http://127.0.0.1:9", filters=FILTERS)
    one_line = text.replace(f"token: {SECRET}", f'"token": "{SECRET}"')
    return loads(one_line, "gateway.yaml", registry=Registry(), directory=tmp_path)


def answered(given: bytes) -> tuple[int, str, str]:
    command = [sys.executable, "-P", "-c", "from gateway.admin.explanation import main; main()"]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def said(**circumstances: Any) -> Circumstances:
    return Circumstances.model_validate(circumstances)


def test_what_becomes_of_the_request_is_told_without_the_configurations_secrets(loaded: Loaded) -> None:
    asked = said(request="GET /v2/a", headers={"X-Auth-Token": SECRET})
    status, out, _ = answered(question(loaded, asked))
    told = json.loads(out)
    assert (status, told["decision"], told["filters"][0]["verdict"]) == (0, "forward", "pass")
    assert told["text"][0]["style"] == "good"
    assert SECRET not in out


def test_the_request_comes_when_it_is_said_to_come(loaded: Loaded) -> None:
    asked = said(request="GET /v2/a", identity="user=u", clock="2026-01-31T12:00")
    given = question(loaded, asked)
    assert json.loads(given)["given"]["clock"] == 1_769_860_800.0
    assert answered(given)[0] == 0


def test_what_cannot_be_tried_says_why_in_a_line(loaded: Loaded) -> None:
    broken = json.loads(question(loaded, said(request="GET /v2/a")))
    broken["text"] = "routes: 7"
    status, out, errors = answered(json.dumps(broken).encode())
    assert (status, out) == (1, "")
    assert errors.startswith("Error: gateway.yaml:1")
    assert "Traceback" not in errors
