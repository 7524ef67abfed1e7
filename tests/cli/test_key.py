"""`weir key`."""

import hashlib

import yaml
from click.testing import CliRunner

from gateway.cli.main import main


def test_makes_a_key_and_tells_its_hash() -> None:
    first, second = (yaml.safe_load(CliRunner().invoke(main, ["key"]).stdout) for _ in range(2))
    assert first["key_sha256"] == hashlib.sha256(first["key"].encode()).hexdigest()
    assert len(first["key"]) >= 43 and first["key"] != second["key"]
