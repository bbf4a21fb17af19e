"""The stack of the races: callers are soon missed on it, and a backend hears of everything."""

from collections.abc import AsyncIterator

import pytest

from infra.emulators import google
from infra.local.stack import Stack, running
from tests.proof.races.meeting import options


@pytest.fixture(scope="package", params=["embedded", "google"])
async def either_race(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """A test that uses it runs on the embedded Firestore and Pub/Sub and on Google's."""
    on_google = request.param == "google"
    if on_google and (reason := google.unavailable()):
        pytest.skip(f"Google's emulators can't run: {reason}")
    async with running(options(tmp_path_factory.mktemp("logs"), google=on_google)) as stack:
        yield stack
