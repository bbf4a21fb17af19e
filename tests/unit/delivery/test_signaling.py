"""The path of a signal: what it costs, in which order, and what it survives."""

import asyncio
import json
import uuid
from datetime import datetime, timedelta

import pytest
import pytest_asyncio

from functions.calls.call import (
    Call,
    ConnectionId,
    SignalId,
    Status,
    UnreadableCall,
    UserId,
)
from functions.calls.decision import UNAVAILABLE, Verdict
from functions.calls.event import CallEvent
from functions.clients.connection import Connection, Wire
from functions.delivery.commit import Received
from functions.ports.identity import Identified
from functions.ports.publisher import PublishFailed
from functions.ports.store import StoreUnavailable
from infra.emulators.faults import Fault, Kind
from tests.memory.services import Services
from tests.memory.store import MemoryConnections
from tests.support.makers import CALL, CALLER, RECEIVER, connect, now, signal

TABLET = ConnectionId("tablet=")


class System(Services):
    """All that a signal meets."""

    def __init__(self) -> None:
        super().__init__()
        self.path = self.signaling()

    async def send(
        self,
        name: str = "call:cancel",
        by: UserId = CALLER,
        received_at: datetime | None = None,
    ) -> Verdict:
        self.journal.clear()
        received = Received(SignalId(uuid.uuid4().hex), now(), received_at)
        try:
            return await self.path.handle(signal(name), ConnectionId(f"{by}="), received)
        except (StoreUnavailable, PublishFailed):
            return UNAVAILABLE

    async def status(self) -> Status:
        """The call's."""
        call = await self.world.call()
        assert call is not None
        return call.status


@pytest_asyncio.fixture(loop_scope="function")
async def system() -> System:
    system = System()
    for user in (CALLER, RECEIVER):
        await connect(system.store, f"{user}=", user)
    await system.world.ring()
    return system


async def test_a_cancel_takes_five_remote_calls_and_the_look_up_costs_no_time(
    system: System,
) -> None:
    commit, look_up = (
        system.faults.hold("firestore.Commit"),
        system.faults.hold("firestore.RunQuery"),
    )
    sending = asyncio.create_task(system.send())
    # Were the look-up not beside the commit, this would wait for ever.
    await asyncio.gather(commit.reached.wait(), look_up.reached.wait())
    system.faults.heal()
    verdict = await sending
    assert (verdict.ok, verdict.outcome) == (True, "cancelled")
    journal = system.journal
    assert sorted(journal.started) == ["BatchGetDocuments", "Commit", "POST", "Publish", "RunQuery"]
    assert journal.before("< BatchGetDocuments", "> Commit")
    assert journal.before("< Commit", "> POST")
    assert journal.before("< RunQuery", "> POST")
    assert journal.before("< POST", "> Publish")


async def test_each_connection_costs_one_post(system: System) -> None:
    await connect(system.store, "tablet=", RECEIVER)
    await system.send()
    assert system.journal.started.count("POST") == 2
    assert len(system.journal.started) == 6


async def test_a_finished_cancel_costs_two_calls_to_repeat(system: System) -> None:
    await system.send()
    (made,) = system.published(CallEvent)
    await system.store.outbox.note_served(made, (), now(), is_done=True)
    verdict = await system.send()
    assert (verdict.ok, verdict.outcome) == (True, "already_cancelled")
    assert system.journal.started == ["BatchGetDocuments", "BatchGetDocuments"]
    assert system.published(CallEvent) == []


async def test_what_the_backend_cancelled_itself_costs_one_call_to_repeat(system: System) -> None:
    await system.world.ring(status="cancelled")
    assert (await system.send()).outcome == "already_cancelled"
    assert system.journal.started == ["BatchGetDocuments"]


async def test_an_unfinished_cancel_is_published_again_when_it_is_repeated(system: System) -> None:
    await system.send()
    (first,) = system.published(CallEvent)
    verdict = await system.send()
    assert verdict.outcome == "already_cancelled"
    assert system.journal.started == ["BatchGetDocuments", "BatchGetDocuments", "Publish"]
    assert system.published(CallEvent) == [first.served_to(None)]


async def test_what_is_refused_costs_one_call_and_changes_nothing(system: System) -> None:
    for name, by in (("call:cancel", RECEIVER), ("call:reject", CALLER)):
        assert (await system.send(name, by)).outcome == "forbidden"
        assert system.journal.started == ["BatchGetDocuments"]
    assert await system.world.call() == Call(CALL, CALLER, RECEIVER, Status.RINGING)
    assert await system.world.ids_in("outbox") == set()


