import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.rule import Malformed, meta_of, metadata_of, valid_image_id, valid_key

KEYS = st.text("abzAZ09-_:. ", min_size=1, max_size=255)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=255)


@pytest.mark.parametrize("key", ["a", "a:b c.d_e-f", "k" * 255, " ", "."])
def test_accepts_keys_of_the_alphabet(key: str) -> None:
    assert valid_key(key)
    assert metadata_of(json.dumps({"metadata": {key: "v"}}).encode()) == {key: "v"}


@pytest.mark.parametrize("key", ["", "k" * 256, "a/b", "žluť", "a\n", "\na", "a\tb", "é", "a\0", "٣"])
def test_refuses_other_keys(key: str) -> None:
    assert not valid_key(key)
    with pytest.raises(Malformed, match="Image metadata key"):
        metadata_of(json.dumps({"metadata": {key: "v"}}).encode())
    with pytest.raises(Malformed, match="Image metadata key"):
        meta_of(json.dumps({"meta": {key: "v"}}).encode(), key)


@pytest.mark.parametrize("value", ["", "v" * 255, "žluť", "\0", "\U0001d54f" * 255, '<&>"'])
def test_accepts_any_unicode_value_up_to_255_characters(value: str) -> None:
    assert metadata_of(json.dumps({"metadata": {"a": value}}).encode()) == {"a": value}
    assert metadata_of(json.dumps({"metadata": {"a": value}}, ensure_ascii=False).encode()) == {"a": value}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "Image metadata value of 'a' is not a string"),
        (None, "Image metadata value of 'a' is not a string"),
        (True, "Image metadata value of 'a' is not a string"),
        ({"b": "c"}, "Image metadata value of 'a' is not a string"),
        (["b"], "Image metadata value of 'a' is not a string"),
        ("v" * 256, "Image metadata value of 'a' too long"),
        ("\ud800", "Image metadata value of 'a' is not Unicode"),
    ],
)
def test_refuses_other_values(value: object, message: str) -> None:
    with pytest.raises(Malformed) as caught:
        metadata_of(json.dumps({"metadata": {"a": value}}).encode())
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "Malformed request body"),
        (b"{", "Malformed request body"),
        (b'{"metadata": {}} x', "Malformed request body"),
        (b'{"metadata": {"a": "\xff"}}', "Malformed request body"),
        (b'\xef\xbb\xbf{"metadata": {}}', "Malformed request body"),
        ('{"metadata": {}}'.encode("utf-16"), "Malformed request body"),
        (b"[" * 100_000, "Malformed request body"),
        (b"1" * 100_000, "Malformed request body"),
        (b"null", "The request body is not an object"),
        (b"[1, 2]", "The request body is not an object"),
        (b"{}", "'metadata' is a required property"),
        (b'{"meta": {}}', "'metadata' is a required property"),
        (b'{"metadata": {}, "x": 1}', "Additional properties beside 'metadata' are not allowed"),
        (b'{"metadata": "s"}', "'metadata' is not an object"),
        (b'{"metadata": null}', "'metadata' is not an object"),
    ],
)
def test_refuses_a_body_of_another_shape(raw: bytes, message: str) -> None:
    with pytest.raises(Malformed) as caught:
        metadata_of(raw)
    assert str(caught.value) == message


def test_the_last_of_duplicate_keys_wins() -> None:
    assert metadata_of(b'{"metadata": {"dup": "1", "a": "b", "dup": "2"}}') == {"dup": "2", "a": "b"}
    assert metadata_of(b'{"metadata": {"a": "b"}, "metadata": {}}') == {}


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({}, "Request body and URI mismatch"),
        ({"b": "v"}, "Request body and URI mismatch"),
        ({"A": "v"}, "Request body and URI mismatch"),
        ({"a": "v", "b": "v"}, "Request body contains too many items"),
    ],
)
def test_one_item_must_be_the_one_of_the_uri(items: dict[str, str], message: str) -> None:
    with pytest.raises(Malformed) as caught:
        meta_of(json.dumps({"meta": items}).encode(), "a")
    assert str(caught.value) == message


def test_reads_the_value_of_one_item() -> None:
    assert meta_of(b'{"meta": {"a": "v"}}', "a") == "v"
    with pytest.raises(Malformed, match="'meta' is a required property"):
        meta_of(b'{"metadata": {"a": "v"}}', "a")


@pytest.mark.parametrize(
    ("image_id", "valid"),
    [
        ("70a599e0-31e7-49b7-b260-868f441e862b", True),
        ("70A599E0-31E7-49B7-B260-868F441E862B", False),
        ("70a599e031e749b7b260868f441e862b", False),
        ("70a599e0-31e7-49b7-b260-868f441e862b\n", False),
        ("not-a-uuid", False),
        ("", False),
    ],
)
def test_an_image_id_is_a_canonical_uuid(image_id: str, valid: bool) -> None:
    assert valid_image_id(image_id) is valid


@given(st.dictionaries(KEYS, VALUES, max_size=20))
def test_reads_back_what_is_valid(items: dict[str, str]) -> None:
    assert metadata_of(json.dumps({"metadata": items}).encode()) == items


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["metadata", "meta", "a"]) | st.text(), inner)
    ),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_checked_or_malformed(raw: bytes) -> None:
    try:
        items = metadata_of(raw)
    except Malformed as refusal:
        items = {}
        message = str(refusal)
    else:
        message = ""
    assert len(message) < 400  # input is repeated only as far as it was checked
    assert all(valid_key(key) and len(value) <= 255 for key, value in items.items())
    "".join(items.values()).encode("utf-8")  # raises for half a surrogate pair
