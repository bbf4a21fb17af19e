"""The kinds of Socket.IO clients there are."""

import pytest

from tests.support.socketio import KINDS, NODE_KINDS


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, node_missing: str | None) -> str:
    """A test that uses it runs with each kind of client."""
    if request.param in NODE_KINDS and node_missing:
        pytest.skip(f"Node's Socket.IO clients can't run: {node_missing}")
    return str(request.param)


@pytest.fixture
def kinds(node_missing: str | None) -> tuple[str, ...]:
    """All kinds at once, or those that can run; the tests that use `kind` say which can't."""
    return tuple(kind for kind in KINDS if kind not in NODE_KINDS or not node_missing)