async def test_the_receivers_connections_are_told_and_named_in_the_event(
    system: System,
) -> None:
    await connect(system.store, "tablet=", RECEIVER)
    await system.send()
    assert {id for id, _ in system.clients.posts} == {f"{RECEIVER}=", "tablet="}
    frame = json.loads(system.clients.posts[0][1])
    (made,) = system.published(CallEvent)
    assert frame["data"] == {
        "callId": CALL,
        "reason": "Caller ended call",
        "cause": "caller_cancelled",
        "timestamp": made.timestamp,
    }
    assert set(made.served or ()) == {f"{RECEIVER}=", "tablet="}


async def test_an_answer_tells_the_caller(system: System) -> None:
    verdict = await system.send("call:reject", by=RECEIVER)
    assert (verdict.ok, verdict.outcome) == (True, "rejected")
    ((connection, text),) = system.clients.posts
    assert (connection, json.loads(text)["event"]) == (f"{CALLER}=", "call:rejected")


async def test_connections_of_all_wires_are_told_each_in_its_own(
    system: System,
) -> None:
    for wire in (Wire.EIO3, Wire.EIO4):
        await connect(system.store, f"{wire}=", RECEIVER, wire=wire)
    await system.send()
    (made,) = system.published(CallEvent)
    assert set(made.served or ()) == {f"{RECEIVER}=", "eio3=", "eio4="}
    for wire in (Wire.EIO3, Wire.EIO4):
        (frame,) = system.clients.posted_to(f"{wire}=")
        assert frame.startswith('42["call:cancelled",{"callId":"CALL_1",')
    (frame,) = system.clients.posted_to(f"{RECEIVER}=")
    assert frame.startswith('{"event":"call:cancelled","data":{"callId":"CALL_1",')


async def test_a_session_that_is_not_open_yet_is_left_to_deliver(
    system: System,
) -> None:
    await connect(system.store, "young=", RECEIVER, now(), wire=Wire.EIO4, is_open=False)
    assert (await system.send()).outcome == "cancelled"
    assert [id for id, _ in system.clients.posts] == [f"{RECEIVER}="]
    (made,) = system.published(CallEvent)
    assert made.served == (f"{RECEIVER}=",)
    assert "young=" in await system.world.ids_in("connections")


@pytest.mark.parametrize("status", [410, 429, 500])
async def test_a_post_that_failed_is_left_to_deliver(system: System, status: int) -> None:
    system.clients.answers[f"{RECEIVER}="] = [status]
    assert (await system.send()).outcome == "cancelled"
    (made,) = system.published(CallEvent)
    assert made.served == ()
    assert await system.world.ids_in("connections") == {f"{CALLER}=", f"{RECEIVER}="}


async def test_the_publish_does_not_wait_for_a_post_that_hangs(
    system: System,
) -> None:
    await connect(system.store, "tablet=", RECEIVER)
    system.faults.hold("connections.POST", "tablet=")
    began = now()
    assert (await system.send()).outcome == "cancelled"
    assert now() - began == timedelta(milliseconds=500)
    (made,) = system.published(CallEvent)
    assert made.served == (f"{RECEIVER}=",)


async def test_a_frame_of_an_unknown_connection_changes_nothing(system: System) -> None:
    verdict = await system.send(by=UserId("nobody"))
    assert (verdict.outcome, verdict.field) == ("invalid", "connection")
    assert system.journal.started == ["BatchGetDocuments"]


async def test_a_frame_of_a_connection_that_has_not_authenticated_changes_nothing(
    system: System,
) -> None:
    await connect(system.store, "nobody=", None, wire=Wire.EIO4)
    verdict = await system.send(by=UserId("nobody"))
    assert (verdict.ok, verdict.outcome, verdict.field) == (False, "forbidden", "connection")
    assert system.journal.started == ["BatchGetDocuments"]


async def test_without_pubsub_the_verdict_is_unavailable_and_the_outbox_keeps_the_event(
    system: System,
) -> None:
    system.faults.fail("pubsub.Publish", times=None)
    verdict = await system.send()
    assert (verdict.ok, verdict.outcome) == (False, "unavailable")
    assert await system.world.pending_calls() == {CALL}
    assert await system.status() == "cancelled"


