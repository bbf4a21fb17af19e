"""The path of a signal on real services: what it costs, in which order, and what it survives."""

import asyncio
import json
import uuid
from dataclasses import dataclass
from datetime import timedelta

import grpc
import pytest

from functions.calls.call import ConnectionId, SignalId, UserId
from functions.calls.decision import UNAVAILABLE, Verdict
from functions.calls.event import CallEvent
from functions.clients.connection import Wire
from functions.delivery.signaling import Received, Signaling
from functions.ports.publisher import PublishFailed
from functions.ports.store import StoreUnavailable
from infra.emulators.faults import Fault, Kind
from tests.support.connections import ConnectionsServer
from tests.support.makers import (
    CALL,
    CALLER,
    RECEIVER,
    connect,
    fields_of,
    ids_in,
    now,
    pending_calls,
    ring,
    signal,
)
from tests.support.services import Services


@dataclass
class System(Services):
    """All that a signal meets."""

    signaling: Signaling

    async def send(self, name: str = "call:cancel", by: UserId = CALLER) -> Verdict:
        self.journal.clear()
        received = Received(
            ConnectionId(f"{by}="), SignalId(uuid.uuid4().hex), now(), requested=None
        )
        try:
            return await self.signaling.handle(signal(name), received)
        except (StoreUnavailable, PublishFailed):
            return UNAVAILABLE


@pytest.fixture
async def system(services: Services, signaling: Signaling) -> System:
    for user in (CALLER, RECEIVER):
        await connect(services.store, f"{user}=", user)
    await ring(services.client)
    services.journal.clear()
    return System(**vars(services), signaling=signaling)


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
    (made,) = await system.published(CallEvent)
    await system.store.outbox.note_served(made, (), now(), is_done=True)
    verdict = await system.send()
    assert (verdict.ok, verdict.outcome) == (True, "already_cancelled")
    assert system.journal.started == ["BatchGetDocuments", "BatchGetDocuments"]
    assert await system.published(CallEvent) == []


@pytest.mark.parametrize("signal_id", [None, 7, "a/b", ""])
async def test_what_the_backend_cancelled_itself_costs_one_call_to_repeat(
    system: System, signal_id: object
) -> None:
    await ring(system.client, status="cancelled", signalId=signal_id)
    assert (await system.send()).outcome == "already_cancelled"
    assert system.journal.started == ["BatchGetDocuments"]


async def test_an_unfinished_cancel_is_published_again_when_it_is_repeated(system: System) -> None:
    await system.send()
    (first,) = await system.published(CallEvent)
    verdict = await system.send()
    assert verdict.outcome == "already_cancelled"
    assert system.journal.started == ["BatchGetDocuments", "BatchGetDocuments", "Publish"]
    assert await system.published(CallEvent) == [first.served_to(None)]


async def test_what_is_refused_costs_one_call_and_changes_nothing(system: System) -> None:
    for name, by in (("call:cancel", RECEIVER), ("call:reject", CALLER)):
        assert (await system.send(name, by)).outcome == "forbidden"
        assert system.journal.started == ["BatchGetDocuments"]
    call = await fields_of(system.client, "calls", CALL)
    assert call == {"callerId": CALLER, "receiverId": RECEIVER, "status": "ringing"}
    assert await ids_in(system.client, "outbox") == set()


async def test_the_receivers_connections_are_told_and_named_in_the_event(
    system: System, connections: ConnectionsServer
) -> None:
    await connect(system.store, "tablet=", RECEIVER)
    await system.send()
    assert {id for id, _ in connections.posts} == {f"{RECEIVER}=", "tablet="}
    frame = json.loads(connections.posts[0][1])
    (made,) = await system.published(CallEvent)
    assert frame["data"] == {
        "callId": CALL,
        "reason": "Caller ended call",
        "timestamp": made.timestamp,
    }
    assert set(made.served or ()) == {f"{RECEIVER}=", "tablet="}


async def test_an_answer_tells_the_caller(system: System, connections: ConnectionsServer) -> None:
    verdict = await system.send("call:reject", by=RECEIVER)
    assert (verdict.ok, verdict.outcome) == (True, "rejected")
    ((connection, text),) = connections.posts
    assert (connection, json.loads(text)["event"]) == (f"{CALLER}=", "call:rejected")


