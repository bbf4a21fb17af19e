"""The rules of a call: every status, every signal and every sender, and what comes of each."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from functions.calls.call import (
    NOBODYS,
    Actor,
    Call,
    CallId,
    Cause,
    Party,
    SignalId,
    Status,
    UnreadableCall,
    UserId,
)
from functions.calls.decision import (
    FORBIDDEN,
    NOT_FOUND,
    UNREADABLE,
    Decision,
    Verdict,
    decide,
    decide_timeout,
)
from functions.calls.event import CallEvent, Recipient
from functions.calls.transitions import (
    CALLER_GONE,
    ERASED,
    SIGNALS,
    TIMED_OUT,
    TRANSITIONS,
    Notice,
    Push,
    PushedBy,
    PushPolicy,
    Signal,
    Whom,
)

CALLER, RECEIVER, STRANGER = UserId("USR_1"), UserId("USR_2"), UserId("USR_3")
NOW = datetime(2026, 1, 2, tzinfo=UTC)

# What each signal makes of a call, by who sends it and how the call stands: `+` it is committed,
# `=` it is a repeat, `-` it comes too late. Nobody else may send it.
#            ringing        accepted     rejected     cancelled     missed     ended
EXPECTED = {
    ("call:cancel", CALLER): "+cancelled -accepted -rejected =cancelled -missed -ended",
    ("call:reject", RECEIVER): "+rejected -accepted =rejected -cancelled -missed -ended",
    ("call:accept", RECEIVER): "+accepted =accepted -rejected -cancelled -missed -ended",
    ("call:end", CALLER): "+cancelled +ended -rejected =cancelled -missed =ended",
    ("call:end", RECEIVER): "+rejected +ended =rejected -cancelled -missed =ended",
}

# Whom a committed signal tells, by who sent it and how the call stood: the event for the sockets,
# the message for the devices, and the statuses of the call in which both are still true.
CANCELLED = (RECEIVER, "call:cancelled, pushed as call_cancelled, while cancelled")
REJECTED = [
    (CALLER, "call:rejected, pushed as call_rejected with its reason, while rejected"),
    (RECEIVER, "call:cancelled elsewhere, pushed as call_cancelled, while rejected"),
]
TOLD = {
    ("call:cancel", CALLER, "ringing"): [CANCELLED],
    ("call:reject", RECEIVER, "ringing"): REJECTED,
    ("call:accept", RECEIVER, "ringing"): [
        (CALLER, "call:accepted, not pushed, while accepted"),
        (RECEIVER, "call:cancelled elsewhere, pushed as call_cancelled, while accepted or ended"),
    ],
    ("call:end", CALLER, "ringing"): [CANCELLED],
    ("call:end", RECEIVER, "ringing"): REJECTED,
    ("call:end", CALLER, "accepted"): [(RECEIVER, "call:ended, not pushed, while ended")],
    ("call:end", RECEIVER, "accepted"): [(CALLER, "call:ended, not pushed, while ended")],
}
PARTIES = {Party.CALLER: CALLER, Party.RECEIVER: RECEIVER}


def call(status: Status) -> Call:
    return Call(CallId("CALL_1"), CALLER, RECEIVER, status)


def signal(name: str) -> Signal:
    return Signal(name, CallId("CALL_1"), "because")


def said(decision: Decision) -> str:
    """A decision as the table above writes it."""
    verdict = decision.verdict
    if decision.transition:
        assert verdict.ok
        assert verdict.outcome == decision.transition.to_status
        return f"+{verdict.outcome}"
    assert verdict.ok == decision.is_repeat
    return f"{'=' if decision.is_repeat else '-'}{verdict.outcome.removeprefix('already_')}"


def told(recipient: Recipient) -> tuple[str, str]:
    """A recipient as `TOLD` writes it."""
    pushed = "not pushed"
    if push := recipient.push:
        pushed = f"pushed as {push.type}{' with its reason' if push.with_reason else ''}"
    event = f"{recipient.event}{' elsewhere' if recipient.is_elsewhere else ''}"
    return recipient.user_id, ", ".join(
        (event, pushed, f"while {' or '.join(recipient.true_while)}")
    )


def test_the_expectations_are_of_every_row_and_of_each_who_may_send_it() -> None:
    rows = {
        (row.signal, PARTIES[sender], row.from_status.value)
        for row in TRANSITIONS
        for sender in row.senders
    }
    assert set(TOLD) == rows


@pytest.mark.parametrize(("name", "sender", "status"), list(TOLD))
def test_a_signal_tells_whom_the_table_says(name: str, sender: UserId, status: str) -> None:
    before = call(Status(status))
    transition = decide(before, signal(name), sender).transition
    assert transition
    sent = replace(signal(name), by=_PHONE)
    made = CallEvent.of(before, transition, sent, sender, SignalId("S1"), NOW)
    assert [told(recipient) for recipient in made.recipients] == TOLD[name, sender, status]


def test_the_expectations_are_of_every_signal() -> None:
    assert {name for name, _ in EXPECTED} == set(SIGNALS)


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("sender", [CALLER, RECEIVER])
def test_a_signal_makes_of_a_call_what_the_table_says(name: str, sender: UserId) -> None:
    decisions = [decide(call(status), signal(name), sender) for status in Status]
    expected = EXPECTED.get((name, sender))
    if expected is None:
        assert decisions == [Decision(FORBIDDEN)] * len(Status)
    else:
        assert [said(decision) for decision in decisions] == expected.split()


@pytest.mark.parametrize("name", SIGNALS)
def test_a_stranger_cannot_tell_a_call_from_none(name: str) -> None:
    for status in Status:
        assert decide(call(status), signal(name), STRANGER) == Decision(NOT_FOUND)
    assert decide(None, signal(name), STRANGER) == Decision(NOT_FOUND)


@pytest.mark.parametrize("name", SIGNALS)
def test_who_calls_himself_is_both_parties(name: str) -> None:
    for status in Status:
        alone = Call(CallId("CALL_1"), CALLER, CALLER, status)
        as_either = [decide(call(status), signal(name), user) for user in (CALLER, RECEIVER)]
        assert decide(alone, signal(name), CALLER) in as_either


_PHONE, _TABLET = Actor(device="phone"), Actor(device="tablet")
_AS_1, _AS_2 = Actor(registration="1"), Actor(registration="2")


@pytest.mark.parametrize(
    ("answered_on", "by", "ok"),
    [
        (_PHONE, _PHONE, True),
        (_PHONE, _TABLET, False),
        (_PHONE, NOBODYS, True),
        (NOBODYS, _TABLET, True),
        (_AS_1, _AS_1, True),
        (_AS_1, _AS_2, False),
        (_AS_1, _TABLET, True),  # nobody knows which of them has registered as 1
        (Actor(device="phone", registration="1"), _AS_1, True),
        (Actor(device="phone", registration="1"), Actor(device="phone", registration="2"), True),
        (Actor(device="phone", registration="1"), Actor(device="tablet"), False),
    ],
)
def test_who_accepts_again_has_the_call_unless_another_device_has_it(
    answered_on: Actor, by: Actor, ok: bool
) -> None:
    answered = replace(call(Status.ACCEPTED), answered_on=answered_on)
    decision = decide(answered, replace(signal("call:accept"), by=by), RECEIVER)
    assert (decision.verdict.ok, decision.verdict.outcome) == (ok, "already_accepted")
    assert decision.is_repeat is ok


@pytest.mark.parametrize("sender", [CALLER, RECEIVER, STRANGER])
@pytest.mark.parametrize("status", Status)
def test_who_is_erased_ends_a_call_as_by_a_signal_and_his_own_phones_stop_ringing(
    status: Status, sender: UserId
) -> None:
    assert ERASED not in SIGNALS  # no client may say so
    call = Call(CallId("CALL_1"), CALLER, RECEIVER, status)
    erased, ended = (decide(call, signal(name), sender) for name in (ERASED, "call:end"))
    assert erased.verdict == ended.verdict
    if not erased.transition or not ended.transition:
        assert erased == ended
        return
    is_rung = status is Status.RINGING and sender is RECEIVER
    silence = Notice(Whom.RECEIVER, "call:cancelled", (Status.REJECTED,), Push("call_cancelled"))
    told = [each for each in ended.transition.notices if not each.is_elsewhere]
    # It was on none of his devices that he did so, and all of them are told.
    assert list(erased.transition.notices) == [*told, *([silence] if is_rung else [])]
    same = replace(erased.transition, signal="call:end", notices=ended.transition.notices)
    assert same == ended.transition


def test_no_two_rows_of_the_table_claim_the_same() -> None:
    claims = [
        (row.signal, sender, row.from_status) for row in TRANSITIONS for sender in row.senders
    ]
    assert len(claims) == len(set(claims))


def test_every_transition_leads_on_and_tells_somebody() -> None:
    order = list(Status)
    for row in TRANSITIONS:
        assert order.index(row.from_status) < order.index(row.to_status)
        assert row.notices


def test_an_event_is_true_of_the_call_as_its_transition_leaves_it() -> None:
    for row, notice in itertools.chain.from_iterable(
        ((row, notice) for notice in row.notices) for row in TRANSITIONS
    ):
        assert row.to_status in notice.true_while


def test_a_call_that_can_not_be_read_is_so_to_its_parties_and_unknown_to_others() -> None:
    call = UnreadableCall(CallId("CALL_1"), frozenset({CALLER, RECEIVER}))
    for name in SIGNALS:
        for party in (CALLER, RECEIVER):
            assert decide(call, signal(name), party) == Decision(UNREADABLE)
        assert decide(call, signal(name), STRANGER) == Decision(NOT_FOUND)


RING = SignalId("R1")


@pytest.mark.parametrize("status", Status)
def test_only_a_ring_is_missed_once_its_time_is_over(status: Status) -> None:
    decision = decide_timeout(replace(call(status), signal_id=RING), RING)
    expected = {Status.RINGING: "+missed", Status.MISSED: "=missed"}
    assert said(decision) == expected.get(status, f"-{status}")


def test_a_call_that_rings_again_is_not_missed_when_the_time_of_its_first_ring_is_over() -> None:
    again = replace(call(Status.RINGING), signal_id=SignalId("R2"))
    assert decide_timeout(again, RING) == Decision(Verdict(False, "already_ringing"))
    assert decide_timeout(again, None).transition is None


def test_a_call_of_which_nobody_was_told_is_missed_too() -> None:
    assert decide_timeout(call(Status.RINGING), None).transition is TIMED_OUT


def test_a_call_that_is_gone_or_unreadable_is_not_missed() -> None:
    assert decide_timeout(None, RING) == Decision(NOT_FOUND)
    unreadable = UnreadableCall(CallId("CALL_1"), frozenset())
    assert decide_timeout(unreadable, RING) == Decision(UNREADABLE)


def test_a_missed_call_tells_both_parties_each_with_a_reason_of_its_own() -> None:
    of_nobody = Signal(TIMED_OUT.signal, CallId("CALL_1"), None)
    made = CallEvent.of(call(Status.RINGING), TIMED_OUT, of_nobody, None, SignalId("S1"), NOW)
    assert [told(recipient) for recipient in made.recipients] == [
        (CALLER, "call:timeout, not pushed, while missed"),
        (RECEIVER, "call:cancelled, pushed as call_cancelled, while missed"),
    ]
    assert [made.reason_for(each) for each in made.recipients] == ["No answer", "Timeout"]
    assert {made.cause_for(each) for each in made.recipients} == {Cause.TIMEOUT}


def test_a_caller_who_is_gone_has_cancelled() -> None:
    gone = replace(signal(CALLER_GONE), reason=None)
    transition = decide(call(Status.RINGING), gone, CALLER).transition
    assert transition
    made = CallEvent.of(call(Status.RINGING), transition, gone, CALLER, SignalId("S1"), NOW)
    assert [told(recipient) for recipient in made.recipients] == [CANCELLED]
    assert (made.cause, made.reason) == (Cause.CALLER_GONE, "Caller disconnected")


@pytest.mark.parametrize("name", ["call:reject", "call:accept"])
def test_where_nobody_knows_on_which_device_he_acted_none_of_his_is_pushed(name: str) -> None:
    transition = decide(call(Status.RINGING), signal(name), RECEIVER).transition
    assert transition
    made = CallEvent.of(
        call(Status.RINGING), transition, signal(name), RECEIVER, SignalId("S1"), NOW
    )
    (other,) = [each for each in made.recipients if each.user_id == RECEIVER]
    assert (other.event, other.push) == ("call:cancelled", None)


@pytest.mark.parametrize("by", [_PHONE, _AS_1])
def test_a_backend_is_asked_to_push_elsewhere_only_if_it_can_tell_the_devices_apart(
    by: Actor,
) -> None:
    sent = replace(signal("call:accept"), by=by)
    transition = decide(call(Status.RINGING), sent, RECEIVER).transition
    assert transition
    backends = PushPolicy(cancelled=PushedBy.BACKEND)
    ringing = call(Status.RINGING)
    made = CallEvent.of(ringing, transition, sent, RECEIVER, SignalId("S1"), NOW, backends)
    assert bool(made.backend_recipients) is (by is _PHONE)
    made = CallEvent.of(ringing, transition, sent, RECEIVER, SignalId("S1"), NOW)
    assert [each.user_id for each in made.push_recipients] == [RECEIVER]
