"""Records out of files."""

import gzip
from pathlib import Path

import orjson
import pytest
import zstandard

from gateway.backtest import source
from gateway.backtest.recorded import Past
from gateway.backtest.source import Heard, parts_of, records
from tests.backtest.logged import NOW, Asked, logged, marked, text_of, written

LIMIT = {"rate_limit": {"limits": [{"name": "few", "rate": "2/minute"}]}}


async def test_every_record_is_in_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = await logged(text_of(), [Asked(float(at)) for at in range(20)])
    path = written(lines, tmp_path / "log")
    for size in (100, 1000, 4096, 1 << 20):
        monkeypatch.setattr(source, "PART", size)
        parts, pasts = parts_of([path])
        found = [
            recorded.request_id
            for part in parts
            for recorded in records(part, pasts, Heard())
            if recorded is not None
        ]
        assert found == [line["gateway.request_id"] for line in lines[1:]]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
async def test_a_file_that_is_compressed_while_it_is_read_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    lines = await logged(text_of(), [Asked(float(at)) for at in range(20)])
    path = written(lines, tmp_path / "log")
    monkeypatch.setattr(source, "PART", 4096)
    parts, pasts = parts_of([path])
    content = path.read_bytes()
    packed = gzip.compress(content) if suffix == ".gz" else zstandard.compress(content)
    path.with_name(f"log{suffix}").write_bytes(packed)
    path.unlink()
    heard = Heard()
    found = [recorded for part in parts for recorded in records(part, pasts, heard)]
    assert len(parts) > 1 and not heard.damaged
    assert [recorded and recorded.request_id for recorded in found] == [
        line["gateway.request_id"] for line in lines[1:]
    ]
    (part,), _ = parts_of([path])
    assert part.file.suffix == suffix


@pytest.mark.parametrize("size", [0.3, 0.9])
async def test_of_a_file_that_was_cut_short_what_is_whole_is_judged(tmp_path: Path, size: float) -> None:
    lines = await logged(text_of(), [Asked(float(at)) for at in range(60)])
    packed = gzip.compress(written(lines, tmp_path / "log").read_bytes())
    path = tmp_path / "cut.gz"
    path.write_bytes(packed[: int(len(packed) * size)])
    (part,), pasts = parts_of([path])
    heard = Heard()
    assert 0 < len([recorded for recorded in records(part, pasts, heard) if recorded is not None]) < 60
    assert heard.damaged == [str(path)]


async def test_configurations_are_known_to_all_parts(tmp_path: Path) -> None:
    lines = await logged(text_of(), [Asked(0)])
    path = tmp_path / "log"
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in (*lines[1:], lines[0])))
    _, pasts = parts_of([path])
    assert list(pasts) == [lines[0]["gateway.revision"]]


async def test_a_compressed_file_is_one_part(tmp_path: Path) -> None:
    lines = await logged(text_of(), [Asked(0), Asked(1)])
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(written(lines, tmp_path / "log").read_bytes()))
    (part,), pasts = parts_of([path])
    found: dict[str, Past] = dict(pasts)
    assert len(list(records(part, found, Heard()))) == 2 and len(found) == 1


async def test_the_clock_of_the_limits_is_known_by_the_records(tmp_path: Path) -> None:
    lines = await logged(text_of(filters=[LIMIT]), [Asked(0)])
    step = lines[1]["gateway.filters"][0]
    step["facts"]["instant"] -= 1000.0
    (part,), _ = parts_of([written(lines, tmp_path / "log")])
    assert part.offset == pytest.approx(1000.0, abs=0.001)


def test_an_empty_file_and_lines_that_are_none(tmp_path: Path) -> None:
    empty, broken = tmp_path / "empty", tmp_path / "broken"
    empty.write_bytes(b"")
    broken.write_bytes(b'{"kind":"plan"\n[]\n{"kind":"request"')
    parts, pasts = parts_of([empty, broken])
    assert [list(records(part, pasts, Heard())) for part in parts] == [[None, None, None]]


