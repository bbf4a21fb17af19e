"""What the core is promised of its outbox, held of all three stores."""

import asyncio
from datetime import timedelta

import pytest

from functions.attempt import MessageId
from functions.calls.call import CallId, ConnectionId
from functions.calls.event import CallEvent
from functions.ports.store import Entry, Store
from functions.services.firestore import remote
from tests.memory.store import MemoryOutbox
from tests.support.makers import CALLER, RECEIVER, connect, event, now, register
from tests.support.world import World, committed

ONE, TWO = ConnectionId("1="), ConnectionId("2=")


async def entry_of(store: Store, made: CallEvent) -> Entry:
    entry = await store.outbox.entry(made.call_id, made.signal_id)
    assert entry is not None
    return entry


async def test_a_delivered_event_stays_for_those_who_come_later(store: Store, world: World) -> None:
    made = await committed(world, event())
    dead, alive = await connect(store, "1=", RECEIVER), await connect(store, "2=", RECEIVER)
    await store.outbox.note_served(made, [alive.id], now(), is_done=True, dead=[dead])
    assert await world.pending_calls() == set()
    assert await store.connections.of([RECEIVER], now()) == [alive]
    (missed,) = await store.outbox.missed(RECEIVER, now())
    assert (missed.event, missed.pending_since) == (made, None)
    assert missed.served == {alive.id}


async def test_who_has_the_event_is_added_to_those_who_had_it(store: Store, world: World) -> None:
    made = await committed(world, event())
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
    assert entry.served == {ONE, TWO}
    assert entry.pending_since is not None
    assert entry.pushed == {device.id for device in devices}


async def test_a_note_on_an_entry_that_is_gone_is_of_no_use_and_does_no_harm(
    store: Store, world: World
) -> None:
    gone, there = event(), await committed(world, event(call=CallId("CALL_2")))
    dead = await connect(store, "1=", RECEIVER)
    await store.outbox.note_served(gone, [TWO], now(), is_done=True, dead=[dead])
    assert await store.connections.of([RECEIVER], now()) == []
    await store.outbox.note_caught_up([gone, there], ONE)
    assert (await entry_of(store, there)).served == {ONE}
    await register(store, "T", RECEIVER)
    await store.outbox.note_pushed(gone, await store.devices.of([RECEIVER], now()))
    assert await world.ids_in("outbox") == {f"CALL_2:{there.signal_id}"}


async def test_nothing_to_note_costs_nothing(store: Store) -> None:
    await store.outbox.note_served(event(), [], now(), is_done=False)
    await store.outbox.note_pushed(event(), [])
    await store.outbox.note_caught_up([], ONE)


async def test_a_user_has_missed_what_is_his_and_has_not_expired(
    store: Store, world: World
) -> None:
    first = await committed(world, event(decided=now() - timedelta(seconds=3)))
    second = await committed(world, event(call=CallId("CALL_2")))
    expired = event(call=CallId("CALL_3"), decided=now() - timedelta(seconds=31))
    await committed(world, expired)
    rejected = event("call:reject", call=CallId("CALL_4"))
    others = await committed(world, rejected.only_for(rejected.recipients[:1]))
    assert [found.event for found in await store.outbox.missed(RECEIVER, now())] == [first, second]
    assert [found.event for found in await store.outbox.missed(CALLER, now())] == [others]


async def test_two_rings_of_a_call_have_an_entry_each(store: Store, world: World) -> None:
    old = await committed(world, event())
    new = await committed(world, event())
    await store.outbox.note_served(old, [ONE], now(), is_done=True)
    assert (await entry_of(store, old)).pending_since is None
    assert (await entry_of(store, new)).pending_since is not None
    assert (await entry_of(store, new)).served == frozenset()


async def test_what_is_known_of_an_event_is_its_entry_and_its_call(
    store: Store, world: World
) -> None:
    made = await committed(world, event())
    known = await store.outbox.known(made)
    assert known.entry is not None
    assert known.call is not None
    assert made.still_true(known.call)
    await world.ring()
    assert not made.still_true((await store.outbox.known(made)).call)
    await world.delete_call()
    assert (await store.outbox.known(made)).call is None
    unknown = await store.outbox.known(event(call=CallId("CALL_2")))
    assert (unknown.entry, unknown.call) == (None, None)


async def test_of_all_who_claim_an_entry_one_has_it(store: Store, world: World) -> None:
    made = await committed(world, event())
    entry = await entry_of(store, made)
    claims = [store.outbox.claim(entry, MessageId(name), now()) for name in "abc"]
    assert sorted(await asyncio.gather(*claims)) == [False, False, True]
    claimed = await entry_of(store, made)
    assert claimed.claimed_by in ("a", "b", "c")
    assert claimed.claimed_at is not None
    assert not await store.outbox.claim(entry, MessageId("d"), now())


async def test_of_more_than_a_hundred_missed_events_those_that_expire_last_are_told(
    store: Store, world: World
) -> None:
    for number in range(101):
        decided = now() - timedelta(milliseconds=101 - number)
        await committed(world, event(call=CallId(f"CALL_{number}"), decided=decided))
    missed = await store.outbox.missed(RECEIVER, now())
    told = [entry.event.call_id for entry in missed]
    assert told == [f"CALL_{number}" for number in range(1, 101)]


async def test_what_waits_is_read_in_pages_oldest_first(
    store: Store, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PAGE", 2)
    monkeypatch.setattr(MemoryOutbox, "page", 2)
    for age, name in enumerate("ABCDE"):
        made = await committed(world, event(call=CallId(name)))
        await world.pend(made, now() - timedelta(seconds=10 + age))
    young = await committed(world, event(call=CallId("YOUNG")))
    done = await committed(world, event(call=CallId("DONE")))
    await world.pend(done, now() - timedelta(seconds=20))
    await store.outbox.note_served(done, [], now(), is_done=True)
    await world.put_unreadable("rubbish", now() - timedelta(seconds=12.5))
    pages = [page async for page in store.outbox.pending(now() - timedelta(seconds=5))]
    assert [[each.event.call_id for each in page.entries] for page in pages] == [
        ["E", "D"],
        ["C"],
        ["B", "A"],
        [],
    ]
    (unreadable,) = [found for page in pages for found in page.unreadable]
    assert unreadable.id == "rubbish"
    await store.outbox.remove(unreadable)
    assert "rubbish" not in await world.ids_in("outbox")
    assert young.call_id in await world.pending_calls()
