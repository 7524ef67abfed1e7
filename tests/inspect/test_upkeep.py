"""What is done with closed files, as a process; beside a gateway it is tested with `gateway.supervisor.upkeep`."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.inspect import reader, sidecar
from gateway.inspect.upkeep import keep_up
from tests.inspect.lines import RECORDS, line, write

LATER = time.time() + 3600


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "requests.log"
    write(path, RECORDS)
    write(path.with_name("requests.log.1"), [line(11)])
    return path


def test_each_is_done_where_it_is_asked_for(log: Path) -> None:
    keep_up(log, LATER, sidecars=False, compress=None)
    assert len(list(log.parent.iterdir())) == 2
    keep_up(log, LATER, sidecars=True, compress=None)
    assert len(list(sidecar.directory(log).iterdir())) == 1
    keep_up(log, LATER, sidecars=False, compress="gzip")
    assert [file.name for file in reader.files(log)] == ["requests.log", "requests.log.1.gz"]


@pytest.mark.parametrize("there", [True, False])
def test_the_process_does_as_it_is_told(log: Path, there: bool) -> None:
    if not there:
        log = log.with_name("elsewhere") / "requests.log"
    command = [sys.executable, "-P", "-m", "gateway.inspect.upkeep", str(log), "sidecars", "zstd"]
    told = subprocess.run(command, capture_output=True, check=False)
    assert (told.returncode, told.stderr) == (0, b"")
