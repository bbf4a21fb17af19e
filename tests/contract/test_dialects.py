"""The documents of calls in an app's dialect: its fields, its words for a status, its ids."""

from dataclasses import replace
from datetime import timedelta

import pytest

from functions.calls.call import Call, CallId, SignalId, Status, UnreadableCall, UserId
from functions.calls.event import CallEvent
from functions.calls.ring import Ring
from functions.dialect.reading import dialect_of
from functions.ports.store import Store, StoredCall
from functions.services.firestore import store_of
from infra import ROOT
from tests.contract.world import FirestoreWorld
from tests.support.makers import event, fields_of, now

CALL, CALLER, RECEIVER = CallId("7"), UserId("1"), UserId("2")
SNAKE_CASE = dialect_of(str(ROOT / "docs/dialects/snake-case.toml"))
THEIRS = {"caller_id": 1, "callee_id": 2, "state": "initiated", "status": "app's own", "reason": 3}


@pytest.fixture
async def store(documents: FirestoreWorld) -> Store:
    return store_of(documents.database, dialect=SNAKE_CASE)


async def write(documents: FirestoreWorld, **fields: object) -> None:
    await documents.client.collection("calls").document(CALL).set({**THEIRS, **fields})


async def read(store: Store) -> StoredCall:
    stored = await store.calls.get(CALL)
    assert isinstance(stored, StoredCall)
    return stored


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("calling", Status.RINGING),
        ("ringing", Status.RINGING),
        ("initiated", Status.RINGING),
        ("in_progress", Status.ACCEPTED),
        ("canceled", Status.CANCELLED),
        ("no_answer", Status.MISSED),
    ],
)
async def test_a_call_is_read_in_the_apps_words(
    store: Store, documents: FirestoreWorld, word: str, status: Status
) -> None:
    ends = now()
    await write(documents, state=word, rings_until=ends)
    call = (await read(store)).call
    assert call == Call(CALL, CALLER, RECEIVER, status, rings_until=ends)
    assert await store.calls.current([CALL]) == {CALL: call}


async def test_a_call_is_changed_in_the_apps_words_and_keeps_what_is_the_apps(
    store: Store, documents: FirestoreWorld
) -> None:
    await write(documents)
    made = event(call=CALL, caller=CALLER, receiver=RECEIVER)
    await store.calls.commit(await read(store), made)
    assert await fields_of(documents.client, "calls", CALL) == {
        **THEIRS,
        "state": "cancelled",
        "ended_at": made.decided_at,
        "ended_by": 1,
        "reason": "Caller ended call",
        "cause": "caller_cancelled",
        "signalId": made.signal_id,
    }
    known = await store.outbox.known(made)
    assert (known.call and known.call.status, made.still_true(known.call)) == (
        Status.CANCELLED,
        made.recipients,
    )
    reloaded = await store.calls.reload(made)
    assert (reloaded.is_ours, type(reloaded.call)) == (True, StoredCall)


async def test_a_call_that_we_create_is_the_apps_to_read(
    store: Store, documents: FirestoreWorld
) -> None:
    ring = Ring(CALL, CALLER, RECEIVER, 30, '{"room":"r"}', is_told=True)
    begun = ring.begun(SignalId("S"), now(), None)
    expires = now() + timedelta(days=30)
    made = CallEvent.of_ring(begun, SignalId("S"), now())
    await store.calls.create(begun, made, now=now(), expires=expires)
    assert (await read(store)).call == begun
    fields = await fields_of(documents.client, "calls", CALL)
    assert fields == {
        "caller_id": 1,
        "callee_id": 2,
        "state": "calling",
        "rings_until": begun.rings_until,
        "unringRingsUntil": begun.rings_until,
        "ringSeconds": 30,
        "data": '{"room":"r"}',
        "signalId": "S",
        "unringExpiresAt": expires,
    }
    accepted = event("call:accept", call=CALL, caller=CALLER, receiver=RECEIVER)
    await store.calls.commit(await read(store), accepted)
    fields = await fields_of(documents.client, "calls", CALL)
    assert fields is not None
    assert (fields["state"], fields["answered_by"]) == ("in_progress", 2)
    assert fields.keys().isdisjoint({"rings_until", "ringSeconds", "data"})
    assert (await read(store)).call == replace(
        begun,
        status=Status.ACCEPTED,
        answered_at=accepted.decided_at,
        signal_id=accepted.signal_id,
        rings_until=None,
        data=None,
        ring_seconds=None,
    )


@pytest.mark.parametrize("state", ["cancel", "accepted", None, 7])
async def test_a_word_of_nobodys_makes_a_call_unreadable_to_its_parties(
    store: Store, documents: FirestoreWorld, state: object
) -> None:
    await write(documents, state=state)
    found = await store.calls.get(CALL)
    assert found == UnreadableCall(CALL, frozenset({CALLER, RECEIVER}))


async def test_without_a_dialect_such_a_document_is_unreadable_and_ours_is_read(
    documents: FirestoreWorld,
) -> None:
    await write(documents)
    assert isinstance(await documents.store.calls.get(CALL), UnreadableCall)
    await documents.ring(CALL)
    assert isinstance(await documents.store.calls.get(CALL), StoredCall)


async def test_a_user_is_found_by_his_number_and_by_its_digits_and_pseudonymised(
    store: Store, documents: FirestoreWorld
) -> None:
    await write(documents, state="cancelled", ended_by=1, answered_on="phone")
    digits = documents.client.collection("calls").document("8")
    await digits.set({"caller_id": 2, "callee_id": "1", "state": "no_answer", "reason": "x"})
    await documents.client.collection("calls").document("9").set({**THEIRS, "caller_id": 3})
    mentions = await store.calls.mentions(CALLER)
    assert {(each.id, each.fields) for each in mentions} == {
        ("7", frozenset({"callerId", "endedBy"})),
        ("8", frozenset({"receiverId"})),
    }
    assert await store.calls.pseudonymise(mentions, UserId("erased-x")) == 2
    assert await fields_of(documents.client, "calls", CALL) == {
        **{name: value for name, value in THEIRS.items() if name != "reason"},
        "caller_id": "erased-x",
        "ended_by": "erased-x",
        "state": "cancelled",
        "answered_on": "phone",
    }
    assert await store.calls.mentions(CALLER) == []
