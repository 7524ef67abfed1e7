"""Files: regular ones, of a bounded size, where they are to be."""

import os
from pathlib import Path

import pytest

from gateway.api.file import hold_beside, read_regular


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    assert read_regular(file, 3) == b"abc"
    with pytest.raises(OSError, match="it is larger than 0 MiB"):
        read_regular(file, 2)


def test_what_is_no_regular_file_is_neither_read_nor_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for file in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="it is no regular file"):
            read_regular(file)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none")


def test_a_link_may_lead_to_a_file_beside_and_nowhere_else(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    (inside / "below").mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    (inside / "below" / "kept").write_text("k")
    (inside / "out").symlink_to(tmp_path / "secret")
    (inside / "in").symlink_to("below/kept")
    (inside / "away").symlink_to(tmp_path)
    (tmp_path / "linked").symlink_to(inside)
    hold_beside(inside / "in", inside / "api.wadl")
    hold_beside(tmp_path / "linked" / "in", tmp_path / "linked" / "api.wadl")
    for name in ("out", "away/secret", "../secret"):
        with pytest.raises(OSError, match=r"it leads out of the directory of api\.wadl"):
            hold_beside(inside / name, inside / "api.wadl")
