"""Which remote calls belong together."""

import pytest

from infra.local.console import traces
from infra.local.console.traces import TRACES_LIMIT
from tests.console.makers import (
    FRAME,
    GATEWAY,
    World,
    commit,
    event,
    found,
    frame,
    look_up,
    publish,
    read,
)

CANCEL = frame("call:cancel", callId="CALL_1")


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("call", "request_", "root"),
    [
        (FRAME, CANCEL, "frame"),
        ("integration.$connect", "c1= ", "request"),
        ("front.POST", "/v1/signals {}", "request"),
        ("task.rings", "{}", "task"),
        ("job.sweep", "POST http://127.0.0.1:1", "sweep"),
        ("integration.$disconnect", "c1= ", "close"),
    ],
)
def test_a_trace_begins_by(world: World, call: str, request_: str, root: str) -> None:
    assert world.trace(world.made(call, request_)).root == root


def test_a_frame_says_what_its_trace_is_about(world: World) -> None:
    made = world.begin(FRAME, CANCEL)
    load = world.begin("firestore.BatchGetDocuments", read("calls/CALL_1"), GATEWAY, at=0.01)
    world.end(load, 0.02, found("calls/CALL_1", callerId="alice", receiverId="bob"))
    world.end(made, 0.05, '{"event":"ack","data":{"ok":true,"outcome":"cancelled"}}')
    trace = world.trace(made)
    assert (trace.event, trace.call, trace.users) == ("call:cancel", "CALL_1", ["alice", "bob"])
    assert (trace.outcome, trace.seconds) == ("cancelled", 0.05)


def test_a_call_of_half_a_surrogate_pair_keeps_no_other_from_its_trace(world: World) -> None:
    halved = world.made(FRAME, r'c1= {"event": "call:cancel", "data": {"callId": "\ud800"}}')
    assert (world.trace(halved).call or "").encode() == b"?"
    made = world.begin(FRAME, CANCEL, at=1.0)
    load = world.made("firestore.BatchGetDocuments", read("calls/CALL_1"), GATEWAY, at=1.1)
    assert world.trace(load) is world.trace(made)


def test_what_a_function_asks_about_a_call_belongs_to_the_frame_it_works_on(world: World) -> None:
    first = world.made(FRAME, frame("call:initiate", callId="CALL_1"), at=0.0)
    second = world.begin(FRAME, CANCEL, at=1.0)
    load = world.made("firestore.BatchGetDocuments", read("calls/CALL_1"), GATEWAY, at=1.1)
    assert world.trace(load) is world.trace(second)
    world.end(second, 1.2)
    third = world.begin(FRAME, frame("call:cancel", callId="CALL_2"), at=1.3)
    other = world.made("firestore.BatchGetDocuments", read("calls/CALL_2"), GATEWAY, at=1.4)
    assert world.trace(other) is world.trace(third)
    assert list(world.trace(first).spans) == [first.id]


def test_a_call_is_not_another_whose_id_it_begins_with(world: World) -> None:
    world.made(FRAME, CANCEL)
    longer = world.begin(FRAME, frame("call:cancel", callId="CALL_12"), at=1.0)
    load = world.made("firestore.BatchGetDocuments", read("calls/CALL_12"), GATEWAY, at=1.1)
    assert world.trace(load) is world.trace(longer)


def test_of_two_frames_at_once_a_look_up_belongs_to_the_one_with_its_user(world: World) -> None:
    frames = {}
    for number, (call, user) in enumerate((("CALL_1", "bob"), ("CALL_2", "dave"))):
        frames[user] = world.begin(FRAME, frame("call:cancel", callId=call), at=number / 10)
        load = world.begin("firestore.BatchGetDocuments", read(f"calls/{call}"), GATEWAY, at=0.2)
        world.end(load, 0.21, found(f"calls/{call}", receiverId=user))
    for user, made in frames.items():
        looked = world.made("firestore.RunQuery", look_up(user), GATEWAY, at=0.3)
        assert world.trace(looked) is world.trace(made)
    assert world.is_nobodys(world.made("firestore.RunQuery", look_up("eve"), GATEWAY, at=0.4))


def test_a_look_up_of_a_user_belongs_to_it_while_its_function_works(world: World) -> None:
    made = world.begin(FRAME, CANCEL)
    load = world.begin("firestore.BatchGetDocuments", read("calls/CALL_1"), GATEWAY)
    world.end(load, 0.01, found("calls/CALL_1", callerId="alice", receiverId="bob"))
    during = world.made("firestore.RunQuery", look_up("bob"), GATEWAY, at=0.1)
    by_another = world.made("firestore.RunQuery", look_up("bob"), "push", at=0.1)
    world.end(made, 0.2)
    after = world.made("firestore.RunQuery", look_up("bob"), GATEWAY, at=0.3)
    assert world.trace(during) is world.trace(made)
    assert world.is_nobodys(by_another)
    assert world.is_nobodys(after)


