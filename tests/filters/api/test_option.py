"""The options of `api`."""

import pytest
from pydantic import ValidationError

from filters.api.option import ApiConfig


def test_says_its_defaults() -> None:
    config = ApiConfig.model_validate({"description": "a"})
    assert (config.max_size, config.path_status, config.base, config.validate_responses) == (
        112 * 1024,
        404,
        None,
        None,
    )


@pytest.mark.parametrize("base", ["/v2", "/", "", "/a/b/"])
def test_a_base_is_a_path(base: str) -> None:
    assert ApiConfig.model_validate({"description": "a", "base": base}).base == base


@pytest.mark.parametrize("base", ["v2", "/{x}", "http://x/v2", "/a//b"])
def test_a_base_is_nothing_else(base: str) -> None:
    with pytest.raises(ValidationError):
        ApiConfig.model_validate({"description": "a", "base": base})


@pytest.mark.parametrize("percent", [0, 101, -1])
def test_a_share_is_a_percentage(percent: float) -> None:
    with pytest.raises(ValidationError):
        ApiConfig.model_validate({"description": "a", "validate_responses": {"percent": percent}})
