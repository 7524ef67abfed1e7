"""Header fields of which some values are not known."""

import pytest

from gateway.backtest.sealed import SealedFields, SealedOverlay, Spelling, Unread, sealed, spelling

LINES = [(b"Authorization", sealed("abc")), (b"Accept", b"*/*")]


def test_what_is_sealed_is_there_and_is_not_told() -> None:
    for fields in (SealedFields(LINES), SealedOverlay(SealedFields(LINES))):
        assert fields.has("authorization") and fields.get("accept") == "*/*"
        with pytest.raises(Unread, match="authorization"):
            fields.get(b"authorization")
        with pytest.raises(Unread, match="Authorization"):
            fields.all("Authorization")


def test_a_copy_is_sealed_and_what_is_put_in_its_place_is_not() -> None:
    fields = SealedFields(LINES)
    fields.replace([*fields.raw, (b"X-A", fields.raw[0][1])])
    fields.set("Authorization", "known")
    assert fields.all("authorization") == ["known"]
    with pytest.raises(Unread):
        fields.get("x-a")


def test_opened_they_tell_values_apart() -> None:
    one, other = SealedFields(LINES), SealedFields([(b"Authorization", sealed("def"))])
    one.opened = other.opened = True
    assert one.get("authorization") != other.get("authorization")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"plain", ("",)),
        (b"", (None,)),
        (sealed("abc"), ("k1",)),
        (sealed("abc") + b";q=0.5", None),
        (sealed("abc") + b", " + sealed("def"), None),
        (sealed("a [redacted] b"), None),
        (sealed(""), None),
    ],
)
def test_a_hash_tells_whose_a_key_is_only_where_it_is_of_all_of_a_line(
    value: bytes, told: Spelling | None
) -> None:
    fields = SealedFields([(b"X-Api-Key", value)])
    fields.opened = True
    assert spelling(fields, ["x-api-key"], "k1", split=False) == told
    if told == ("k1",):
        assert spelling(fields, ["x-api-key"], "k1", split=True) is None
        assert spelling(fields, ["x-api-key"], "", split=False) is None
    assert spelling(SealedFields(), ["x-api-key"], "", split=True) == (None,)
