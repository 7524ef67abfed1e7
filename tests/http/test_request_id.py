import os
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.request_id import RequestIds, valid


def test_ids_are_unique_and_version_4_uuids() -> None:
    ids = RequestIds()
    made = [ids.next() for _ in range(1000)]
    assert len(set(made)) == 1000
    for request_id in made:
        assert valid(request_id)
        parsed = uuid.UUID(request_id.removeprefix("req-"))
        assert parsed.version == 4
        assert parsed.variant == uuid.RFC_4122
        assert f"req-{parsed}" == request_id


@given(st.binary(min_size=16, max_size=16))
def test_every_other_bit_is_entropy(block: bytes) -> None:
    request_id = RequestIds(lambda size: block * (size // 16)).next()
    assert request_id == f"req-{uuid.UUID(bytes=block, version=4)}"


def test_entropy_is_taken_in_blocks() -> None:
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return os.urandom(size)

    ids = RequestIds(entropy)
    assert asked == []
    for _ in range(128):
        ids.next()
    assert len(asked) == 1
    ids.next()
    assert len(asked) == 2


@pytest.mark.parametrize(
    "value",
    [
        "",
        "req-",
        "00000000-0000-4000-8000-000000000000",
        "req-00000000-0000-4000-8000-00000000000",
        "req-00000000-0000-4000-8000-000000000000\n",
        "req-00000000-0000-4000-8000-00000000000A",
        " req-00000000-0000-4000-8000-000000000000",
        "req-00000000000040008000000000000000",
    ],
)
def test_refuses_other_forms(value: str) -> None:
    assert not valid(value)
