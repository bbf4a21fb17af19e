"""A backend for the local API Gateway, for modules that name this plugin."""

from collections.abc import AsyncIterator

import pytest

from tests.infra.apigateway_support import Backend


@pytest.fixture(scope="module")
async def running_backend() -> AsyncIterator[Backend]:
    async with Backend().running() as backend:
        yield backend


@pytest.fixture
def backend(running_backend: Backend) -> Backend:
    running_backend.reset()
    return running_backend
