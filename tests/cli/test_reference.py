"""`weir reference`."""

from click.testing import CliRunner

from gateway.cli.main import main
from gateway.config.reference import reference
from gateway.registry import Registry


def test_prints_the_page_and_nothing_else() -> None:
    done = CliRunner().invoke(main, ["reference"])
    assert (done.exit_code, done.stdout) == (0, reference(Registry()))
