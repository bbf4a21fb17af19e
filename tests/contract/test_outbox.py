"""The outbox keeps its promises on the embedded server and on Google's emulator."""

import asyncio
from datetime import timedelta

import pytest
from google.cloud.firestore import AsyncClient

from functions.attempt import MessageId
from functions.calls.call import CallId, ConnectionId
from functions.calls.event import CallEvent
from functions.ports.store import Entry, Store
from functions.services.firestore import outbox
from tests.support.makers import (
    CALL,
    CALLER,
    RECEIVER,
    committed,
    connect,
    event,
    ids_in,
    now,
    pend,
    pending_calls,
    register,
    ring,
)

ONE, TWO = ConnectionId("1="), ConnectionId("2=")


async def entry_of(store: Store, made: CallEvent) -> Entry:
    entry = await store.outbox.entry(made.call_id, made.signal_id)
    assert entry is not None
    return entry


async def test_a_delivered_event_stays_for_those_who_come_later(
    store: Store, client: AsyncClient
) -> None:
    made = await committed(store, client, event())
    dead, alive = await connect(store, "1=", RECEIVER), await connect(store, "2=", RECEIVER)
    await store.outbox.note_served(made, [alive.id], now(), is_done=True, dead=[dead])
    assert await pending_calls(client) == set()
    assert await store.connections.of([RECEIVER], now()) == [alive]
    (missed,) = await store.outbox.missed(RECEIVER, now())
    assert (missed.event, missed.pending_since) == (made, None)
    assert missed.served == {alive.id}


async def test_who_has_the_event_is_added_to_those_who_had_it(
    store: Store, client: AsyncClient
) -> None:
    made = await committed(store, client, event())
    await asyncio.gather(
        store.outbox.note_served(made, [ONE], now(), is_done=False),
        store.outbox.note_served(made, [TWO], now(), is_done=False),
    )
    for token in ("T", "U"):
        await register(store, token, RECEIVER)
    devices = await store.devices.of([RECEIVER], now())
    for device in devices:
        await store.outbox.note_pushed(made, [device])
    await register(store, "T", RECEIVER)
    entry = await entry_of(store, made)
    assert (entry.served, entry.pending_since is None) == ({ONE, TWO}, False)
    assert entry.pushed == {device.id for device in devices}


async def test_a_note_on_an_entry_that_is_gone_is_of_no_use_and_does_no_harm(
    store: Store, client: AsyncClient
) -> None:
    gone, there = event(), await committed(store, client, event(call=CallId("CALL_2")))
    dead = await connect(store, "1=", RECEIVER)
    await store.outbox.note_served(gone, [TWO], now(), is_done=True, dead=[dead])
    assert await store.connections.of([RECEIVER], now()) == []
    await store.outbox.note_caught_up([gone, there], ONE)
    assert (await entry_of(store, there)).served == {ONE}
    await register(store, "T", RECEIVER)
    await store.outbox.note_pushed(gone, await store.devices.of([RECEIVER], now()))
    assert await ids_in(client, "outbox") == {f"CALL_2:{there.signal_id}"}


async def test_nothing_to_note_costs_nothing(store: Store) -> None:
    await store.outbox.note_served(event(), [], now(), is_done=False)
    await store.outbox.note_pushed(event(), [])
    await store.outbox.note_caught_up([], ONE)


async def test_a_user_has_missed_what_is_his_and_has_not_expired(
    store: Store, client: AsyncClient
) -> None:
    first = await committed(store, client, event(decided=now() - timedelta(seconds=3)))
    second = await committed(store, client, event(call=CallId("CALL_2")))
    expired = event(call=CallId("CALL_3"), decided=now() - timedelta(seconds=31))
    await committed(store, client, expired)
    others = await committed(store, client, event("call:reject", call=CallId("CALL_4")))
    assert [found.event for found in await store.outbox.missed(RECEIVER, now())] == [first, second]
    assert [found.event for found in await store.outbox.missed(CALLER, now())] == [others]


