from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.filters.rate_limit.direct import Direct
from tests.support.redis import Redis, redis


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Redis]:
    async with redis(tmp_path) as server:
        yield server


@pytest.fixture
def direct(server: Redis) -> Iterator[Direct]:
    made = Direct(server)
    yield made
    made.close()