def test_a_signal_tells_two_deliveries_of_one_call_apart(world: World) -> None:
    traces = []
    for number, name in enumerate(("call:initiate", "call:cancel")):
        made = world.begin(FRAME, frame(name, callId="CALL_1"), at=number)
        written = commit("calls/CALL_1", f"unring_outbox/CALL_1:signal-{number}")
        world.made("firestore.Commit", written, GATEWAY, at=number + 0.1)
        world.end(made, number + 0.2)
        traces.append(world.trace(made))
    assert [trace.signals for trace in traces] == [{"signal-0"}, {"signal-1"}]
    for number, trace in enumerate(traces):
        said = event(callId="CALL_1", signalId=f"signal-{number}")
        delivery = world.begin("delivery.deliver", said, at=2.0)
        note = commit(f"unring_outbox/CALL_1:signal-{number}")
        noted = world.made("firestore.Commit", note, "deliver", at=2.1)
        assert (world.trace(delivery), world.trace(noted)) == (trace, trace)
        assert world.span(delivery).function == "deliver"


def test_a_signal_stays_with_the_trace_that_wrote_it_first(world: World) -> None:
    first = world.begin(FRAME, frame("call:initiate", callId="CALL_1"), at=0.0)
    written = commit("calls/CALL_1", "unring_outbox/CALL_1:s1")
    world.made("firestore.Commit", written, GATEWAY, at=0.1)
    world.end(first, 0.2)
    second = world.begin(FRAME, CANCEL, at=1.0)
    both = commit("calls/CALL_1", "unring_outbox/CALL_1:s1", "unring_outbox/CALL_1:s2")
    world.made("firestore.Commit", both, GATEWAY, at=1.1)
    assert [world.trace(each).signals for each in (first, second)] == [{"s1"}, {"s2"}]


def test_what_names_no_call_is_delivered_for_whoever_published_it(world: World) -> None:
    said = event(name="connection.admitted", connectionId="c2=", who="é")
    world.made("integration.$connect", "c1= ")
    second = world.begin("integration.$connect", "c2= ", at=1.0)
    world.made("pubsub.Publish", publish(said), GATEWAY, at=1.1)
    world.end(second, 1.2)
    later = world.made(FRAME, frame("ping", "c2="), at=1.3)
    delivery = world.begin("delivery.deliver", said, at=1.4)
    assert world.trace(delivery) is world.trace(second)
    assert world.trace(later) is not world.trace(second)


def test_a_delivery_of_what_nobody_has_seen_belongs_to_none(world: World) -> None:
    world.made(FRAME, CANCEL)
    assert world.is_nobodys(world.made("delivery.push", event(callId="CALL_2")))


def test_what_sweep_republishes_goes_on_with_the_trace_that_left_it(world: World) -> None:
    left = []
    for number in (1, 2):
        made = world.begin(FRAME, frame("call:cancel", callId=f"CALL_{number}"), at=number)
        written = commit(f"calls/CALL_{number}", f"unring_outbox/CALL_{number}:s{number}")
        world.made("firestore.Commit", written, GATEWAY, at=number + 0.1)
        world.end(made, number + 0.2)
        left.append(world.trace(made))
    sweep = world.begin("job.sweep", "POST", at=10.0)
    looked = world.made("firestore.RunQuery", look_up("pending"), "sweep", at=10.1)
    one = publish(event(callId="CALL_1", signalId="s1"))
    both = publish(event(callId="CALL_1", signalId="s1"), event(callId="CALL_2", signalId="s2"))
    of_one = world.made("pubsub.Publish", one, "sweep", at=10.2)
    of_both = world.made("pubsub.Publish", both, "sweep", at=10.3)
    assert world.trace(looked) is world.trace(sweep)
    assert world.trace(of_one) is left[0]
    assert world.trace(of_both) is world.trace(sweep)
    assert world.trace(sweep).call is None


def test_what_a_function_does_after_its_answer_belongs_to_the_newest_of_its_call(
    world: World,
) -> None:
    world.made(FRAME, frame("call:initiate", callId="CALL_1"), at=0.0)
    newest = world.made(FRAME, CANCEL, at=1.0)
    late = world.made("connections.POST", "/c1%3D CALL_1", GATEWAY, at=3.0)
    assert world.trace(late) is world.trace(newest)


def test_of_an_unknown_caller_it_is_the_one_function_that_works(world: World) -> None:
    made = world.begin(FRAME, CANCEL)
    load = world.made("firestore.BatchGetDocuments", read("calls/CALL_1"), None, at=0.1)
    assert world.span(load).function == "gateway"
    world.begin("delivery.push", event(callId="CALL_1"), at=0.2)
    unclear = world.made("firestore.BatchGetDocuments", read("calls/CALL_1"), None, at=0.3)
    assert world.span(unclear).function == "unknown"
    assert world.trace(unclear) is world.trace(made)


