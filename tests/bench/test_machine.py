import pytest

from tests.bench.install import Tools
from tests.bench.machine import machine, processor, version_in, versions


@pytest.mark.parametrize(
    ("name", "output", "version"),
    [
        ("nginx", "nginx version: nginx/1.22.1\n", "1.22.1"),
        ("wrk", "wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012 Will Glozer\n", "4.1.0-3+b2"),
        ("envoy", "\n/x/envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL\n", "1.40.0"),
        ("redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0\n", "7.0.15"),
        ("envoy", "", "unknown (envoy does not say)"),
    ],
)
def test_finds_the_version_in_what_a_program_prints(name: str, output: str, version: str) -> None:
    assert version_in(name, output) == version


def test_finds_the_processor() -> None:
    assert processor("processor\t: 0\nmodel name\t: A Processor @ 2.3GHz\n") == "A Processor @ 2.3GHz"


def test_tells_the_machine() -> None:
    assert machine().keys() == {"cpu", "cores", "kernel", "load"}


def test_versions_of_the_request_path_are_told_without_any_peer() -> None:
    found = versions(Tools(None, None, None, None, None))
    assert {"weir", "python", "aiohttp", "httptools"} <= found.keys()
    assert "nginx" not in found
