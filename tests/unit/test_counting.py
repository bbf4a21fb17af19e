"""What metrics count: each change of a call has one line, and all lines of it have its cause."""

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from functions import deliver, push
from functions.calls.call import NOBODYS, Actor, ConnectionId, SignalId
from functions.calls.decision import Verdict
from functions.calls.event import CallEvent
from functions.calls.transitions import PushedBy, PushPolicy, Signal
from functions.clients.device import FcmToken, Platform
from functions.delivery.commit import Received
from functions.settings import DeliverSettings, PushSettings
from infra.emulators.faults import Fault, Kind
from tests.memory.services import Services
from tests.support.asgi import call, envelope
from tests.support.loglines import Lines, logged
from tests.support.makers import CALL, CALLER, RECEIVER, connect, event, now
from tests.support.processes import settings_of

Line = dict[str, Any]
PHONE = Actor(device="phone")
BY_BACKEND = PushPolicy(cancelled=PushedBy.BACKEND)


@pytest_asyncio.fixture(loop_scope="function")
async def ringing(services: Services) -> Services:
    """A call that rings on three sockets of its receiver's, one of them on his phone."""
    await connect(services.store, "caller=", CALLER)
    for id in ("phone=", "tablet=", "laptop="):
        await connect(services.store, id, RECEIVER)
    await services.world.ring()
    return services


async def sent(services: Services, name: str, by: Actor = NOBODYS) -> Verdict:
    """What comes of a signal over HTTPS, of the party that may send it."""
    signal = Signal(name, CALL, reason=None, by=by)
    sender = CALLER if name == "call:cancel" else RECEIVER
    received = Received(SignalId("5151"), now(), now())
    return await services.signaling().handle_of(signal, sender, received)


def only(lines: Lines, message: str) -> Line:
    (found,) = (line for line in lines() if line["message"] == message)
    return found


@pytest.mark.parametrize(
    ("name", "outcome", "cause"),
    [
        ("call:cancel", "cancelled", "caller_cancelled"),
        ("call:reject", "rejected", "rejected"),
        ("call:accept", "accepted", None),
    ],
)
async def test_a_change_has_one_line_with_its_cause(
    ringing: Services, name: str, outcome: str, cause: str | None
) -> None:
    with logged() as lines:
        verdict = await sent(ringing, name)
        again = await sent(ringing, name)
    told = only(lines, "told")
    assert (told["outcome"], told.get("cause"), told["callId"]) == (outcome, cause, CALL)
    assert (verdict.cause, again.cause) == (cause, cause)


async def test_a_change_has_its_line_when_its_commit_was_not_answered_and_the_rest_is_delivers(
    ringing: Services,
) -> None:
    unanswered = Fault(Kind.HOLD_REPLY, "firestore.Commit")

    async def sending() -> None:
        await unanswered.reached.wait()
        await ringing.world.ring(status="ended")

    with logged() as lines, ringing.faults.during(unanswered):
        await asyncio.gather(sent(ringing, "call:accept"), sending())
        unanswered.drop()
    told = only(lines, "told")
    assert (told["outcome"], told["served"], told["unserved"]) == ("accepted", 0, 0)


@pytest.mark.parametrize(
    ("by", "elsewhere", "withheld"),
    [(NOBODYS, 3, 1), (PHONE, 3, 0), (Actor(ConnectionId("phone="), device="phone"), 2, 0)],
    ids=["nobody knows where", "on a device", "by a socket"],
)
async def test_who_is_silenced_elsewhere_and_from_whom_it_is_withheld_is_counted(
    ringing: Services, by: Actor, elsewhere: int, withheld: int
) -> None:
    with logged() as lines:
        await sent(ringing, "call:accept", by)
    told = only(lines, "told")
    assert (told["served"], told["elsewhere"]) == (elsewhere + 1, elsewhere)  # and the caller
    assert told["withheld"] == withheld


async def test_a_cancel_silences_nobody_elsewhere(ringing: Services) -> None:
    with logged() as lines:
        await sent(ringing, "call:cancel")
    told = only(lines, "told")
    assert (told["served"], told["elsewhere"], told["withheld"]) == (3, 0, 0)


def answered(by: Actor, pushes: PushPolicy | None = None) -> CallEvent:
    return event("call:accept", by=by, pushes=pushes)


async def test_what_deliver_does_for_an_event_has_its_cause_and_counts_who_is_told_elsewhere(
    ringing: Services,
) -> None:
    function = deliver.handler(settings_of(DeliverSettings), ringing.store, ringing.sockets, now)
    ringing.clients.answers["tablet="] = [400]
    with logged() as lines:
        await call(function, envelope(event("call:reject", by=PHONE)))
    delivered = only(lines, "delivered")
    assert (delivered["served"], delivered["elsewhere"]) == (3, 2)
    assert [line["cause"] for line in lines()] == ["rejected"] * len(lines())
    assert only(lines, "post refused")["to"] == "tablet="


async def test_what_push_does_for_an_event_counts_who_is_pushed_elsewhere_and_who_is_not(
    services: Services,
) -> None:
    expires = event().expires_at
    for name in ("phone", "tablet", None):
        address = FcmToken(name or "nameless")
        await services.store.devices.register(
            RECEIVER, address, Platform.ANDROID, now(), expires, name
        )
    function = push.handler(
        settings_of(PushSettings), services.store, services.sender, services.publisher, now
    )
    with logged() as lines:
        await call(function, envelope(event("call:reject", by=PHONE)))
    pushed = only(lines, "pushed")
    assert (pushed["sent"], pushed["elsewhere"], pushed["withheld"]) == (1, 1, 1)
    assert (pushed["cause"], services.phones.tokens) == ("rejected", ["tablet"])


@pytest.mark.parametrize(
    ("made", "is_withheld"),
    [
        (answered(NOBODYS), True),
        (answered(NOBODYS, PushPolicy(cancelled=None)), False),  # nobody would be pushed anyway
        (answered(PHONE), False),
        (answered(Actor(registration="9")), False),
        (answered(NOBODYS, BY_BACKEND), True),
        (answered(PHONE, BY_BACKEND), False),
        (answered(Actor(registration="9"), BY_BACKEND), True),  # which the backend can't tell apart
        (event("call:cancel"), False),
    ],
)
def test_a_push_is_withheld_where_who_pushes_can_not_pass_over_the_device_that_acted(
    made: CallEvent, is_withheld: bool
) -> None:
    assert [each.user_id for each in made.withheld_recipients] == [RECEIVER] * is_withheld
    if is_withheld:
        assert RECEIVER not in [
            each.user_id for each in made.push_recipients + made.backend_recipients
        ]
