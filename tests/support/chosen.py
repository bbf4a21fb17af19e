"""A fixture that stands for several, one for each of its parameters."""

from typing import Any

import pytest

# One of Google's emulators, which takes as long to start as hundreds of tests.
GOOGLES = pytest.param("google", marks=pytest.mark.thorough)


def chosen(request: pytest.FixtureRequest, what: str) -> Any:
    """The fixture `{param}_{what}`, by the parameter with which it is asked for."""
    return request.getfixturevalue(f"{request.param}_{what}")
