"""`weir demo`: the gateway in front of the bundled image-metadata API, and requests to paste."""

import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway import console
from gateway.cli.setting import adjusted, load_or_exit, serve_or_exit
from gateway.config.locate import locate
from gateway.config.model import Configuration, Endpoint, Place
from gateway.demo import sample

if TYPE_CHECKING:
    from gateway.alone import Alone

UPSTREAM = "compute"
"""The upstream that the bundled API stands for, in the default configuration."""
DATABASE = "metadata.sqlite"


@click.command("demo")
@click.argument("config", required=False)
@click.option(
    "--listen", help="Listen here instead of where the configuration says; port 0 takes a free one."
)
@click.option("--admin", help="The same for the admin listener.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("weir-demo"),
    show_default=True,
    help="Where the API's database and the request log are kept.",
)
def command(config: str | None, listen: str | None, admin: str | None, directory: Path) -> None:
    """Run the gateway with CONFIG in front of a bundled image-metadata API, until Ctrl-C.

    Prints addresses, sample tokens and requests to paste, then one line for each request.
    """
    path = locate(config)
    if listen is not None and listen.startswith("unix:"):
        raise click.UsageError("the requests to paste need a host and a port to go to")
    loaded, registry = load_or_exit(path)
    plain = 0 if listen is not None else _plain(loaded.configuration)
    if plain is None:
        raise click.UsageError(
            f"{path} has no listener for the requests to paste: they need one on host:port, "
            "without tls and proxy_protocol (or --listen host:port)"
        )
    upstream = loaded.configuration.upstreams.get(UPSTREAM)
    if upstream is None:
        raise click.UsageError(
            f"{path} has no upstream named {UPSTREAM!r} for the bundled API to stand in for"
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        api, port = _start_api(directory, upstream.endpoints[0].url.port)
    except OSError as error:
        raise click.ClickException(f"{directory}: {error.strerror}") from None
    stopping = threading.Event()
    _watch(api, stopping)
    try:
        log = directory / "requests.log"
        loaded = adjusted(
            loaded,
            listen=listen,
            admin=admin,
            log_path=str(log),
            endpoint=(UPSTREAM, Endpoint("127.0.0.1", port)),
        )
        colour = sys.stdout.isatty()
        serve_or_exit(
            loaded,
            registry,
            on_start=lambda gateway: _introduce(
                gateway, gateway.addresses[plain], path, port, directory / DATABASE, log
            ),
            on_record=lambda fields: _show(fields, colour=colour),
        )
    finally:
        stopping.set()
        _stop_api(api)


def _plain(configuration: Configuration) -> int | None:
    """The number of the first listener that a request without more can go to."""
    for number, listen in enumerate(configuration.listen):
        if listen.address is not None and listen.tls is None and listen.proxy_protocol is None:
            return number
    return None


def _start_api(directory: Path, port: int) -> "tuple[subprocess.Popen[str], int]":
    """The API in a process of its own, at `port` or, where that is taken, at a free one."""
    arguments = (
        "-m",
        "gateway.demo.metadata_api",
        "--database",
        str(directory / DATABASE),
        "--stop-with-stdin",
    )
    for wanted in (port, 0):
        # Its log is a file: a pipe that nobody reads would fill up and stop it.
        with (directory / "metadata-api.log").open("w+") as log:
            api = subprocess.Popen(  # noqa: S603 - our own module, under the interpreter that runs us
                [sys.executable, *arguments, "--port", str(wanted)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is the gateway's, which drains before the API goes
            )
            assert api.stdout is not None
            told = api.stdout.readline()
            if told.startswith("listening on "):
                return api, int(told.rsplit(":", 1)[1])
            api.communicate()
            log.seek(0)
            failure = log.read().strip().removeprefix("Error: ") or "it did not start"
    raise click.ClickException(f"the bundled API: {failure}")


def _watch(api: "subprocess.Popen[str]", stopping: threading.Event) -> None:
    """Says so when the API ends before the demo does."""

    def wait() -> None:
        status = api.wait()
        if not stopping.is_set():
            print(f"The bundled API has ended (status {status}): requests are answered 503.", flush=True)

    threading.Thread(target=wait, name="bundled-api", daemon=True).start()


def _stop_api(api: "subprocess.Popen[str]") -> None:
    api.terminate()
    try:
        api.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        api.kill()
        api.communicate()


def _introduce(gateway: "Alone", address: Place, config: Path, port: int, database: Path, log: Path) -> None:
    base = f"http://{address}"
    admin = "off"
    if gateway.admin_place is not None:
        admin = f"http://{gateway.admin_address}" if gateway.admin_address else str(gateway.admin_place)
    image = f"{base}/v2/{sample.SAMPLE_PROJECT}/images/{sample.SAMPLE_IMAGE}/metadata"
    bad = f"{base}/v2/{sample.SAMPLE_PROJECT}/images/not-a-uuid/metadata"
    token = f"-H 'X-Auth-Token: {sample.MEMBER_TOKEN}'"
    post = (
        f'-X POST {token} -H \'Content-Type: application/json\' -d \'{{"metadata": {{"Label": "Updated"}}}}\''
    )
    requests = (
        ("200, the image's metadata", f"curl -i {token} {image}"),
        ("200, metadata set", f"curl -i {post} {image}"),
        ("401, no token", f"curl -i {image}"),
        ("405, with Allow", f"curl -i -X DELETE {token} {image}"),
        ("400, not a UUID", f"curl -i {token} {bad}"),
        (
            "413, body too large",
            f"head -c 200000 /dev/zero | curl -i -X PUT {token} -H 'Content-Type: application/json' "
            f"--data-binary @- {image}",
        ),
        (
            "413, too many requests",
            f"for i in $(seq 12); do curl -s -o /dev/null -w '%{{http_code}}\\n' {post} {image}; done",
        ),
    )
    print(f"gateway     {base}")
    print(f"admin       {admin}  (/livez /readyz /metrics)")
    print(f"upstream    http://127.0.0.1:{port}  (image-metadata API, {database})")
    print(f"config      {config}")
    print(f"log         {log}")
    print()
    print("tokens")
    for entry in sample.token_list():
        roles = ",".join(entry["roles"])
        print(f"  {entry['token']:<24} {entry['user']}, project {entry['project_name']}, roles {roles}")
    print()
    print("requests to paste")
    for told, line in requests:
        print(f"  # {told}")
        print(f"  {line}")
    print()
    print("Each request is shown below; why one was answered as it was:")
    # As it was called: a virtual environment's command is not on everybody's path.
    weir = sys.argv[0] if Path(sys.argv[0]).name == "weir" else "weir"
    print(f"  {weir} logs show REQUEST_ID --log {log}")
    print("Ctrl-C stops.")
    print(flush=True)


def _show(fields: Mapping[str, Any], *, colour: bool) -> None:
    print(console.line(fields, colour=colour), flush=True)
