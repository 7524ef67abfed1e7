import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from gateway.inspect import reader
from gateway.request_log import LogFile
from gateway.serializer import Serializer
from tests.support.records import record

GLOBAL = "req-99999999-0000-4000-8000-000000000009"


def gateway_id(number: int) -> str:
    return f"req-00000000-0000-4000-8000-{number:012}"


def upstream_id(number: int) -> str:
    return f"req-11111111-0000-4000-8000-{number:012}"


def line(number: int, global_id: str | None = None) -> bytes:
    told = record(request_id=gateway_id(number), upstream_request_id=upstream_id(number), global_id=global_id)
    return Serializer(b"k", 0).line(told, number)


PLAN = Serializer(b"k", 0).plan("abc", {"filters": [gateway_id(1)]}, 0.0)
MARK = Serializer(b"k", 0).mark(4, 0.0, 0.0, 0.0, [0])
END = Serializer(b"k", 0).end(4, 0.0, 0.0)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Records 1 to 6 in three files, the oldest compressed; 2 and 5 came with one global id."""
    path = tmp_path / "requests.log"
    (tmp_path / "requests.log.2.gz").write_bytes(gzip.compress(PLAN + line(1) + line(2, GLOBAL)))
    (tmp_path / "requests.log.1").write_bytes(PLAN + line(3) + line(4) + MARK + END)
    path.write_bytes(PLAN + line(5, GLOBAL) + line(6) + MARK)
    (tmp_path / "requests.log.old").write_bytes(line(7))
    (tmp_path / "other.log.1").write_bytes(line(8))
    return path


def found(log: Path, request_id: str) -> list[int]:
    skipped = reader.Skipped()
    numbers = [fields["gateway.sequence"] for fields in reader.find(log, request_id, skipped)]
    assert not skipped
    return numbers


def last(log: Path, count: int, until: int | None = None) -> list[int]:
    return [fields["gateway.sequence"] for fields in reader.last(log, count, reader.Skipped(), until=until)]


def test_lists_the_files_newest_first(log: Path) -> None:
    for number in (9, 10):
        log.with_name(f"requests.log.{number}").touch()
    names = [file.name.removeprefix("requests.log") for file in reader.files(log)]
    assert names == ["", ".1", ".2.gz", ".9", ".10"]


@pytest.mark.parametrize("number", range(1, 7))
def test_finds_a_record_by_the_id_of_the_gateway_and_of_the_upstream(log: Path, number: int) -> None:
    assert found(log, gateway_id(number)) == [number]
    assert found(log, upstream_id(number)) == [number]


def test_finds_every_record_of_a_global_id(log: Path) -> None:
    assert found(log, GLOBAL) == [5, 2]


@pytest.mark.parametrize("request_id", ["", "req-", "GET", "passed", gateway_id(7), 'x"', "\ud7ff\n"])
def test_finds_nothing_by_another_word(log: Path, request_id: str) -> None:
    assert found(log, request_id) == []


def test_passes_over_what_is_no_record_and_counts_it(log: Path) -> None:
    junk = [b"Traceback", b"[1]", b'{"kind":"else"}', b'{"gateway.request_id":"%s"}' % gateway_id(3).encode()]
    log.write_bytes(b"\n".join([*junk, b"", line(6)[:-20], line(6).rstrip(b"\n")]) + b"\n\xff\n")
    skipped = reader.Skipped()
    assert [fields["gateway.sequence"] for fields in reader.last(log, 1, skipped)] == [6]
    assert skipped.lines == 1
    skipped = reader.Skipped()
    assert len(reader.last(log, 9, skipped)) == 5
    assert skipped.lines == 6
    assert str(skipped) == "6 lines skipped that are no records"
    skipped = reader.Skipped()
    assert [fields["gateway.sequence"] for fields in reader.find(log, gateway_id(3), skipped)] == [3]
    assert skipped.lines == 5  # what is one object and holds no such id is not looked at closer


def test_a_damaged_archive_is_told_and_the_rest_is_read(log: Path) -> None:
    archive = log.with_name("requests.log.2.gz")
    archive.write_bytes(archive.read_bytes()[:-12])
    skipped = reader.Skipped()
    assert reader.find(log, gateway_id(9), skipped) == []
    assert skipped.files == [str(archive)]
    assert "could not be read to its end" in str(skipped)
    archive.write_bytes(b"not gzip")
    skipped = reader.Skipped()
    assert len(reader.last(log, 9, skipped)) == 4
    assert skipped.files == [str(archive)]


@pytest.mark.parametrize(
    ("count", "numbers"),
    [(0, []), (1, [6]), (3, [4, 5, 6]), (6, [1, 2, 3, 4, 5, 6]), (99, [1, 2, 3, 4, 5, 6])],
)
def test_the_last_records_reach_back_into_rotated_files(log: Path, count: int, numbers: list[int]) -> None:
    assert last(log, count) == numbers


def test_the_last_records_up_to_a_position(log: Path) -> None:
    assert last(log, 2, until=len(PLAN) + len(line(5, GLOBAL))) == [4, 5]


def test_lines_longer_than_a_block_are_read_backwards_whole(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for block in (1, 7, 100, 1 << 20):
        monkeypatch.setattr(reader, "_BLOCK", block)
        assert last(log, 4) == [3, 4, 5, 6]


class Script:
    """What happens to the log between two looks of a follower; the last act ends the following."""

    class EndError(Exception):
        pass

    def __init__(self, *acts: Callable[[], object]) -> None:
        self._acts = list(acts)

    def __call__(self) -> None:
        if not self._acts:
            raise self.EndError
        self._acts.pop(0)()


def followed(log: Path, *acts: Callable[[], object], skipped: reader.Skipped | None = None) -> list[int]:
    follower = reader.Follower(log)
    seen: list[int] = []
    try:
        # Two idle looks: after a rotation the moved file is read once more.
        for fields in follower.records(skipped or reader.Skipped(), Script(*acts, bool, bool, bool, bool)):
            seen.append(fields["gateway.sequence"])  # noqa: PERF401 - what was seen before the end counts
    except Script.EndError:
        pass
    finally:
        follower.close()
    return seen


def append(path: Path, data: bytes) -> Callable[[], object]:
    def act() -> None:
        with path.open("ab") as stream:
            stream.write(data)

    return act


def test_follows_what_is_appended(log: Path) -> None:
    assert followed(log, append(log, line(7)), append(log, PLAN + line(8) + line(9))) == [7, 8, 9]


def test_waits_for_the_end_of_a_line(log: Path) -> None:
    skipped = reader.Skipped()
    halves = append(log, line(7)[:50]), append(log, line(7)[50:])
    assert followed(log, *halves, skipped=skipped) == [7]
    assert not skipped


def test_follows_across_rotations_without_losing_a_line(log: Path) -> None:
    file = LogFile(str(log), 1, 9)

    def several() -> None:  # more than one rotation between two looks
        for number in range(8, 12):
            file.append(line(number))

    assert followed(log, lambda: file.append(line(7)), several, bool, lambda: file.append(line(12))) == [
        *range(7, 13)
    ]
    file.close()


def test_reads_what_another_process_writes_late_to_the_moved_file(log: Path) -> None:
    moved = log.with_name("requests.log.1")

    def rotate() -> None:
        log.replace(moved)
        log.write_bytes(line(8))

    assert followed(log, rotate, append(moved, line(7))) == [7, 8]


def test_a_log_that_is_away_for_a_moment_is_waited_for(log: Path) -> None:
    acts = lambda: os.unlink(log), bool, lambda: log.write_bytes(line(7))
    assert followed(log, *acts) == [7]


def test_a_log_that_was_cut_is_read_from_its_start(log: Path) -> None:
    assert followed(log, lambda: log.write_bytes(line(7))) == [7]


def test_a_follower_knows_where_it_begins(log: Path) -> None:
    follower = reader.Follower(log)
    assert follower.position == log.stat().st_size
    follower.close()


def test_a_log_that_is_not_there_cannot_be_followed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        reader.Follower(tmp_path / "absent")


def _packed(content: bytes, suffix: str) -> bytes:
    return gzip.compress(content, mtime=0) if suffix == ".gz" else zstandard.compress(content)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_of_a_file_that_was_cut_short_the_lines_that_are_whole(tmp_path: Path, suffix: str) -> None:
    content = b"".join(b"%d %s\n" % (number, os.urandom(40).hex().encode()) for number in range(20_000))
    file = tmp_path / f"log{suffix}"
    whole = _packed(content, suffix)
    file.write_bytes(whole[: len(whole) // 2])
    skipped = reader.Skipped()
    found = list(reader.lines(file, skipped))
    assert 1000 < len(found) < 20_000 and content.startswith(b"".join(found[:-1]))
    assert skipped.files == [str(file)] and "could not be read to its end" in str(skipped)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_may_be_compressed_in_several_pieces(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"log{suffix}"
    file.write_bytes(_packed(b"a\nb", suffix) + _packed(b"c\n" * 100_000, suffix))
    skipped = reader.Skipped()
    assert list(reader.lines(file, skipped))[:3] == [b"a\n", b"bc\n", b"c\n"] and not skipped


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_that_is_compressed_between_listing_and_opening_is_followed(
    tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / "log.1"
    (tmp_path / f"log.1{suffix}").write_bytes(_packed(b"a\nb\n", suffix))
    skipped = reader.Skipped()
    assert list(reader.lines(file, skipped)) == [b"a\n", b"b\n"] and not skipped
    with reader.opened(file) as stream:
        assert stream.read() == b"a\nb\n"
    with pytest.raises(FileNotFoundError), reader.opened(tmp_path / "log.2"):
        pass
