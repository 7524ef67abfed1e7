"""The contract is proven on the event loop that the gateway runs on, with a clock that stands still."""

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from gateway.demo.metadata_api import seed
from tests.contract.deployment import Deploy, Deployment, deploying


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with the sample images: made once, written out for each test."""
    path = tmp_path_factory.mktemp("seeded") / "images.sqlite"
    seed(path)
    return path.read_bytes()


@pytest.fixture
def deploy(tmp_path: Path, seeded: bytes) -> Deploy:
    """Makes deployments, each with what the test says of it."""
    return deploying(tmp_path, seeded)


@pytest.fixture
async def site(deploy: Deploy) -> AsyncIterator[Deployment]:
    """The shipped configuration in front of the bundled metadata API."""
    async with deploy() as made:
        yield made
