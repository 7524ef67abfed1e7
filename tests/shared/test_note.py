"""Notes on the cells of a shared table: one of each process and cell, whole or not at all."""

from collections.abc import Iterator

import pytest

from gateway.api.table import NOTE
from gateway.shared import note
from gateway.shared.memory import SharedMemory
from gateway.shared.note import PROBES, every, leave, others, own
from gateway.shared.zone import Zone
from tests.shared.process import Other, table_of


@pytest.fixture
def zone() -> Iterator[Zone]:
    memory = SharedMemory.create(slots=1024)
    yield memory.claim("a", "a")
    memory.close()


def test_each_process_has_one_note_of_a_cell_which_the_others_read(zone: Zone) -> None:
    place, other = zone.place(b"k"), zone.place(b"other")
    leave(zone, 1, [(place, b"one"), (other, b"else")], 1.0)
    leave(zone, 2, [(place, b"two")], 2.0)
    leave(zone, 1, [(place, b"1")], 3.0)
    assert others(zone, 1, place) == [b"two"]
    assert sorted(others(zone, 3, place)) == [b"1", b"two"]
    assert others(zone, 3, other) == [b"else"]
    assert others(zone, 3, zone.place(b"absent")) == []
    assert (own(zone, 1, place), own(zone, 2, place), own(zone, 2, other)) == (b"1", b"two", None)


def test_the_oldest_makes_room(zone: Zone) -> None:
    place = zone.place(b"k")
    for owner in range(1, PROBES + 3):
        leave(zone, owner, [(place, str(owner).encode())], float(owner))
    assert sorted(map(int, others(zone, 0, place))) == list(range(3, PROBES + 3))


def test_one_that_is_older_than_all_that_are_there_is_left_out(zone: Zone) -> None:
    place = zone.place(b"k")
    for owner in range(1, PROBES + 1):
        leave(zone, owner, [(place, str(owner).encode())], 10.0 + owner)
    leave(zone, 99, [(place, b"99")], 5.0)
    assert sorted(map(int, others(zone, 0, place))) == list(range(1, PROBES + 1))
    leave(zone, 1, [(place, b"1 again")], 5.0)
    assert b"1 again" in others(zone, 0, place)


def test_all_of_them_are_told_whosever_they_are(zone: Zone) -> None:
    leave(zone, 1, [(zone.place(b"k"), b"one")], -5.0)
    leave(zone, 2, [(zone.place(b"k"), b"two"), (zone.place(b"other"), b"else")], 2.0)
    assert sorted(every(zone)) == [b"else", b"one", b"two"]
    at = zone.memory.find(b"else")
    zone.memory[at : at + 4] = b"elze"
    assert sorted(every(zone)) == [b"one", b"two"]


def test_a_note_is_as_long_as_there_is_room_and_may_hold_anything(zone: Zone) -> None:
    place = zone.place(b"k")
    _, hashed = place
    leave(zone, 1, [(place, b"x" * NOTE)], 1.0)
    assert others(zone, 2, place) == [b"x" * NOTE]
    leave(zone, 1, [(place, hashed * 8)], 2.0)
    assert others(zone, 2, place) == [hashed * 8]


def test_what_is_half_written_is_none(zone: Zone) -> None:
    place = zone.place(b"k")
    leave(zone, 1, [(place, b"whole")], 1.0)
    at = zone.memory.find(b"whole")
    zone.memory[at : at + 5] = b"whale"
    assert others(zone, 2, place) == []


def test_every_place_lies_inside_the_zone(zone: Zone) -> None:
    least, most = bytes(16), b"\xff" * 16
    for hashed in (least, most, *(zone.place(str(number).encode())[1] for number in range(2000))):
        home = note._home(zone, hashed)
        assert home >= note._home(zone, least)
        assert home + note._WINDOW <= len(zone.memory)
    assert zone.in_use(0.0) == 0


def test_another_process_reads_them_and_those_of_one_that_was_killed() -> None:
    memory = SharedMemory.create(slots=1024, patience=60.0)
    table = table_of(memory, "a", "a")
    with Other(memory) as other:
        other.ask("(table := table_of(memory, 'a', 'a')).leave([(table.place(b'k'), b'from another')], 1.0)")
        table.leave([(table.place(b"k"), b"own")], 1.0)
        for _ in range(2):
            assert table.notes(table.place(b"k")) == [b"from another"]
            other.kill()
    memory.close()
