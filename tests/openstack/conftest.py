"""One cloud, with the gateway before it, for all tests of a module."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.openstack.cloud import Cloud
from tests.openstack.front import Front


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cloud]:
    made = Cloud.over(tmp_path_factory.mktemp("cloud"))
    try:
        await made.start()
        yield made
    finally:
        await made.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(cloud: Cloud) -> AsyncIterator[Front]:
    async with Front.before(cloud) as made:
        yield made
