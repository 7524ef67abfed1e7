"""How the application log is written."""

import json
import sys

import pytest
import structlog

from gateway import application_log


def test_is_json_lines_on_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = structlog.get_config()
    try:
        application_log.configure()
        log = structlog.get_logger("gateway")
        log.debug("too little to tell")
        log.info("started", listen=["127.0.0.1:1"])
        try:
            raise ValueError("a bug")
        except ValueError as error:
            log.error("bug", exc_info=error)
    finally:
        structlog.configure(**kept)
    out, err = capsys.readouterr()
    assert out == ""
    started, bug = map(json.loads, err.splitlines())
    assert (started["event"], started["level"], started["listen"]) == ("started", "info", ["127.0.0.1:1"])
    assert started["timestamp"].endswith("Z")
    assert bug["exception"].endswith("ValueError: a bug")


def test_is_readable_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = structlog.get_config()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    try:
        application_log.configure()
        structlog.get_logger("gateway").info("started", worker=3)
    finally:
        structlog.configure(**kept)
    err = capsys.readouterr().err
    assert "started" in err
    assert "worker" in err
    assert "{" not in err
