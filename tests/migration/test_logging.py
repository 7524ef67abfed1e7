"""Logs in other forms."""

from pathlib import Path

from gateway.config.load import loads
from gateway.migration.repose import Migration
from gateway.registry import Registry
from tests.migration.installed import moved_filter, notes, part


def _moved(directory: Path, body: str) -> Migration:
    return moved_filter(directory, "slf4j-http-logging", f"<slf4j-http-logging>\n{body}</slf4j-http-logging>")


def _copies(made: Migration) -> list[tuple[str, str]]:
    configuration = loads(made.text, "x", registry=Registry(), environment={}).configuration
    return [(copy.path, str(copy.format)) for copy in configuration.log.copies]


def test_formats_are_copies_of_the_request_log(tmp_path: Path) -> None:
    made = _moved(
        tmp_path,
        '<slf4j-http-log id="my log" format="%h %{X-Trans-Id}h %{yyyy}t &quot;%r&quot; %s"/>\n'
        '<slf4j-http-log id="b"><format crush="true"><![CDATA[%a\n   %u %D]]></format></slf4j-http-log>',
    )
    assert _copies(made) == [("my-log.log", '%h %{X-Trans-Id}i %t "%r" %s'), ("b.log", "%a %u %D")]
    assert part(made, "slf4j-http-logging").into == ["log.copies[0]", "log.copies[1]"]
    assert "the time is written as Apache does" in notes(made, "slf4j-http-logging")


def test_a_format_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    made = _moved(tmp_path, '<slf4j-http-log id="a" format="%Z nothing"/>')
    assert part(made, "slf4j-http-logging").outcome == "not moved"
    assert "slf4j-http-logging.cfg.xml:2 the format '%Z nothing'" in notes(made, "slf4j-http-logging")


def test_every_copy_has_a_file_of_its_own(tmp_path: Path) -> None:
    made = _moved(
        tmp_path, "".join(f'<slf4j-http-log id="{name}" format="%h"/>' for name in ("a", "a", "", "", "../x"))
    )
    assert [path for path, _ in _copies(made)] == ["a.log", "a-2.log", "access.log", "access-2.log", "-x.log"]
