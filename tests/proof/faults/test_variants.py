"""The broken variant that is seen the soonest; `python -m tests.proof` runs all."""

from pathlib import Path

import pytest

from infra.local.stack import Stack
from tests.proof.faults import variants
from tests.proof.faults.variants import VARIANTS, Variant

SOONEST = [each for each in VARIANTS if each.name == "post-before-commit"]


@pytest.mark.parametrize("variant", SOONEST, ids=lambda variant: variant.name)
async def test_the_proof_sees_what_is_broken_on_purpose(
    stack: Stack, variant: Variant, tmp_path: Path
) -> None:
    assert (await variants.run(stack, variant, tmp_path)).findings == []
