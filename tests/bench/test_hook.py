import pytest

from tests.bench import hook


@pytest.mark.parametrize("name", hook.HOOKS)
def test_a_hook_lets_the_request_pass_and_is_timed(name: str) -> None:
    told = hook.measured(name, 0.01)
    assert told.calls > 0
    assert told.cpu > 0
    assert told.server is None
