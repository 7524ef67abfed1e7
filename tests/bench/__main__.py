"""`python -m tests.bench`: measures Weir and its peers, and prints what a request costs in each."""

import json
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click

from tests.bench import report
from tests.bench.install import InstallError, default_directory, find, install
from tests.bench.proc import ProcError
from tests.bench.run import Options, RunError, needs, run
from tests.bench.server import StartError
from tests.bench.subject import SUBJECTS
from tests.bench.workload import WORKLOADS
from tests.bench.wrk import LoadError


class _Impossible(click.ClickException):
    """The run cannot be made."""

    exit_code = 2


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("names", nargs=-1, type=click.Choice(list(SUBJECTS)), metavar="[NAME]...")
@click.option(
    "--workload", type=click.Choice(list(WORKLOADS)), default="W1", help="What is asked of a proxy."
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
    workload: str,
    seconds: int,
    rounds: int,
    connections: int,
    core: int,
    load_core: int,
    json_path: Path | None,
    work: Path | None,
    tools_path: Path,
    setup: bool,
) -> None:
    """Measure the subjects NAME, all by default: CPU per request, in turn, on one core.

    The exit status is 0 when the run is valid and every bound held, 1 when not, 2 when it cannot be made.
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
        workload=WORKLOADS[workload],
        subjects=[SUBJECTS[name] for name in dict.fromkeys(names or SUBJECTS)],
        seconds=seconds,
        rounds=rounds,
        connections=connections,
        core=core,
        load_core=load_core,
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
            result = run(options, tools, directory, lambda line: click.echo(line, err=True))
        except (RunError, StartError, LoadError, ProcError) as error:
            raise _Impossible(str(error)) from None
    click.echo(report.text(result), nl=False)
    if json_path is not None:
        json_path.write_text(json.dumps(report.as_json(result), indent=2) + "\n", encoding="utf-8")
    if not report.passed(result):
        raise SystemExit(1)


def _terminated(number: int, frame: FrameType | None) -> None:
    """Leaves as ctrl-C does: through every block that stops a server."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