async def test_a_commit_whose_reply_was_lost_is_our_own_success(
    system: System,
) -> None:
    system.faults.lose_reply("firestore.Commit")
    verdict = await system.send()
    assert (verdict.ok, verdict.outcome) == (True, "cancelled")
    assert system.journal.started.count("Commit") == 1
    assert len(system.clients.posts) == 1
    assert len(system.published(CallEvent)) == 1


async def test_a_commit_that_is_repeated_meets_itself_and_is_our_own_success(
    system: System,
) -> None:
    # As Firestore's library repeats one whose reply was lost.
    system.faults.arm(Fault(Kind.REPEAT, "firestore.Commit"))
    verdict = await system.send()
    assert (verdict.ok, verdict.outcome) == (True, "cancelled")
    assert len(system.clients.posts) == 1
    assert len(system.published(CallEvent)) == 1


async def test_a_commit_that_was_done_and_never_answered_is_our_own_success(
    system: System,
) -> None:
    unanswered = Fault(Kind.HOLD_REPLY, "firestore.Commit")
    with system.faults.during(unanswered):
        verdict = await system.send()
        unanswered.drop()
    assert (verdict.ok, verdict.outcome) == (True, "cancelled")
    assert system.journal.started.count("Commit") == 1
    assert len(system.clients.posts) == 1
    assert len(system.published(CallEvent)) == 1


@pytest.mark.parametrize("status", ["ended", "ringing"])
async def test_our_commit_is_known_for_ours_although_the_call_has_gone_on(
    system: System, status: str
) -> None:
    unanswered = Fault(Kind.HOLD_REPLY, "firestore.Commit")
    with system.faults.during(unanswered):
        accepting = asyncio.create_task(system.send("call:accept", by=RECEIVER))
        await unanswered.reached.wait()
        await system.world.ring(status=status)
        assert (await accepting).outcome == "accepted"
        unanswered.drop()
    # So late, it would be untrue. `deliver` sees that too, and is done with it.
    assert system.clients.posts == []
    (made,) = system.published(CallEvent)
    assert made.served is None


async def test_who_has_heard_of_our_commit_meanwhile_is_not_told_again(
    system: System,
) -> None:
    await connect(system.store, "tablet=", RECEIVER)
    unanswered = Fault(Kind.HOLD_REPLY, "firestore.Commit")
    with system.faults.during(unanswered):
        sending = asyncio.create_task(system.send())
        await unanswered.reached.wait()
        (entry,) = system.database.entries.values()
        await system.store.outbox.note_served(entry.event, [TABLET], now(), is_done=False)
        assert (await sending).outcome == "cancelled"
        unanswered.drop()
    assert [id for id, _ in system.clients.posts] == [f"{RECEIVER}="]


async def test_a_commit_that_hung_and_was_not_done_is_tried_again(
    system: System,
) -> None:
    hanging = Fault(Kind.HOLD, "firestore.Commit")
    with system.faults.during(hanging):
        assert (await system.send()).outcome == "cancelled"
        hanging.release()  # so late, it meets a call that is not as it was
    assert len(system.clients.posts) == 1
    (made,) = system.published(CallEvent)
    assert await system.world.ids_in("outbox") == {f"{CALL}:{made.signal_id}"}


async def test_without_firestore_no_more_commits_are_tried_than_api_gateway_waits_for(
    system: System,
) -> None:
    system.faults.fail("firestore.Commit", times=9)
    assert (await system.send()).outcome == "unavailable"
    assert system.journal.started.count("Commit") == 3
    assert await system.status() == "ringing"


async def test_the_sender_stays_who_he_was_when_his_frame_came(system: System) -> None:
    commit = system.faults.hold("firestore.Commit")
    sending = asyncio.create_task(system.send())
    await commit.reached.wait()
    await system.world.delete_connection(f"{CALLER}=")
    await system.world.ring()  # so that the commit meets a conflict
    commit.release()
    assert (await sending).outcome == "cancelled"


async def test_a_ring_whose_end_is_known_is_told_until_then(system: System) -> None:
    ends = now() + timedelta(seconds=50)
    await system.world.ring(rings_until=ends)
    await system.send()
    (made,) = system.published(CallEvent)
    assert abs(made.expires_at - ends) < timedelta(milliseconds=1)


async def test_a_call_that_keeps_changing_is_given_up_after_three_tries(system: System) -> None:
    sending = asyncio.create_task(system.send())
    for _ in range(3):
        commit = system.faults.hold("firestore.Commit")
        await commit.reached.wait()
        await system.world.ring()
        commit.release()
    verdict = await sending
    assert (verdict.ok, verdict.outcome) == (False, "unavailable")
    assert system.journal.started.count("Commit") == 3
    assert system.published(CallEvent) == []