async def test_an_event_under_the_name_of_another_is_no_entry(
    store: Store, client: AsyncClient
) -> None:
    made = await committed(store, client, event())
    entries = client.collection("outbox")
    fields = (await entries.document(f"{CALL}:{made.signal_id}").get()).to_dict() or {}
    await entries.document("misnamed").set(fields)
    (page,) = [page async for page in store.outbox.waiting(now() + timedelta(seconds=5))]
    assert [entry.event for entry in page.entries] == [made]
    assert [found.id for found in page.unreadable] == ["misnamed"]


async def test_two_rings_of_a_call_have_an_entry_each(store: Store, client: AsyncClient) -> None:
    old = await committed(store, client, event())
    new = await committed(store, client, event())
    await store.outbox.note_served(old, [ONE], now(), is_done=True)
    assert (await entry_of(store, old)).pending_since is None
    assert (await entry_of(store, new)).pending_since is not None
    assert (await entry_of(store, new)).served == frozenset()


async def test_what_is_known_of_an_event_is_its_entry_and_its_call(
    store: Store, client: AsyncClient
) -> None:
    made = await committed(store, client, event())
    known = await store.outbox.known(made)
    assert known.entry is not None
    assert known.call is not None
    assert made.still_true(known.call)
    await ring(client)
    assert not made.still_true((await store.outbox.known(made)).call)
    await client.collection("calls").document(CALL).set({"callerId": 7})
    assert (await store.outbox.known(made)).call is None
    unknown = await store.outbox.known(event(call=CallId("CALL_2")))
    assert (unknown.entry, unknown.call) == (None, None)


async def test_of_all_who_claim_an_entry_one_has_it(store: Store, client: AsyncClient) -> None:
    made = await committed(store, client, event())
    entry = await entry_of(store, made)
    claims = [store.outbox.claim(entry, MessageId(name), now()) for name in "abc"]
    assert sorted(await asyncio.gather(*claims)) == [False, False, True]
    claimed = await entry_of(store, made)
    assert claimed.claimed_by in ("a", "b", "c")
    assert claimed.claimed_at is not None
    assert not await store.outbox.claim(entry, MessageId("d"), now())


async def test_what_waits_is_read_in_pages_oldest_first(
    store: Store, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_PAGE", 2)
    for age, name in enumerate("ABCDE"):
        made = await committed(store, client, event(call=CallId(name)))
        await pend(client, made, now() - timedelta(seconds=10 + age))
    young = await committed(store, client, event(call=CallId("YOUNG")))
    done = await committed(store, client, event(call=CallId("DONE")))
    await pend(client, done, now() - timedelta(seconds=20))
    await store.outbox.note_served(done, [], now(), is_done=True)
    await (
        client.collection("outbox")
        .document("rubbish")
        .set({"pendingSince": now() - timedelta(seconds=12.5), "event": {"name": "x"}})
    )
    pages = [page async for page in store.outbox.waiting(now() - timedelta(seconds=5))]
    assert [[each.event.call_id for each in page.entries] for page in pages] == [
        ["E", "D"],
        ["C"],
        ["B", "A"],
        [],
    ]
    (unreadable,) = [found for page in pages for found in page.unreadable]
    assert unreadable.id == "rubbish"
    await store.outbox.remove(unreadable)
    assert "rubbish" not in await ids_in(client, "outbox")
    assert young.call_id in await pending_calls(client)


async def test_an_unreadable_entry_that_is_mended_meanwhile_stays(
    store: Store, client: AsyncClient
) -> None:
    made = await committed(store, client, event())
    document = client.collection("outbox").document(f"{CALL}:{made.signal_id}")
    good = (await document.get()).to_dict() or {}
    await document.update({"event": 7})
    (page,) = [page async for page in store.outbox.waiting(now() + timedelta(seconds=5))]
    await document.set(good)
    await store.outbox.remove(*page.unreadable)
    assert (await entry_of(store, made)).event == made
