"""Clients of the embedded Firestore and of Google's emulator."""

from collections.abc import AsyncIterator, Callable

import pytest

from tests.emulators.firestore.support import Db, make_client


@pytest.fixture(params=["sync", "async"])
async def db(request: pytest.FixtureRequest, firestore: str, project: str) -> AsyncIterator[Db]:
    """Each client of either server: a test that uses it runs four times."""
    opened = Db(make_client(request.param, firestore, project))
    yield opened
    await opened.close()


@pytest.fixture
async def async_db(firestore: str, project: str) -> AsyncIterator[Db]:
    """For what does not depend on the client's kind: such a test runs twice."""
    opened = Db(make_client("async", firestore, project))
    yield opened
    await opened.close()


@pytest.fixture
def connect(firestore: str, project: str) -> Callable[..., Db]:
    """Open more clients of the same server: `connect(kind, project=…, database=…)`."""

    def opened(kind: str = "async", **where: str) -> Db:
        return Db(make_client(kind, firestore, **{"project": project, **where}))

    return opened
