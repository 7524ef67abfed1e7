"""The image-metadata page, status by status, through the whole gateway and the bundled metadata API."""

import pytest

pytest.register_assert_rewrite("tests.contract.answer", "tests.contract.deployment")
