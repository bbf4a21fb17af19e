"""`sweep`: what is republished, dropped, left alone."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from functions.calls.call import Call, CallId, ConnectionId, SignalId, Status
from functions.calls.event import CallEvent
from functions.calls.ring import Ring
from functions.clients.connection import Connection, Wire
from functions.delivery.sweep import Sweeper, Swept
from functions.ports.publisher import PublishFailed
from functions.ports.store import StoreUnavailable
from functions.published import Published, attributes
from functions.scheduled import RingEnds
from functions.settings import SweepSettings
from functions.sweep import handler
from tests.memory.others import MemoryPublisher
from tests.memory.services import Services
from tests.support.asgi import call, get
from tests.support.makers import CALLER, RECEIVER, event, now
from tests.support.processes import settings_of
from tests.support.world import committed

AFTER = timedelta(seconds=6)
EVERY = timedelta(minutes=1)


async def left(services: Services, call: str, ago: timedelta) -> CallEvent:
    """Leaves an outbox entry that has been pending since `ago`."""
    made = await committed(services.world, event(call=CallId(call), decided=now() - ago))
    await services.world.pend(made, now() - ago)
    return made


def sweeper_of(services: Services, every: timedelta = EVERY, **more: timedelta) -> Sweeper:
    return Sweeper(
        services.store.outbox,
        services.store.calls,
        services.publisher,
        nobody_to_close,
        now,
        after=AFTER,
        every=every,
        **more,
    )


async def nobody_to_close() -> int:
    return 0


async def test_sockets_that_take_long_to_close_keep_no_event_waiting(services: Services) -> None:
    looks: list[float] = []
    clock = asyncio.get_running_loop().time

    async def close_slowly() -> int:
        await asyncio.sleep(15)
        return 1

    sweeper = Sweeper(
        services.store.outbox,
        services.store.calls,
        services.publisher,
        close_slowly,
        now,
        after=AFTER,
        every=timedelta(seconds=10),
    )
    look = sweeper.look

    async def noted(swept: Swept) -> None:
        looks.append(clock() - began)
        await look(swept)

    sweeper.look = noted  # type: ignore[method-assign]
    began = clock()
    assert (await sweeper.sweep()).closed == 6
    assert looks == [0, 10, 20, 30, 40, 50]


async def test_what_is_old_enough_is_republished_expired_or_not(services: Services) -> None:
    await left(services, "CALL_YOUNG", timedelta(seconds=3))
    await left(services, "CALL_OLD", timedelta(seconds=8))
    await left(services, "CALL_EXPIRED", timedelta(seconds=70))
    done = await left(services, "CALL_DONE", timedelta(seconds=8))
    await services.store.outbox.note_served(done, (), now(), is_done=True)
    swept = Swept()
    sweeper = sweeper_of(services)
    await sweeper.look(swept)
    assert swept.republished == 2
    assert timedelta(seconds=70) <= swept.oldest < timedelta(seconds=130)
    made = services.published(CallEvent)
    assert {each.call_id for each in made} == {"CALL_OLD", "CALL_EXPIRED"}
    assert {each.served for each in made} == {None}
    # Who takes what has expired drops it, counts it, and is done with it.
    assert await services.world.pending_calls() == {"CALL_YOUNG", "CALL_OLD", "CALL_EXPIRED"}


async def test_one_look_goes_through_all_that_waits(services: Services) -> None:
    # More than a page, with what nobody can read among them and before them.
    readable = 700
    for number in range(readable):
        await left(services, f"CALL_{number}", timedelta(seconds=20, milliseconds=number))
        if number % 2:
            since = now() - timedelta(seconds=30, milliseconds=number)
            await services.world.put_unreadable(f"rubbish {number}", since)
    swept = Swept()
    sweeper = sweeper_of(services)
    services.journal.clear()
    await sweeper.look(swept)
    assert (swept.republished, swept.unreadable) == (readable, readable // 2)
    assert services.journal.started.count("RunQuery") == 4  # of 300 entries each
    assert len(await services.world.ids_in("outbox")) == readable
    assert len({made.call_id for made in services.published(CallEvent)}) == readable
    swept = Swept()
    await sweeper.look(swept)
    assert swept.unreadable == 0


async def test_an_entry_that_can_not_be_removed_keeps_back_no_other(services: Services) -> None:
    await left(services, "CALL_OLD", timedelta(seconds=8))
    await services.world.put_unreadable("rubbish", now() - timedelta(seconds=20))
    services.faults.fail("firestore.Commit")
    swept = Swept()
    with pytest.raises(StoreUnavailable):
        await sweeper_of(services).look(swept)
    assert swept.republished == 1


async def test_one_call_looks_again_and_again_until_the_next_is_due(services: Services) -> None:
    began = now()
    await left(services, "CALL_YOUNG", timedelta(seconds=5.5))
    swept = await sweeper_of(services, every=timedelta(seconds=10)).sweep()
    # By the first look it has not been pending for long enough; at the last, fifty seconds on, it
    # has still not been seen to.
    assert swept.republished == 5
    assert now() - began == timedelta(seconds=50)


async def test_a_look_of_unforeseen_end_keeps_back_no_other(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    await left(services, "CALL_OLD", timedelta(seconds=15))
    sweeper = sweeper_of(services, every=timedelta(seconds=30))
    looks = [RuntimeError("nobody foresaw it"), None]
    look = sweeper.look

    async def broken(swept: Swept) -> None:
        if failure := looks.pop(0):
            raise failure
        await look(swept)

    monkeypatch.setattr(sweeper, "look", broken)
    swept = await sweeper.sweep()
    assert (swept.failed, swept.republished) == (1, 1)


async def test_a_pass_that_fails_is_counted_and_the_entry_stays(services: Services) -> None:
    await left(services, "CALL_OLD", timedelta(seconds=15))
    services.faults.fail("pubsub.Publish", times=None)
    sweeper = sweeper_of(services)
    with pytest.raises(PublishFailed):
        await sweeper.look(Swept())
    assert (await sweeper.sweep()).failed == 1
    assert await services.world.pending_calls() == {"CALL_OLD"}


async def test_an_entry_that_can_not_be_published_keeps_back_no_other(services: Services) -> None:
    await left(services, "CALL_BAD", timedelta(seconds=30))
    good = {f"CALL_{number}" for number in range(60)}  # more than are published at once
    for name in good:
        await left(services, name, timedelta(seconds=20))
    services.faults.fail("pubsub.Publish", "CALL_BAD")
    swept = Swept()
    with pytest.raises(PublishFailed):
        await sweeper_of(services).look(swept)
    assert swept.republished == 60
    assert {made.call_id for made in services.published(CallEvent)} == good


async def test_an_entry_of_unforeseen_end_keeps_back_no_other(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CALL_ODD", "CALL_GOOD"):
        await left(services, name, timedelta(seconds=20))
    publish = MemoryPublisher.publish

    async def broken(publisher: MemoryPublisher, *events: Published) -> None:
        if any(isinstance(made, CallEvent) and made.call_id == "CALL_ODD" for made in events):
            raise RuntimeError("nobody foresaw it")
        await publish(publisher, *events)

    monkeypatch.setattr(MemoryPublisher, "publish", broken)
    with pytest.raises(PublishFailed):
        await sweeper_of(services).look(Swept())
    assert [made.call_id for made in services.published(CallEvent)] == ["CALL_GOOD"]


async def test_what_nobody_can_read_is_removed_though_nothing_can_be_published(
    services: Services,
) -> None:
    await left(services, "CALL_OLD", timedelta(seconds=8))
    await services.world.put_unreadable("rubbish", now() - timedelta(seconds=20))
    services.faults.fail("pubsub.Publish", times=None)
    swept = Swept()
    with pytest.raises(PublishFailed):
        await sweeper_of(services).look(swept)
    assert swept.unreadable == 1
    assert "rubbish" not in await services.world.ids_in("outbox")


async def test_a_pubsub_that_takes_nothing_is_not_asked_for_every_entry(services: Services) -> None:
    for number in range(60):
        await left(services, f"CALL_{number}", timedelta(seconds=20))
    fault = services.faults.fail("pubsub.Publish", times=None)
    with pytest.raises(PublishFailed):
        await sweeper_of(services).look(Swept())
    assert fault.met == 50


async def test_sweep_says_what_it_did_and_whether_it_could(services: Services) -> None:
    await left(services, "CALL_OLD", timedelta(seconds=15))
    expires = now() + timedelta(hours=2)
    nobodys = Connection(ConnectionId("c="), None, Wire.EIO4, now(), expires, admit_by=now())
    await services.store.connections.add(nobodys)
    settings = settings_of(SweepSettings, SWEEP_EVERY_SECONDS="60")
    sweep = handler(settings, services.store, services.sockets, services.publisher, now)
    answer = await call(sweep)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "republished": 1,
            "closed": 1,
            "overdue": 0,
            "unreadable": 0,
            "failed": 0,
            "oldestMs": 15_000,
        },
    )
    assert services.clients.closed == ["c="]
    services.faults.fail("firestore.RunQuery", times=2)
    answer = await call(sweep)
    assert (answer.status_code, answer.json()["failed"]) == (503, 2)
    assert [made.call_id for made in services.published(CallEvent)] == ["CALL_OLD"]


async def test_a_get_warms_sweep_up(services: Services) -> None:
    sweep = handler(
        settings_of(SweepSettings), services.store, services.sockets, services.publisher, now
    )
    assert (await get(sweep)).status_code == 200
    assert services.journal.started == ["BatchGetDocuments"]


# Rings that nobody has ended


async def rung(services: Services, call: str, ago: timedelta) -> Call:
    """A ring whose time was over `ago`."""
    began = now() - timedelta(seconds=30) - ago
    ring = Ring(CallId(call), CALLER, RECEIVER, 30, None, is_told=True)
    begun = ring.begun(SignalId(f"S-{call}"), began, None)
    made = CallEvent.of_ring(begun, SignalId(f"S-{call}"), began)
    expires = now() + timedelta(days=30)
    await services.store.calls.create(begun, made, now=now(), expires=expires)
    return begun


async def test_a_ring_whose_task_has_not_come_is_ended_all_the_same(services: Services) -> None:
    late = await rung(services, "LATE", timedelta(seconds=6))
    await rung(services, "YOUNG", timedelta(seconds=4))  # its task may be on its way
    await rung(services, "RINGING", timedelta(seconds=-10))
    swept = Swept()
    services.journal.clear()
    await sweeper_of(services).look_for_overdue(swept)
    (end,) = services.published(RingEnds)
    assert (end.call_id, end.signal_id, end.rings_until) == ("LATE", "S-LATE", late.rings_until)
    assert attributes(end) == {"ring": "true", "only": "ring"}
    assert services.journal.started == ["RunQuery", "Publish"]
    assert swept.fields()["overdue"] == 1


async def test_the_end_of_a_call_that_was_only_announced_is_no_task_that_failed(
    services: Services,
) -> None:
    began = now() - timedelta(seconds=36)
    ring = Ring(CallId("ANNOUNCED"), CALLER, RECEIVER, 30, None, is_told=False)
    call = ring.begun(SignalId("S"), began, None)
    await services.store.calls.create(call, None, now=began, expires=now() + timedelta(days=1))
    swept = Swept()
    await sweeper_of(services).look_for_overdue(swept)
    (end,) = services.published(RingEnds)
    assert (end.call_id, end.signal_id) == ("ANNOUNCED", None)
    assert swept.overdue == 0


async def test_a_ring_that_the_app_has_ended_by_itself_is_looked_at_once(
    services: Services,
) -> None:
    late = await rung(services, "LATE", timedelta(seconds=6))
    services.database.put_call(replace(late, status=Status.ACCEPTED))
    sweeper = sweeper_of(services)
    await sweeper.look_for_overdue(Swept())
    services.journal.clear()
    await sweeper.look_for_overdue(Swept())
    assert services.published(RingEnds) == []
    assert services.journal.started == ["RunQuery"]


async def test_an_end_that_is_not_published_is_found_by_the_next_look(services: Services) -> None:
    for id in ("A", "B"):
        await rung(services, id, timedelta(seconds=6))
    services.faults.fail("pubsub.Publish", "ring.ends A")
    sweeper, swept = sweeper_of(services), Swept()
    with pytest.raises(PublishFailed):
        await sweeper.look_for_overdue(swept)
    assert [end.call_id for end in services.published(RingEnds)] == ["B"]
    await sweeper.look_for_overdue(swept)
    assert sorted(end.call_id for end in services.published(RingEnds)) == ["A", "B"]
    assert swept.overdue == 3