async def test_connections_of_all_wires_are_told_each_in_its_own(
    system: System, connections: ConnectionsServer
) -> None:
    for wire in (Wire.EIO3, Wire.EIO4):
        await connect(system.store, f"{wire}=", RECEIVER, wire=wire)
    await system.send()
    (made,) = await system.published(CallEvent)
    assert set(made.served or ()) == {f"{RECEIVER}=", "eio3=", "eio4="}
    for wire in (Wire.EIO3, Wire.EIO4):
        (frame,) = connections.posted_to(f"{wire}=")
        assert frame.startswith('42["call:cancelled",{"callId":"CALL_1",')
    (frame,) = connections.posted_to(f"{RECEIVER}=")
    assert frame.startswith('{"event":"call:cancelled","data":{"callId":"CALL_1",')


async def test_a_session_that_is_not_open_yet_is_left_to_deliver(
    system: System, connections: ConnectionsServer
) -> None:
    await connect(system.store, "young=", RECEIVER, now(), wire=Wire.EIO4, is_open=False)
    assert (await system.send()).outcome == "cancelled"
    assert [id for id, _ in connections.posts] == [f"{RECEIVER}="]
    (made,) = await system.published(CallEvent)
    assert made.served == (f"{RECEIVER}=",)
    assert "young=" in await ids_in(system.client, "connections")


@pytest.mark.parametrize("status", [410, 429, 500])
async def test_a_post_that_failed_is_left_to_deliver(
    system: System, connections: ConnectionsServer, status: int
) -> None:
    connections.answers[f"{RECEIVER}="] = [status]
    assert (await system.send()).outcome == "cancelled"
    (made,) = await system.published(CallEvent)
    assert made.served == ()
    assert await ids_in(system.client, "connections") == {f"{CALLER}=", f"{RECEIVER}="}


async def test_the_publish_does_not_wait_for_a_post_that_hangs(
    system: System, connections: ConnectionsServer
) -> None:
    await connect(system.store, "tablet=", RECEIVER)
    connections.answers["tablet="] = [0]
    async with asyncio.timeout(4):  # more than the posts get, less than the POST's own limit
        assert (await system.send()).outcome == "cancelled"
    (made,) = await system.published(CallEvent)
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
    await system.pubsub.stop()
    verdict = await system.send()
    assert (verdict.ok, verdict.outcome) == (False, "unavailable")
    assert await pending_calls(system.client) == {CALL}
    call = await fields_of(system.client, "calls", CALL)
    assert call is not None
    assert call["status"] == "cancelled"


async def test_a_commit_whose_reply_was_lost_is_our_own_success(
    system: System, connections: ConnectionsServer
) -> None:
    system.faults.lose_reply("firestore.Commit")
    verdict = await system.send()
    assert (verdict.ok, verdict.outcome) == (True, "cancelled")
    assert system.journal.started.count("Commit") == 2
    assert len(connections.posts) == 1
    assert len(await system.published(CallEvent)) == 1


async def test_a_commit_that_was_done_and_never_answered_is_our_own_success(
    system: System, connections: ConnectionsServer
) -> None:
    unanswered = Fault(Kind.HOLD_REPLY, "firestore.Commit")
    with system.faults.during(unanswered):
        verdict = await system.send()
        unanswered.drop()
    assert (verdict.ok, verdict.outcome) == (True, "cancelled")
    assert system.journal.started.count("Commit") == 1
    assert len(connections.posts) == 1
    assert len(await system.published(CallEvent)) == 1


@pytest.mark.parametrize("status", ["ended", "ringing"])
async def test_our_commit_is_known_for_ours_although_the_call_has_gone_on(
    system: System, connections: ConnectionsServer, status: str
) -> None:
    unanswered = Fault(Kind.HOLD_REPLY, "firestore.Commit")
    with system.faults.during(unanswered):
        accepting = asyncio.create_task(system.send("call:accept", by=RECEIVER))
        await unanswered.reached.wait()
        await ring(system.client, status=status)
        assert (await accepting).outcome == "accepted"
        unanswered.drop()
    # So late, it would be untrue. `deliver` sees that too, and is done with it.
    assert connections.posts == []
    (made,) = await system.published(CallEvent)
    assert made.served is None