async def test_what_workers_say_of_themselves_is_heard(tmp_path: Path) -> None:
    """Of each the latest, in whatever order lines stand; and what is damaged is passed over."""
    plan, *lines = await logged(text_of(), [Asked(0.0), Asked(1.0)])
    since = plan["gateway.plan"]["since"]
    marks = [marked(0, 1, 70.0, [0, 1], last=0.0), marked(0, 2, 130.0, [0, 1], last=1.0), marked(1, 0, 190.0)]
    said = [marks[1], marks[0], {**marks[0], "gateway.sequence": "2"}, marks[2]]
    begins = {**plan, "gateway.since": since, "gateway.worker": 0, "gateway.workers": [0]}
    again = {**plan, "gateway.since": since, "gateway.worker": 1, "gateway.begins": False}
    (part,), pasts = parts_of([written([begins, again, *lines, *said], tmp_path / "log")])
    heard = Heard()
    assert list(records(part, pasts, heard)).count(None) == 1
    assert (set(heard.came), heard.resumed) == ({(since, 0)}, {(since, 1)})
    assert {key: (mark.sequence, mark.behind) for key, mark in heard.marks.items()} == {
        (since, 0): (2, NOW + 130),
        (since, 1): (0, NOW + 190),
    }
    assert heard.at_work == {
        (since, frozenset((0,))): (NOW - 1, NOW - 1),
        (since, frozenset((0, 1))): (NOW + 70, NOW + 190),
    }


def _packed(content: bytes, suffix: str) -> bytes:
    if suffix == ".zst":
        return zstandard.compress(content)
    return gzip.compress(content) if suffix else content


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
async def test_what_a_file_says_of_configurations_is_known_before_any_record_is_judged(
    tmp_path: Path, suffix: str
) -> None:
    """A worker may tell of its configuration in another file than its records are in, behind those of others."""
    plan, *lines = await logged(text_of(filters=[LIMIT]), [Asked(float(at)) for at in range(4)])
    since = plan["gateway.plan"]["since"]
    plans = [
        {**plan, "gateway.worker": worker, "gateway.plan": {**plan["gateway.plan"], "hashed_by": key}}
        for worker, key in enumerate("ab")
    ]
    for line in lines:
        line["gateway.worker"], line["gateway.since"] = 1, since
    first = {**lines[0], "gateway.worker": 0}
    files = []
    for number, content in enumerate(([*lines[1:]], [plans[0], first, plans[1]])):
        text = written(content, tmp_path / f"log.{number}").read_bytes()
        files.append(tmp_path / f"log.{number}{suffix}")
        files[-1].write_bytes(_packed(text, suffix))
    for given in (files, files[::-1]):
        parts, pasts = parts_of(given)
        found = [each for part in parts for each in records(part, dict(pasts), Heard()) if each is not None]
        assert sorted(each.hashed_by for each in found) == ["a", "b", "b", "b"]
        assert {part.offset for part in parts} == {0.0}


@pytest.mark.parametrize("suffix", ["", ".gz"])
async def test_by_what_key_each_worker_has_hashed_is_known(tmp_path: Path, suffix: str) -> None:
    plan, *lines = await logged(text_of(), [Asked(float(at)) for at in range(4)])
    told = []
    for number, line in enumerate(lines):
        line["gateway.worker"], line["gateway.since"] = number % 2, plan["gateway.plan"]["since"]
    for worker, key in enumerate("ab"):
        described = {**plan["gateway.plan"], "hashed_by": key}
        told.append({**plan, "gateway.worker": worker, "gateway.plan": described})
    path = written([*told, *lines], tmp_path / "log")
    if suffix:
        path = tmp_path / "log.gz"
        path.write_bytes(gzip.compress((tmp_path / "log").read_bytes()))
    parts, pasts = parts_of([path])
    found = [each.hashed_by for part in parts for each in records(part, pasts, Heard()) if each is not None]
    assert found == ["a", "b", "a", "b"]
