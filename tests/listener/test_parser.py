"""What the listener takes from aiohttp: the one version, the C parser, and how its refusals are told apart."""

import ast
import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp.http_parser import HttpRequestParserPy

import gateway
from gateway.api.reason import REASONS
from gateway.listener.parser import ParseError, UnsupportedAiohttp, classify, make_parser, require_parser

PACKAGE = Path(gateway.__file__).parent


def test_the_installed_aiohttp_is_accepted() -> None:
    require_parser()


@pytest.mark.parametrize(
    "version", ["3.13.0", "3.14.0", "3.14.3", "3.15.0", "3.15.0a1", "4.0.0", "4.0.0a2.dev0", "2.3.1"]
)
def test_another_minor_version_or_one_with_a_known_hole_is_refused(version: str) -> None:
    with pytest.raises(UnsupportedAiohttp, match=version):
        require_parser(version)


@pytest.mark.parametrize("version", ["3.14.4", "3.14.5", "3.14.12"])
def test_a_version_with_the_holes_mended_is_accepted(version: str) -> None:
    require_parser(version)


def test_the_pure_python_parser_is_refused() -> None:
    with pytest.raises(UnsupportedAiohttp, match="C parser"):
        require_parser(parser=HttpRequestParserPy)


class Flow:
    def pause_reading(self) -> None: ...
    def resume_reading(self, resume_parser: bool = True) -> None: ...


HOST = b"Host: a\r\n"
# Each entry of the table, by bytes that bring the parser to it.
TABLE: dict[str, tuple[bytes, int, str]] = {
    "target too long": (b"GET /" + b"a" * 200 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "target_too_long"),
    "value too long": (
        b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 200 + b"\r\n\r\n",
        431,
        "headers_too_large",
    ),
    "name too long": (b"GET / HTTP/1.1\r\n" + HOST + b"a" * 200 + b": b\r\n\r\n", 431, "headers_too_large"),
    "too many fields": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 10 + b"\r\n", 431, "headers_too_large"),
    "no method known": (b"FETCH / HTTP/1.1\r\n" + HOST + b"\r\n", 501, "method_unknown"),
    "longer than a known method": (b"GETX / HTTP/1.1\r\n" + HOST + b"\r\n", 501, "method_unknown"),
    "no method at all": (b"\x00\x01\r\n\r\n", 400, "malformed_request"),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00", 400, "malformed_request"),
    "a method and no more": (b"GET\r\n\r\n", 400, "malformed_request"),
    "version": (b"GET / HTTP/3.7\r\n" + HOST + b"\r\n", 505, "version_unsupported"),
    "status line": (b"GET / FTP/1.1\r\n" + HOST + b"\r\n", 400, "malformed_request"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "host_invalid"),
    "two hosts": (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400, "host_invalid"),
    "two lengths": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        400,
        "framing_invalid",
    ),
    "a bad length": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1x\r\n\r\n", 400, "framing_invalid"),
    "two codings": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
        "framing_invalid",
    ),
    "length and coding": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
        "framing_invalid",
    ),
    "chunk": (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
        "framing_invalid",
    ),
    "a bad field": (b"GET / HTTP/1.1\r\n" + HOST + b"X Y: a\r\n\r\n", 400, "malformed_request"),
    "a bad target": (b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400, "malformed_request"),
    "a NUL": (b"GET / HTTP/1.1\r\n" + HOST + b"X: \x00\r\n\r\n", 400, "malformed_request"),
}


@pytest.mark.parametrize(("data", "status", "reason"), TABLE.values(), ids=TABLE)
def test_each_refusal_of_the_parser_has_its_status_and_reason(data: bytes, status: int, reason: str) -> None:
    loop = asyncio.new_event_loop()
    try:
        parser = make_parser(Flow(), loop, buffer=1000, target_length=100, field_size=100, header_count=8)
        with pytest.raises(ParseError) as caught:
            parser.feed_data(data)
        problem = classify(caught.value, data)
    finally:
        loop.close()
    assert (problem.status, problem.reason) == (status, reason)
    assert problem.reason in REASONS
    assert problem.message.endswith(".")


def test_an_unknown_refusal_is_400() -> None:
    problem = classify(
        ParseError(code=400, message="something that a later version says"), b"GET / HTTP/1.1\r\n"
    )
    assert (problem.status, problem.reason) == (400, "malformed_request")


def test_a_message_for_the_client_repeats_nothing_of_its_bytes() -> None:
    problem = classify(ParseError(code=400, message="Invalid header token:\n\n  b'<script>'"), b"<script>")
    assert "script" not in problem.message


def _imports(path: Path) -> list[str]:
    """Every name of aiohttp that a module imports, dotted."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.split(".")[0] == "aiohttp"]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "aiohttp":
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def test_private_names_of_aiohttp_are_used_in_one_module_only() -> None:
    """A new minor version of aiohttp is then one module to read, and the wire tests to run."""
    public = {f"aiohttp.{name}" for name in aiohttp.__all__}
    public |= {"aiohttp", "aiohttp.web", "aiohttp.hdrs", "aiohttp.typedefs.Handler"}
    found: dict[str, list[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        private = [name for name in _imports(path) if name not in public]
        if private:
            found[str(path.relative_to(PACKAGE))] = private
    assert list(found) == ["listener/parser.py"]


def test_the_data_plane_takes_nothing_else_of_aiohttp() -> None:
    users = {
        str(path.relative_to(PACKAGE))
        for part in ("listener", "upstream")
        for path in (PACKAGE / part).rglob("*.py")
        if _imports(path)
    }
    # The client carries no exchange: filters ask services by it.
    assert users == {"listener/parser.py", "upstream/http_client.py"}
