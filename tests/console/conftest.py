"""The stack with its console, who asks the console, and two phones."""

from collections.abc import AsyncIterator

import pytest

from infra.client.phone import JsonPhone, json_phone
from infra.local.stack import Stack
from tests.console.visitor import Visitor, visitor
from tests.support.stacks import Ids, Watched


@pytest.fixture
async def asking(watched: Watched) -> AsyncIterator[Visitor]:
    async with visitor(watched.url) as made:
        yield made


@pytest.fixture
def stack(watched: Watched) -> Stack:
    return watched.stack


@pytest.fixture
async def caller(stack: Stack, ids: Ids) -> AsyncIterator[JsonPhone]:
    async with json_phone(stack.websocket, stack.token(ids.caller)) as phone:
        yield phone


@pytest.fixture
async def receiver(stack: Stack, ids: Ids) -> AsyncIterator[JsonPhone]:
    async with json_phone(stack.websocket, stack.token(ids.receiver)) as phone:
        await phone.emit("device:register", token=ids.token, platform="android")
        yield phone