async def test_who_has_heard_of_our_commit_meanwhile_is_not_told_again(
    system: System, connections: ConnectionsServer
) -> None:
    await connect(system.store, "tablet=", RECEIVER)
    unanswered = Fault(Kind.HOLD_REPLY, "firestore.Commit")
    with system.faults.during(unanswered):
        sending = asyncio.create_task(system.send())
        await unanswered.reached.wait()
        (entry,) = [each async for each in system.client.collection("outbox").list_documents()]
        await entry.update({"served": ["tablet="]})
        assert (await sending).outcome == "cancelled"
        unanswered.drop()
    assert [id for id, _ in connections.posts] == [f"{RECEIVER}="]


async def test_a_commit_that_hung_and_was_not_done_is_tried_again(
    system: System, connections: ConnectionsServer
) -> None:
    hanging = Fault(Kind.HOLD, "firestore.Commit")
    with system.faults.during(hanging):
        assert (await system.send()).outcome == "cancelled"
        hanging.release()  # so late, it meets a call that is not as it was
    assert len(connections.posts) == 1
    (made,) = await system.published(CallEvent)
    assert await ids_in(system.client, "outbox") == {f"{CALL}:{made.signal_id}"}


async def test_without_firestore_no_more_commits_are_tried_than_api_gateway_waits_for(
    system: System,
) -> None:
    system.faults.fail("firestore.Commit", code=grpc.StatusCode.RESOURCE_EXHAUSTED, times=9)
    assert (await system.send()).outcome == "unavailable"
    assert system.journal.started.count("Commit") == 3
    call = await fields_of(system.client, "calls", CALL)
    assert call is not None
    assert call["status"] == "ringing"


async def test_the_sender_stays_who_he_was_when_his_frame_came(system: System) -> None:
    commit = system.faults.hold("firestore.Commit")
    sending = asyncio.create_task(system.send())
    await commit.reached.wait()
    await system.client.collection("connections").document(f"{CALLER}=").delete()
    await ring(system.client)  # so that the commit meets a conflict
    commit.release()
    assert (await sending).outcome == "cancelled"


async def test_a_ring_whose_end_is_known_is_told_until_then(system: System) -> None:
    ends = now() + timedelta(seconds=50)
    await ring(system.client, ringsUntil=ends)
    await system.send()
    (made,) = await system.published(CallEvent)
    assert abs(made.expires - ends) < timedelta(milliseconds=1)


async def test_a_call_that_keeps_changing_is_given_up_after_three_tries(system: System) -> None:
    system.faults.fail("firestore.Commit", code=grpc.StatusCode.ABORTED, times=9)
    verdict = await system.send()
    assert (verdict.ok, verdict.outcome) == (False, "unavailable")
    assert system.journal.started.count("Commit") == 3
    assert await system.published(CallEvent) == []


async def test_a_transaction_of_somebody_elses_is_waited_out(system: System) -> None:
    system.faults.fail("firestore.Commit", code=grpc.StatusCode.ABORTED)
    assert (await system.send()).outcome == "cancelled"
    assert len(await system.published(CallEvent)) == 1


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ],
)
async def test_an_event_is_published_although_nobody_could_be_looked_up(
    system: System, code: grpc.StatusCode
) -> None:
    system.faults.fail("firestore.RunQuery", code=code)
    assert (await system.send()).outcome == "cancelled"
    (made,) = await system.published(CallEvent)
    assert made.served == ()


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED])
async def test_a_firestore_that_refuses_us_is_unavailable(
    system: System, code: grpc.StatusCode
) -> None:
    system.faults.fail("firestore.BatchGetDocuments", code=code)
    assert (await system.send()).outcome == "unavailable"


async def test_of_two_equal_frames_at_once_one_cancels_and_one_repeats(
    system: System, connections: ConnectionsServer
) -> None:
    verdicts = await asyncio.gather(system.send(), system.send())
    assert sorted(verdict.outcome for verdict in verdicts) == ["already_cancelled", "cancelled"]
    assert len(connections.posts) == 1
