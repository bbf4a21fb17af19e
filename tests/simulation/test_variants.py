"""The simulation has eyes: each safeguard that is taken out is missed."""

import re
from collections.abc import Callable

import pytest

from tests.simulation.run import play
from tests.simulation.variants import VARIANTS

_MOST = 500  # schedules; most variants need a handful


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.__name__)
def test_a_variant_is_seen(
    variant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    said, first = VARIANTS[variant]
    variant(monkeypatch)
    for seed in range(first, first + _MOST):
        played = play(seed)
        if played.wrong:
            sentences = [sentence for sentence, _ in played.wrong]
            assert any(re.search(said, each) for each in sentences), sentences
            return
    pytest.fail(f"nothing was wrong in {_MOST} schedules")
