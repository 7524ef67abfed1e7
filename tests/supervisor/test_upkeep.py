"""What is closed is looked after by itself, beside a running gateway."""

import os
from pathlib import Path

import pytest
import structlog

from gateway.config.model import Log
from gateway.inspect import reader, sidecar
from gateway.inspect.database import Database
from gateway.supervisor import upkeep
from gateway.supervisor.upkeep import Upkeep
from tests.inspect.lines import RECORDS, write

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "requests.log"
    for name in ("requests.log", "requests.log.1"):
        write(path.with_name(name), RECORDS)
        os.utime(path.with_name(name), (1, 1))
    return path


async def test_what_is_closed_gets_its_sidecar(log: Path) -> None:
    keeper = Upkeep(lambda: Log(path=str(log)))
    await keeper.look()
    (made,) = sidecar.directory(log).iterdir()
    assert made == sidecar.sidecar_of(log, log.with_name("requests.log.1"))
    database = Database(log)
    assert len(list(database.records().rows)) == 2 * len(RECORDS)
    database.close()
    # It was all that was to be done: what is not new is not looked at again.
    made.unlink()
    await keeper.look()
    assert not made.exists()


async def test_one_that_was_closed_just_now_gets_it_later(log: Path) -> None:
    one = log.with_name("requests.log.1")
    one.touch()
    keeper = Upkeep(lambda: Log(path=str(log)))
    await keeper.look()
    assert not sidecar.directory(log).exists()
    os.utime(one, (1, 1))
    await keeper.look()
    assert len(list(sidecar.directory(log).iterdir())) == 1


@pytest.mark.parametrize("options", [{"path": "-"}, {"path": None}, {"sidecars": False}])
async def test_nothing_is_made_where_nothing_is_to_be(log: Path, options: dict[str, object]) -> None:
    await Upkeep(lambda: Log(**{"path": str(log), **options})).look()  # type: ignore[arg-type]
    assert not sidecar.directory(log).exists()


async def test_what_goes_wrong_is_told_and_tried_again(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Upkeep(lambda: Log(path=str(log)))
    sidecar.directory(log).write_text("in the way")
    with structlog.testing.capture_logs() as logs:
        await keeper.look()
        await keeper.look()
    (line,) = logs  # once a minute at most
    assert line["event"] == "log_upkeep_failed"
    assert "exists" in line["reason"]
    sidecar.directory(log).unlink()
    await keeper.look()
    assert len(list(sidecar.directory(log).iterdir())) == 1


async def test_without_the_extra_nothing_happens(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "find_spec", lambda name: None)
    await Upkeep(lambda: Log(path=str(log))).look()
    assert not sidecar.directory(log).exists()


@pytest.mark.parametrize(("method", "suffix"), [("zstd", ".zst"), ("gzip", ".gz")])
async def test_what_is_closed_is_compressed_after_its_sidecar_was_made(
    log: Path, method: str, suffix: str
) -> None:
    options = Log.model_validate({"path": str(log), "compress": method})
    one = log.with_name("requests.log.1")
    content = one.read_bytes()
    keeper = Upkeep(lambda: options)
    await keeper.look()
    packed = log.with_name(f"requests.log.1{suffix}")
    assert not one.exists()
    with reader.opened(packed) as stream:
        assert stream.read() == content
    assert packed.stat().st_mtime == 1
    (made,) = sidecar.directory(log).iterdir()
    assert made == sidecar.sidecar_of(log, packed)
    database = Database(log)
    assert len(list(database.records().rows)) == 2 * len(RECORDS)
    database.close()
    made.unlink()
    await keeper.look()
    assert not made.exists(), "it was all that was to be done"


async def test_it_is_compressed_where_it_gets_no_sidecar(log: Path) -> None:
    sidecar.directory(log).write_text("in the way")
    options = Log.model_validate({"path": str(log), "compress": "gzip"})
    with structlog.testing.capture_logs() as logs:
        await Upkeep(lambda: options).look()
    assert [line["event"] for line in logs] == ["log_upkeep_failed"]
    assert log.with_name("requests.log.1.gz").exists()
