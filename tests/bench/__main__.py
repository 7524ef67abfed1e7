"""`python -m tests.bench`: measures Weir and its peers, and prints what a request costs in each."""

import json
import shlex
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click

from tests.bench import page, report
from tests.bench.install import InstallError, default_directory, find, install
from tests.bench.pace import PaceError
from tests.bench.proc import ProcError
from tests.bench.run import STUDIES, Options, RunError, needs, run
from tests.bench.server import StartError
from tests.bench.subject import SUBJECTS
from tests.bench.wrk import LoadError

_ALL = "all"


class _Impossible(click.ClickException):
    """The run cannot be made."""

    exit_code = 2


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("names", nargs=-1, type=click.Choice(list(SUBJECTS)), metavar="[NAME]...")
@click.option(
    "--workload",
    "workloads",
    type=click.Choice([*STUDIES, _ALL]),
    multiple=True,
    default=["W1"],
    help="What is asked of a proxy; may be given several times.",
)
@click.option("--seconds", type=click.IntRange(1, 120), default=3, help="Length of one measurement.")
@click.option("--rounds", type=click.IntRange(1, 50), default=3, help="Measurements of each subject.")
@click.option("--connections", type=click.IntRange(1, 1000), default=64, help="Client connections.")
@click.option("--core", type=click.IntRange(0), default=0, help="Core of the subject under test.")
@click.option("--load-core", type=click.IntRange(0), default=1, help="Core of the load and the upstream.")
@click.option(
    "--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Also write all figures."
)
@click.option(
    "--report",
    "page_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write a page for readers, and a picture beside it.",
)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    help="New directory for configurations and logs, kept. [default: a temporary one]",
)
@click.option(
    "--tools",
    "tools_path",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_directory,
    show_default="weir-bench in the user's cache",
    help="Where Envoy is installed.",
)
@click.option("--setup", is_flag=True, help="Install what is missing, and measure nothing.")
def main(
    names: tuple[str, ...],
    workloads: tuple[str, ...],
    seconds: int,
    rounds: int,
    connections: int,
    core: int,
    load_core: int,
    json_path: Path | None,
    page_path: Path | None,
    work: Path | None,
    tools_path: Path,
    setup: bool,
) -> None:
    """Measure the subjects NAME, all by default: CPU per request, in turn, on one core.

    The exit status is 0 when the run is valid and every bound measured held, 1 when not, 2 when it cannot be made.
    """
    if setup:
        try:
            found = install(tools_path)
        except InstallError as error:
            raise _Impossible(str(error)) from None
        for name, path in found._asdict().items():
            click.echo(f"{name}: {path}")
        return
    options = Options(
        studies=STUDIES if _ALL in workloads else [name for name in STUDIES if name in workloads],
        subjects=names or None,
        seconds=seconds,
        rounds=rounds,
        connections=connections,
        core=core,
        load_core=load_core,
        command=shlex.join(["python", "-m", "tests.bench", *sys.argv[1:]]),
    )
    tools = find(tools_path)
    if missing := tools.missing(needs(options)):
        raise _Impossible(
            f"not installed: {', '.join(missing)}. `python -m tests.bench --setup` installs what is missing."
        )
    signal.signal(signal.SIGTERM, _terminated)
    with ExitStack() as stack:
        if work is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-bench-")))
        else:
            directory = work
            try:
                directory.mkdir(parents=True)
            except OSError as error:
                raise _Impossible(f"{directory}: {error.strerror}") from None
        try:
            session = run(options, tools, directory, lambda line: click.echo(line, err=True))
        except (RunError, StartError, LoadError, PaceError, ProcError) as error:
            raise _Impossible(str(error)) from None
    click.echo(report.text(session), nl=False)
    if json_path is not None:
        json_path.write_text(json.dumps(session.as_json(), indent=2) + "\n", encoding="utf-8")
    if page_path is not None:
        page.write(session, page_path)
    if not session.passed():
        raise SystemExit(1)


def _terminated(number: int, frame: FrameType | None) -> None:
    """Leaves as ctrl-C does: through every block that stops a server."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
