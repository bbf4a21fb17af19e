"""How many examples a test by Hypothesis plays."""

import os

from hypothesis import settings


def examples(many: int) -> settings:
    """`many` of them in `make thorough`, which sets UNRING_THOROUGH; else a tenth."""
    return settings(max_examples=many if os.environ.get("UNRING_THOROUGH") else many // 10)