def test_a_retry_is_another_attempt_of_the_function_that_makes_it(world: World) -> None:
    made = world.begin(FRAME, CANCEL)
    text = commit("calls/CALL_1", "unring_outbox/CALL_1:s1")
    tries = [world.made("firestore.Commit", text, GATEWAY, at=at) for at in (0.1, 0.2)]
    assert [world.span(each).attempt for each in tries] == [1, 2]
    world.end(made, 0.3)
    said = event(callId="CALL_1", signalId="s1")
    deliveries = [world.made("delivery.push", said, at=at) for at in (0.4, 0.5)]
    other = world.made("delivery.deliver", said, at=0.5)
    assert [world.span(each).attempt for each in (*deliveries, other)] == [1, 2, 1]


def test_a_task_that_is_tried_again_goes_on_with_its_trace(world: World) -> None:
    ends = event(name="ring.ends", callId="CALL_1", signalId="s1")
    first, second = (world.made("task.rings", ends, at=at) for at in (0.0, 5.0))
    other = world.made("task.rings", event(name="ring.ends", callId="CALL_2"), at=6.0)
    assert world.trace(first) is world.trace(second)
    assert world.span(second).attempt == 2
    assert (world.trace(first).call, world.trace(other).call) == ("CALL_1", "CALL_2")


def test_a_request_that_nobody_saw_begins_a_trace_by_what_api_asks_for(world: World) -> None:
    load = world.made("firestore.BatchGetDocuments", read("calls/CALL_1"), "api", at=0.0)
    looked = world.made("firestore.RunQuery", look_up("bob"), "api", at=0.1)
    much_later = world.made("firestore.RunQuery", look_up("bob"), "api", at=9.0)
    trace = world.trace(load)
    assert (trace.root, trace.event, trace.call) == ("request", None, "CALL_1")
    assert world.trace(looked) is trace
    assert world.trace(much_later) is not trace


def test_whose_a_closed_socket_was_is_learnt_from_those_who_look(world: World) -> None:
    closed = event(name="connection.closed", connectionId="c1=")
    made = world.begin("integration.$disconnect", "c1= ")
    world.made("pubsub.Publish", publish(closed), GATEWAY)
    world.end(made, 0.1)
    world.begin("delivery.ring", closed, at=0.2)
    load = world.begin("firestore.BatchGetDocuments", read("unring_connections/c1="), "ring", 0.3)
    world.end(load, 0.4, found("unring_connections/c1=", owner="alice"))
    assert world.trace(made).users == ["alice"]


def test_a_handshake_is_about_no_call_whatever_is_caught_up_with(world: World) -> None:
    made = world.begin("integration.$connect", "c1= ")
    load = world.made("firestore.BatchGetDocuments", read("calls/CALL_1"), GATEWAY, at=0.1)
    assert world.trace(load) is world.trace(made)
    assert world.trace(made).call is None


def test_traces_are_found_by_their_call_and_by_their_users_newest_first(world: World) -> None:
    first = world.made(FRAME, frame("call:initiate", callId="CALL_1", receiverId="bob"), at=0.0)
    load = world.begin("firestore.BatchGetDocuments", read("calls/CALL_1"), GATEWAY)
    world.end(load, 0.01, found("calls/CALL_1", receiverId="bob"))
    second = world.made(FRAME, CANCEL, at=1.0)
    other = world.made(FRAME, frame("call:cancel", callId="CALL_2"), at=2.0)
    ids = [[trace.id for trace in world.traces.all(about)] for about in ("CALL_1", "bob", None)]
    assert ids == [[second.id, first.id], [first.id], [other.id, second.id, first.id]]
    assert list(world.traces.all("CALL")) == []


def test_of_too_many_those_go_first_that_are_about_no_call(world: World) -> None:
    oldest = world.made(FRAME, CANCEL, at=0.0)
    ping = world.made(FRAME, frame("ping"), at=1.0)
    for number in range(TRACES_LIMIT - 1):
        world.made(FRAME, frame("call:cancel", callId=f"C{number}"), at=2.0 + number)
    assert world.is_nobodys(ping)
    assert not world.is_nobodys(oldest)
    world.made(FRAME, frame("call:cancel", callId="LAST"), at=1000.0)
    assert world.is_nobodys(oldest)
    assert len(list(world.traces.all())) == TRACES_LIMIT


def test_a_trace_has_only_so_many_spans_and_all_of_them_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "SPANS_LIMIT", 60)
    monkeypatch.setattr(traces, "SPANS_OF_ONE_LIMIT", 10)
    for number in range(7):
        made = world.begin(FRAME, frame("call:cancel", callId=f"C{number}"), at=number)
        for _ in range(15):
            world.made("firestore.RunQuery", "", GATEWAY, at=number + 0.1)
        world.end(made, number + 0.2)
        assert len(world.trace(made).spans) == 10
    world.made(FRAME, CANCEL, at=100.0)
    kept = sum(len(trace.spans) for trace in world.traces.all())
    assert 50 < kept <= 61


def test_what_a_span_keeps_of_texts_is_short_and_lets_nobody_in(world: World) -> None:
    text = frame("device:register", token="a-token-of-some-device", padding="x" * 100_000)
    made = world.made(FRAME, text, response='{"token": "another-token-of-a-device"}')
    span = world.span(made)
    assert len(span.request) < 5000
    assert "a-token-of-some-device" not in span.request
    assert "another-token-of-a-device" not in span.response
