"""The three answers of a provider, and the base of the local ones."""

import pytest

from filters.token_auth.provider import LocalProvider, Refusal, Unavailable


def test_a_no_and_a_failure_are_different_answers() -> None:
    answers: list[object] = [
        Refusal("token_invalid"),
        Refusal("token_invalid", lasting=False),
        Unavailable(5),
    ]
    assert len(set(answers)) == 3
    assert Refusal("token_invalid").lasting
    with pytest.raises(AttributeError):
        Refusal("token_invalid").reason = "other"  # type: ignore[misc] # frozen, since answers are shared


async def test_a_local_provider_has_nothing_to_start_or_close() -> None:
    provider = LocalProvider()
    await provider.start()
    await provider.close()
