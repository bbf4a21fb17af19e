"""The console of a stack on Google's emulators: what it still tells, and what it says it can't."""

import pytest
from google.cloud.firestore import AsyncClient

from infra.client.calls import client_at
from infra.emulators.watching import WatchedFaults
from infra.local.console.console import console
from infra.local.stack import Stack
from tests.console.visitor import visitor
from tests.support.stacks import Ids


@pytest.mark.thorough
@pytest.mark.parametrize("stack", ["google"], indirect=True)
async def test_documents_are_told_and_what_can_not_be_broken_is_named(
    stack: Stack, ids: Ids
) -> None:
    documents: AsyncClient = client_at(stack.firestore, stack.project)
    async with console(stack, WatchedFaults()) as url, visitor(url) as asking:
        about = await asking.get("/api/stack")
        assert "Google" in about["limits"]
        unavailable = {each["name"] for each in about["faults"] if not each["available"]}
        assert {"firestore-down", "publish-fails", "deliveries-fail"} <= unavailable
        async with asking.listening() as live:
            await documents.collection("calls").document(ids.call).set({"status": "ringing"})
            call = await live.until("document", lambda each: each["id"] == ids.call)
            assert call["fields"] == {"status": "ringing"}


@pytest.fixture
def stack(request: pytest.FixtureRequest) -> Stack:
    made: Stack = request.getfixturevalue(f"{request.param}_stack")
    return made
