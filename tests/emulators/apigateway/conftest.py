"""A backend for the embedded API Gateway."""

from collections.abc import AsyncIterator

import pytest

from tests.emulators.apigateway.support import Backend


@pytest.fixture(scope="module")
async def running_backend() -> AsyncIterator[Backend]:
    async with Backend().running() as backend:
        yield backend


@pytest.fixture
def backend(running_backend: Backend) -> Backend:
    running_backend.reset()
    return running_backend
