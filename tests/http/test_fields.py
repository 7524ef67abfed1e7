"""Header fields: bytes as they came, names without regard to case, edits that keep order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.fields import Fields, Overlay, encoded, folded

NAMES = st.sampled_from([b"A", b"a", b"B", b"b-C", b"B-c", b"X_y"])
LINES = st.lists(st.tuples(NAMES, st.sampled_from([b"1", b"2", b"3"])), max_size=8)


def fields(*lines: tuple[bytes, bytes]) -> Fields:
    return Fields(lines)


def test_reads_names_in_any_case_and_keeps_the_bytes() -> None:
    made = fields((b"Host", b"a"), (b"X-One", b"1"), (b"x-one", b"\xe9"))
    assert made.get("HOST") == "a"
    assert made.all(b"X-ONE") == ["1", "\xe9"]
    assert made.get("x-one") == "1"
    assert made.get("none", "d") == "d"
    assert made.has("host")
    assert not made.has("none")
    assert list(made) == [(b"Host", b"a"), (b"X-One", b"1"), (b"x-one", b"\xe9")]
    assert len(made) == 3


def test_set_replaces_every_line_at_the_place_of_the_first() -> None:
    made = fields((b"A", b"1"), (b"B", b"2"), (b"a", b"3"))
    made.set("a", "4")
    assert list(made) == [(b"a", b"4"), (b"B", b"2")]
    made.set("C", "5")
    assert made.get("c") == "5"


def test_remove_and_add() -> None:
    made = fields((b"A", b"1"), (b"a", b"2"))
    made.remove("A")
    assert len(made) == 0
    made.add("A", "3")
    assert made.all("a") == ["3"]


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\nb", "a\0", "\x7f"])
def test_refuses_a_value_that_would_end_the_line(value: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        fields().set("A", value)


@pytest.mark.parametrize("name", ["", "a b", "a:", "\xe9"])
def test_refuses_what_is_no_field_name(name: str) -> None:
    with pytest.raises(ValueError, match="not a field name"):
        encoded(name, "v")


def test_repr_shows_names_and_no_values() -> None:
    assert "secret" not in repr(fields((b"X-Auth-Token", b"secret")))


def test_the_memo_of_names_is_bounded() -> None:
    for number in range(5000):
        assert folded[b"X-%d" % number] == b"x-%d" % number
    assert len(folded) <= 2048


def test_extend_appends_and_leaves_the_block_as_it_was() -> None:
    block = fields((b"X-User", b"u"), (b"X-Role", b"r"))
    made = fields((b"Host", b"a"))
    assert made.get("x-user") is None
    made.extend(block)
    other = fields((b"Host", b"b"))
    other.extend(block)
    assert list(made) == [(b"Host", b"a"), (b"X-User", b"u"), (b"X-Role", b"r")]
    assert made.get("x-user") == "u"
    made.add("X-User", "v")
    assert made.all("x-user") == ["u", "v"]
    assert other.all("x-user") == ["u"]
    assert list(block) == [(b"X-User", b"u"), (b"X-Role", b"r")]


@given(LINES, LINES, st.booleans(), st.booleans())
def test_extend_is_adding_line_by_line(
    first: list[tuple[bytes, bytes]], second: list[tuple[bytes, bytes]], indexed: bool, frozen: bool
) -> None:
    made = Fields(tuple(first) if frozen else first)
    if indexed:
        made.index()
    made.extend(Fields(second))
    assert list(made) == first + second
    assert made.index() == Fields(first + second).index()


@given(LINES, st.frozensets(st.sampled_from([b"a", b"b", b"b-c", b"x_y", b"none"])))
def test_drop_is_removing_name_by_name(lines: list[tuple[bytes, bytes]], names: frozenset[bytes]) -> None:
    made = Fields(tuple(lines))
    made.drop(names)
    assert list(made) == [line for line in lines if line[0].lower() not in names]
    assert made.index() == Fields(list(made)).index()


def test_edits_of_an_overlay_stay_in_it() -> None:
    base = fields((b"A", b"1"), (b"B", b"2"))
    overlay = base.overlay()
    assert isinstance(overlay, Overlay)
    overlay.drop(frozenset({b"a"}))
    overlay.extend(fields((b"B", b"3"), (b"C", b"4")))
    assert overlay.get("a") is None
    assert overlay.all("b") == ["2", "3"]
    assert overlay.get("c") == "4"
    assert sorted(overlay) == [(b"B", b"2"), (b"B", b"3"), (b"C", b"4")]
    assert list(base) == [(b"A", b"1"), (b"B", b"2")]


def test_an_overlay_reads_through_sets_and_replaces() -> None:
    base = fields((b"A", b"1"), (b"B", b"2"))
    overlay = base.overlay()
    overlay.set("a", "9")
    assert overlay.get("A") == "9"
    assert overlay.get("B") == "2"
    assert len(overlay) == 2
    overlay.replace([(b"C", b"3")])
    assert list(overlay) == [(b"C", b"3")]
    assert base.get("a") == "1"


def test_the_memo_of_names_is_bounded_in_bytes() -> None:
    """An upstream's head may be 256 KiB, and a name may be nearly all of it."""
    folded.clear()
    for number in range(100):
        Fields([(b"%d" % number + b"n" * 100_000, b"")]).index()
    try:
        assert sum(len(name) + len(lower) for name, lower in folded.items()) < 1 << 20
    finally:
        folded.clear()
