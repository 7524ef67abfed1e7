"""The Dockerfile, carried out step by step in a temporary root, since an engine may not be at hand.

The steps are the file's own: they are read from it, absolute paths are put below the root, and where the gateway
listens becomes a free port, by the environment. What the base image brings, a Python, comes from the environment that runs the tests.
"""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pytest

from gateway import __version__
from gateway.config.load import load
from gateway.demo.sample import MEMBER_TOKEN
from gateway.registry import Registry
from tests.cli.process import START, started
from tests.cli.test_run import METADATA, fetch
from tests.support.deadline import until
from tests.support.upstream import closed_port

ROOT = Path(__file__).parent.parent
_PATH = re.compile(r"(?:(?<=^)|(?<=[\s=:'\"]))/(?=[a-z])")


class Instruction(NamedTuple):
    """One instruction: its word, its `--options`, and the rest."""

    word: str
    options: dict[str, str]
    text: str

    @property
    def arguments(self) -> list[str]:
        """The words of the exec form."""
        found = json.loads(self.text)
        assert isinstance(found, list) and all(isinstance(part, str) for part in found)
        return found


class Stage(NamedTuple):
    base: str
    name: str
    instructions: list[Instruction]

    def last(self, word: str) -> Instruction:
        return [instruction for instruction in self.instructions if instruction.word == word][-1]


def parsed(text: str) -> list[Stage]:
    """The stages of a Dockerfile, as far as ours uses the language."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    logical = re.sub(r"\\\n", " ", "\n".join(lines)).splitlines()
    stages: list[Stage] = []
    for line in filter(None, map(str.strip, logical)):
        word, _, rest = line.partition(" ")
        options = {}
        while found := re.match(r"\s*--([a-z-]+)=(\S+)", rest):
            options[found[1]] = found[2]
            rest = rest[found.end() :]
        rest = rest.strip()
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base, name, []))
        else:
            stages[-1].instructions.append(Instruction(word, options, rest))
    return stages


STAGES = parsed((ROOT / "Dockerfile").read_text())
IMAGE = STAGES[-1]
"""The stage that becomes the image."""
COMMAND = [*IMAGE.last("ENTRYPOINT").arguments, *IMAGE.last("CMD").arguments]


def environment_of(stage: Stage) -> dict[str, str]:
    """What the stage itself puts into the environment."""
    settings = [
        setting for step in stage.instructions if step.word == "ENV" for setting in shlex.split(step.text)
    ]
    return dict(setting.split("=", 1) for setting in settings)


def healthcheck() -> list[str]:
    instruction = IMAGE.last("HEALTHCHECK")
    assert instruction.text.startswith("CMD ")
    return Instruction("CMD", {}, instruction.text.removeprefix("CMD ")).arguments


# ---- what it says


def test_is_built_in_stages_on_one_slim_base() -> None:
    bases = {stage.base for stage in STAGES} - {stage.name for stage in STAGES}
    assert len(STAGES) > 2
    assert [re.fullmatch(r"python:3\.\d+-slim", base) is not None for base in bases] == [True]


def test_runs_as_a_user_that_an_orchestrator_can_see_is_not_root() -> None:
    user = [int(part) for part in IMAGE.last("USER").text.split(":")]
    assert len(user) == 2
    assert all(part >= 1000 for part in user)


def test_publishes_the_port_where_it_listens_and_asks_the_admin_listener_for_its_health() -> None:
    shipped = load(
        ROOT / "config" / "gateway.yaml", registry=Registry(), environment=environment_of(IMAGE)
    ).configuration
    assert [str(listen.place) for listen in shipped.listen] == [f"0.0.0.0:{IMAGE.last('EXPOSE').text}"]
    assert shipped.admin is not None
    admin = shipped.admin.address
    assert admin is not None
    program = healthcheck()[-1]
    assert all(part in program for part in (f"'{admin.host}'", str(admin.port), "'/livez'"))
    assert IMAGE.last("STOPSIGNAL").text == "SIGTERM"


def test_the_command_leaves_every_listener_to_a_mounted_configuration() -> None:
    """An option of the command line replaces all listeners of the file, those with TLS too."""
    assert COMMAND == ["weir", "run", "/etc/weir/gateway.yaml"]


# ---- the context


def kept(path: PurePosixPath, patterns: list[str]) -> bool:
    """Whether .dockerignore leaves `path` in the context: the last pattern that matches it or a parent decides."""
    keep = True
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        if any(fnmatch.fnmatchcase(str(part), bare) for part in (path, *path.parents)):
            keep = pattern != bare
    return keep


def context(directory: Path) -> Path:
    """A copy of the checkout as the engine would be sent it."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in map(str.strip, lines) if line and not line.startswith("#")]

    def ignored(parent: str, names: list[str]) -> list[str]:
        below = PurePosixPath(parent).relative_to(ROOT)
        return [name for name in names if not kept(below / name, patterns)]

    shutil.copytree(ROOT, directory, ignore=ignored)
    return directory


