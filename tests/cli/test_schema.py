"""`weir schema`."""

import json

from click.testing import CliRunner

from gateway.cli.main import main
from gateway.config.reference import SCHEMA_DIALECT


def test_prints_a_schema_with_every_filter() -> None:
    done = CliRunner().invoke(main, ["schema"])
    assert done.exit_code == 0
    printed = json.loads(done.stdout)
    assert printed["$schema"] == SCHEMA_DIALECT
    assert {"filter.methods", "filter.token_auth"} <= printed["$defs"].keys()
