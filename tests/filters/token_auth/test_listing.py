"""Lists of proofs in files; what is wrong with one is tested with those who read them, too."""

from pathlib import Path

import pytest
from pydantic import Field

from filters.token_auth.listing import read_list
from gateway.api import OptionError, Options
from gateway.api.testing import FrozenServices


class Entry(Options):
    name: str = Field(description="A name.")


def read(directory: Path, text: str) -> tuple[list[str], list[str]]:
    (directory / "list.yaml").write_text(text)
    entries, places = read_list("list.yaml", Entry, "names", FrozenServices(directory=directory))
    return [entry.name for entry in entries], places


def test_entries_come_with_their_places_and_stay_text(tmp_path: Path) -> None:
    assert read(tmp_path, "- name: 0123\n- { name: 1e5 }\n") == (["0123", "1e5"], ["1:3", "2:3"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a", "list.yaml: expected a list of names"),
        ("- name: a\n  nam: hidden", "list.yaml:2:3: unknown key 'nam'"),
        ("- name: [hidden]", "list.yaml:1:3: expected text, got a list"),
        ("- name: a\n  name: hidden", "a key stands twice"),
        ("[" * 5000, "not YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_no_value(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(OptionError) as caught:
        read(tmp_path, text)
    assert words in str(caught.value) and "hidden" not in str(caught.value)
    assert caught.value.rule == ("file",)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"cannot read none\.yaml: No such file"):
        read_list("none.yaml", Entry, "names", FrozenServices(directory=tmp_path))
