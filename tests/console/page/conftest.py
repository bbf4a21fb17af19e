"""Somebody before the page, whose phones are connected."""

from collections.abc import AsyncIterator

import pytest

from tests.console.page.desk import JSON, SOCKET_IO, Desk, desk
from tests.support.browser import Browser
from tests.support.stacks import Watched


@pytest.fixture
async def bare_desk(browser: Browser, watched: Watched) -> AsyncIterator[Desk]:
    """Before the page is shown. The browser may have nothing to complain of in the end."""
    async with desk(browser, watched.stack) as made:
        yield made
        assert made.complaints() == []


@pytest.fixture
async def at(bare_desk: Desk, watched: Watched) -> Desk:
    """Both phones speak JSON and are connected."""
    await bare_desk.sit_down(watched.url)
    return bare_desk


@pytest.fixture(params=[JSON, SOCKET_IO])
async def at_either(request: pytest.FixtureRequest, bare_desk: Desk, watched: Watched) -> Desk:
    """Both phones are connected; a test that uses it runs on each wire."""
    await bare_desk.sit_down(watched.url, request.param)
    return bare_desk