async def test_a_call_that_changed_once_is_cancelled_all_the_same(system: System) -> None:
    commit = system.faults.hold("firestore.Commit")
    sending = asyncio.create_task(system.send())
    await commit.reached.wait()
    await system.world.ring()
    commit.release()
    assert (await sending).outcome == "cancelled"
    assert len(system.published(CallEvent)) == 1


async def test_a_commit_is_not_tried_again_once_ten_seconds_are_gone(system: System) -> None:
    hanging = system.faults.arm(Fault(Kind.HOLD, "firestore.Commit", times=None))
    reload = system.faults.arm(
        Fault(Kind.DELAY, "firestore.BatchGetDocuments", skip=1, seconds=4.9, times=None)
    )
    began = now()
    assert (await system.send()).outcome == "unavailable"
    assert (hanging.met, reload.met) == (2, 2)
    assert now() - began == timedelta(seconds=2 * (5 + 4.9))


async def test_a_frame_that_is_given_up_leaves_no_look_up_behind(system: System) -> None:
    commit, look_up = (
        system.faults.hold("firestore.Commit"),
        system.faults.hold("firestore.RunQuery"),
    )
    sending = asyncio.create_task(system.send())
    await asyncio.gather(commit.reached.wait(), look_up.reached.wait())
    sending.cancel()
    await asyncio.wait([sending])
    await asyncio.sleep(0)
    assert (commit.is_holding, look_up.is_holding) == (False, False)


async def test_an_event_is_published_although_nobody_could_be_looked_up(system: System) -> None:
    system.faults.fail("firestore.RunQuery")
    assert (await system.send()).outcome == "cancelled"
    (made,) = system.published(CallEvent)
    assert made.served == ()


async def test_a_look_up_that_hangs_holds_nothing_up(system: System) -> None:
    system.faults.hold("firestore.RunQuery")
    began = now()
    assert (await system.send()).outcome == "cancelled"
    assert now() - began == timedelta(milliseconds=500)
    (made,) = system.published(CallEvent)
    assert made.served == ()


async def test_a_look_up_of_unforeseen_end_holds_nothing_up(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> list[Connection]:
        raise RuntimeError("nobody foresaw it")

    monkeypatch.setattr(MemoryConnections, "of", broken)
    assert (await system.send()).outcome == "cancelled"
    (made,) = system.published(CallEvent)
    assert made.served == ()


async def test_a_publish_that_hangs_is_given_up_four_seconds_after_the_commit(
    system: System,
) -> None:
    system.faults.hold("pubsub.Publish")
    began = now()
    assert (await system.send()).outcome == "unavailable"
    assert now() - began == timedelta(seconds=4)
    assert await system.world.pending_calls() == {CALL}


async def test_without_firestore_the_verdict_is_unavailable(system: System) -> None:
    system.faults.fail("firestore.BatchGetDocuments")
    assert (await system.send()).outcome == "unavailable"


async def test_of_two_equal_frames_at_once_one_cancels_and_one_repeats(
    system: System,
) -> None:
    verdicts = await asyncio.gather(system.send(), system.send())
    assert sorted(verdict.outcome for verdict in verdicts) == ["already_cancelled", "cancelled"]
    assert len(system.clients.posts) == 1


async def test_a_call_that_can_not_be_read_costs_one_call_and_changes_nothing(
    system: System,
) -> None:
    await system.world.delete_call()
    system.database.unreadable_calls[CALL] = UnreadableCall(CALL, frozenset({CALLER}))
    verdict = await system.send()
    assert (verdict.ok, verdict.outcome) == (False, "unreadable")
    assert system.journal.started == ["BatchGetDocuments"]


async def test_who_has_sent_a_signal_also_decides_whether_he_may_know_of_the_call(
    system: System,
) -> None:
    """Somebody else may have come on the same socket since."""
    await system.world.delete_call()
    system.database.unreadable_calls[CALL] = UnreadableCall(CALL, frozenset({RECEIVER}))
    (connection,) = await system.store.connections.of([CALLER], now())
    later = now() + timedelta(seconds=1)
    assert await system.store.connections.admit(
        connection, Identified(RECEIVER), later, connection.expires_at
    )
    assert (await system.send(received_at=now())).outcome == "not_found"
