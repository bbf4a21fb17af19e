"""The broken variants, on a stack of their own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.local.stack import Stack, running
from tests.proof.faults import variants
from tests.proof.faults.matrix import options
from tests.proof.faults.variants import VARIANTS, Variant


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(options(tmp_path_factory.mktemp("logs"))) as made:
        yield made


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
async def test_the_proof_sees_what_is_broken_on_purpose(
    stack: Stack, variant: Variant, tmp_path: Path
) -> None:
    assert (await variants.run(stack, variant, tmp_path)).findings == []
