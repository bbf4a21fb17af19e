"""The kinds of Socket.IO clients there are."""

import pytest

from tests.support import debian
from tests.support.socketio import BROWSER, KINDS, NODE_KINDS, ByDefault


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


# A browser is installed for minutes where it is not there, and starts for seconds.
_KINDS_BY_DEFAULT = (*KINDS, pytest.param(BROWSER, marks=pytest.mark.thorough))


@pytest.fixture(params=_KINDS_BY_DEFAULT)
def apps(request: pytest.FixtureRequest, node_missing: str | None) -> ByDefault:
    """A test that uses it runs with each kind of client, which keeps its default options."""
    if request.param != "python" and node_missing:
        pytest.skip(f"The Socket.IO clients of npm can't run: {node_missing}")
    return _by_default(request, request.param)


@pytest.fixture
def apps_of_all_kinds(
    request: pytest.FixtureRequest, kinds: tuple[str, ...], node_missing: str | None
) -> list[ByDefault]:
    """Those of all kinds at once that can run; the tests that use `apps` say which can't."""
    has_browser = not (node_missing or debian.unavailable("chromium"))
    return [_by_default(request, kind) for kind in (*kinds, *([BROWSER] if has_browser else []))]


def _by_default(request: pytest.FixtureRequest, kind: str) -> ByDefault:
    return ByDefault(kind, request.getfixturevalue("browser") if kind == BROWSER else None)
