"""The stack whose functions die under the handshakes of clients."""

from collections.abc import AsyncIterator

import pytest

from infra.local.stack import Stack, running
from tests.proof.handshake.run import options


@pytest.fixture(scope="package")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(options(tmp_path_factory.mktemp("logs"))) as made:
        yield made
