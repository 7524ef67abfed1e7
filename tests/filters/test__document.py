"""Files beside the configuration; more is tested with those who read them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from filters._document import Document, read_document
from gateway.api import OptionError
from gateway.api.testing import FrozenServices


def read(directory: Path, content: bytes) -> Document | None:
    (directory / "a.yaml").write_bytes(content)
    return read_document("a.yaml", FrozenServices(directory=directory), ("file",))


def test_everything_is_text_and_has_a_place(tmp_path: Path) -> None:
    document = read(tmp_path, b"a: 0123\nb:\n  - x\n  - { c: no }\n")
    assert document is not None
    assert (document.path, document.value) == ("a.yaml", {"a": "0123", "b": ["x", {"c": "no"}]})
    assert document.place() == "a.yaml:1:1"
    assert document.place(("b",)) == "a.yaml:2:1"
    assert document.place(("b", 1)) == "a.yaml:4:5"
    assert document.place(("b", 1, "c")) == "a.yaml:4:7"


class _Walked(list[tuple[yaml.ScalarNode, yaml.Node]]):
    """The members of a mapping, which count how often they are gone through."""

    walks = 0

    def __iter__(self):  # type: ignore[no-untyped-def] # that of a list
        self.walks += 1
        return super().__iter__()


def test_places_of_all_keys_take_one_walk_through_them() -> None:
    text = "".join(f"p{number}: {number}\n" for number in range(100))
    node: Any = yaml.compose(text)
    node.value = members = _Walked(node.value)
    document = Document("a.yaml", {}, node)
    places = [document.place((f"p{number}",)) for number in range(100)]
    assert places == [f"a.yaml:{number + 1}:1" for number in range(100)]
    assert members.walks == 1


def test_a_file_without_a_value_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, b"# nothing\n") is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff", "a.yaml is not UTF-8 text"),
        (b"a: 1\na: 2", "a.yaml:1:1: a key stands twice"),
        (b"a: *hidden", "a.yaml:1:4: "),
        (b"a: !hidden x", ""),
        (b"[" * 5000, "not YAML"),
    ],
)
def test_what_is_wrong_is_told_without_what_is_there(tmp_path: Path, content: bytes, words: str) -> None:
    if not words:
        read(tmp_path, content)  # every scalar is text, whatever its tag
        return
    with pytest.raises(OptionError) as caught:
        read(tmp_path, content)
    assert caught.value.rule == ("file",)
    assert words in str(caught.value) and "hidden" not in str(caught.value)
