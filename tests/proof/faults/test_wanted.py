"""The backend's pushes, on a stack of their own."""

from collections.abc import AsyncIterator

import pytest

from infra.local.stack import Stack, running
from tests.proof.faults import wanted
from tests.proof.faults.logs import tracebacks

pytestmark = pytest.mark.thorough


@pytest.fixture
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(wanted.options(tmp_path_factory.mktemp("logs"))) as made:
        yield made


async def test_a_backend_that_pushes_is_asked_at_least_once_or_not_when_it_is_too_late(
    stack: Stack,
) -> None:
    rows = [*await wanted.run(stack), tracebacks(stack)]
    assert [finding for row in rows for finding in row.findings] == []
    assert sum(row.tried for row in rows) >= 15
