"""Which documents the console keeps for those who come later."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from functions.collections import Collections
from infra.emulators.firestore import FirestoreServer
from infra.local.console.documents import KEPT, Documents


@pytest.fixture
async def documents() -> AsyncIterator[Documents]:
    """They listen to a Firestore that has none."""
    async with FirestoreServer() as server:
        made = Documents(server.address, "p", "(default)", Collections(), lambda *_: None)
        async with made:
            yield made


def document(collection: str, number: int, *, exists: bool = True) -> dict[str, Any]:
    fields = {"n": number} if exists else None
    return {"collection": collection, "id": f"D{number}", "fields": fields, "at": number}


def kept(documents: Documents) -> list[tuple[str, str]]:
    return [(each["collection"], each["id"]) for _, each in documents.snapshot()]


async def test_many_of_one_collection_leave_those_of_the_others(documents: Documents) -> None:
    documents.take([document("calls", 0), document("devices", 1)])
    documents.take([document("outbox", number) for number in range(2, KEPT + 5)])
    there = kept(documents)
    assert there[:3] == [("calls", "D0"), ("devices", "D1"), ("outbox", "D5")]
    assert len(there) == KEPT + 2


async def test_what_changed_last_is_kept_longest_and_what_is_gone_is_not(
    documents: Documents,
) -> None:
    documents.take([document("calls", number) for number in range(KEPT)])
    documents.take([{**document("calls", 0), "at": KEPT}, document("calls", KEPT + 1)])
    there = [id for _, id in kept(documents)]
    assert (there[0], there[-2:]) == ("D2", ["D0", f"D{KEPT + 1}"])
    documents.take([document("calls", 0, exists=False)])
    assert ("calls", "D0") not in kept(documents)