def test_the_context_is_what_the_image_is_made_of_and_nothing_else(tmp_path: Path) -> None:
    sent = {path.name for path in context(tmp_path / "context").iterdir()}
    copied = {
        source
        for stage in STAGES
        for step in stage.instructions
        if step.word == "COPY" and "from" not in step.options
        for source in step.text.split()[:-1]
    }
    assert sent == {PurePosixPath(source).parts[0] for source in copied}
    assert not list((tmp_path / "context").rglob("__pycache__"))


# ---- the steps, carried out


class Build:
    """Stages on disk, each with a root directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.context = context(directory / "context")
        self.roots: dict[str, Path] = {}
        self.environments: dict[str, dict[str, str]] = {}
        self.workdirs: dict[str, str] = {}
        python, self._libraries = _base_python(directory)
        self._run([str(python), "-m", "venv", str(directory / "python")], directory, {})
        self._base = {
            "PATH": f"{directory / 'python' / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            **self._libraries,
        }

    def stage(self, number: int) -> str:
        """Carries out a stage and gives its key."""
        stage = STAGES[number]
        key = stage.name or str(number)
        root = self.directory / f"stage-{number}"
        if stage.base in self.roots:
            shutil.copytree(self.roots[stage.base], root)
        else:
            root.mkdir()
        self.roots[key] = root
        self.environments[key] = dict(self.environments.get(stage.base, self._base))
        self.workdirs[key] = self.workdirs.get(stage.base, "/")
        for instruction in stage.instructions:
            self._carry_out(key, instruction)
        return key

    def placed(self, key: str, text: str) -> str:
        """`text` with every absolute path below the stage's root."""
        return _PATH.sub(lambda _: f"{self.roots[key]}/", text)

    def path(self, key: str, path: str) -> Path:
        return self.roots[key] / (PurePosixPath(self.workdirs[key]) / path).relative_to("/")

    def _carry_out(self, key: str, instruction: Instruction) -> None:
        match instruction.word:
            case "WORKDIR":
                self.workdirs[key] = str(PurePosixPath(self.workdirs[key]) / instruction.text)
                self.path(key, ".").mkdir(parents=True, exist_ok=True)
            case "ENV":
                for setting in shlex.split(instruction.text):
                    name, _, value = setting.partition("=")
                    environment = self.environments[key]
                    value = self.placed(key, value)
                    environment[name] = re.sub(r"\$(\w+)", lambda found: environment[found[1]], value)  # noqa: B023
            case "COPY":
                self._copy(key, instruction)
            case "RUN":
                self._step(key, instruction)
            case word:  # what describes the image and does nothing while it is built
                assert word in (
                    "CMD",
                    "ENTRYPOINT",
                    "EXPOSE",
                    "HEALTHCHECK",
                    "LABEL",
                    "STOPSIGNAL",
                    "USER",
                )

    def _copy(self, key: str, instruction: Instruction) -> None:
        *sources, target = instruction.text.split()
        origin = instruction.options.get("from")
        to = self.path(key, target)
        for name in sources:
            source = self.context / name if origin is None else self.path(origin, name)
            if source.is_dir():
                shutil.copytree(source, to, dirs_exist_ok=True)
            else:
                into = to / source.name if target.endswith("/") else to
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, into)

    def _step(self, key: str, instruction: Instruction) -> None:
        mount: Path | None = None
        if "mount" in instruction.options:
            options = dict(part.split("=", 1) for part in instruction.options["mount"].split(","))
            assert options["type"] == "bind"
            mount = self.path(key, options["target"])
            mount.symlink_to(self.path(options["from"], options["source"]))
        if instruction.text.startswith("apt-get update && apt-get install "):
            assert shutil.which("gcc"), "the base image has no compiler, and the file installs it"
            return
        command = ["/bin/sh", "-c", self.placed(key, instruction.text)]
        if "WEIR_COMPILE=1" in instruction.text:
            self._lend(self.path(key, "build"))
        self._run(command, self.path(key, "."), self.environments[key])
        if mount is not None:
            mount.unlink()

    def _lend(self, place: Path) -> None:
        """What was compiled here: the hook takes it where it is of the same sources, Python and level, or compiles anew."""
        made = f"compiled-{sys.implementation.cache_tag}"
        if (ROOT / "build" / made / "inputs").is_file():
            shutil.copytree(ROOT / "build" / made, place / made, ignore=shutil.ignore_patterns("temp"))

    def _run(self, command: list[str], cwd: Path, environment: dict[str, str]) -> None:
        # The machine's own settings for pip stay: they say where packages come from here.
        ours = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
        }
        done = subprocess.run(
            command,
            cwd=cwd,
            # It is not measured: neither C nor Python is compiled for speed.
            env={**ours, **environment, **self._libraries, "WEIR_COMPILE_LEVEL": "0", "PIP_COMPILE": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            umask=0o022,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def _base_python(directory: Path) -> tuple[Path, dict[str, str]]:
    """A Python that every user may run, and what must be in its environment.

    The one that runs the tests, or where only its owner may read it (one below /root), a copy.
    """
    prefix, version = Path(sys.base_prefix), f"python{sys.version_info[0]}.{sys.version_info[1]}"
    if all(path.stat().st_mode & 0o005 == 0o005 for path in (prefix, *prefix.parents)):
        return prefix / "bin" / version, {}
    copy = directory / "base"
    (copy / "bin").mkdir(parents=True)
    shutil.copy(prefix / "bin" / version, copy / "bin" / version)
    omitted = shutil.ignore_patterns("site-packages", "test", "idlelib", "tkinter", "config-*")
    shutil.copytree(prefix / "lib" / version, copy / "lib" / version, ignore=omitted)
    shutil.copytree(prefix / "include", copy / "include")
    for library in (prefix / "lib").glob("libpython*.so*"):
        shutil.copy(library, copy / "lib" / library.name)
    return copy / "bin" / version, {"LD_LIBRARY_PATH": str(copy / "lib")}


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that every user may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="weir-image-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_its_steps_make_a_gateway_that_runs_as_another_user(directory: Path, tmp_path: Path) -> None:
    build = Build(directory)
    for number in range(len(STAGES)):
        key = build.stage(number)
    _the_wheel_is_whole(directory, build.context)
    environment = build.environments[key]
    user, group = (int(part) for part in IMAGE.last("USER").text.split(":"))
    owner = os.getuid() != 0
    identity: dict[str, Any] = {} if owner else {"user": user, "group": group}

    empty = tmp_path / "empty"
    empty.mkdir()
    program = shutil.which(COMMAND[0], path=environment["PATH"])
    assert program is not None
    assert Path(program).is_relative_to(build.roots[key])
    _checks_its_own_configuration(program, empty, environment)

    listen, admin = closed_port(), closed_port()
    probe = [re.sub(r"\b9901\b", str(admin), part) for part in healthcheck()]
    assert probe != healthcheck()

    def healthy() -> bool:
        """Whether the healthcheck, run as the image's user, says so."""
        done = subprocess.run(
            [str(shutil.which(probe[0], path=environment["PATH"])), *probe[1:]],
            env=environment,
            cwd=build.path(key, "."),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=START,
            check=False,
            user=None if owner else user,
            group=None if owner else group,
            extra_groups=None if owner else [],
        )
        return done.returncode == 0

    assert not healthy(), "nothing runs yet"
    command = [program, *(build.placed(key, part) for part in COMMAND[1:])]
    workdir = build.path(key, ".")
    told = {**environment, "WEIR_LISTEN": f"127.0.0.1:{listen}", "WEIR_ADMIN": f"127.0.0.1:{admin}"}
    async with started(command, tmp_path, cwd=workdir, environment=told, **identity) as process:
        await until(lambda: healthy() or process.popen.poll() is not None, "the healthcheck succeeds", START)
        assert process.popen.poll() is None, process.stderr
        assert os.stat(f"/proc/{process.popen.pid}").st_uid == (os.getuid() if owner else user)
        url = f"http://127.0.0.1:{listen}"
        assert fetch(url + METADATA)[0] == 401
        assert fetch(url + METADATA, token=MEMBER_TOKEN)[0] == 503  # there is no upstream
        process.signal()
        assert await process.ends() == 0
        assert not healthy(), "nothing runs any more"
    records = [json.loads(line) for line in process.stdout.splitlines()]
    # Each of several workers writes when it will, and between them may stand what the gateway says of its upstream.
    statuses = [
        record["http.response.status_code"] for record in records if "http.response.status_code" in record
    ]
    assert sorted(statuses) == [401, 503], process.stdout


def _the_wheel_is_whole(directory: Path, source: Path) -> None:
    (wheel,) = directory.glob("stage-*/**/weir_gateway-*.whl")
    assert not wheel.name.endswith("-none-any.whl"), "a compiled wheel is for one platform"
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if not name.startswith("weir__mypyc.")} == {
        "filters",
        "gateway",
        f"weir_gateway-{__version__}.dist-info",
    }
    for name in ("gateway/py.typed", "gateway/bundled/gateway.yaml", "gateway/bundled/examples/minimal.yaml"):
        assert name in names
    modules = {
        str(path.relative_to(source))
        for top in ("gateway", "filters")
        for path in (source / top).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == modules
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def _checks_its_own_configuration(program: str, empty: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [program, "check"],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        timeout=START,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"\S+/site-packages/gateway/bundled/gateway\.yaml: ok, ", done.stdout)
    version = subprocess.run(
        [program, "--version"], cwd=empty, env=environment, capture_output=True, text=True, check=True
    )
    assert version.stdout == f"weir, version {__version__}, compiled\n"
