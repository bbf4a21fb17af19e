"""What an instance takes on while it has much to do."""

from contextlib import ExitStack, suppress

import pytest

from functions.calls.call import CallId
from functions.calls.transitions import SIGNALS, Signal
from functions.clients.device import FcmToken, Platform
from functions.inbound.load import Load, Overloaded, Urgency, urgency_of
from functions.wire.frames import (
    Connect,
    Goodbye,
    Ignored,
    Malformed,
    Ping,
    RegisterDevice,
    Relay,
    RequestFrame,
    UnregisterDevice,
)

TOKEN = FcmToken("T")


def taken(at_once: int, urgency: Urgency) -> int:
    """How many requests of one urgency an instance carries out at once; of a thousand that come."""
    load = Load(at_once)
    with ExitStack() as under_way:
        for number in range(1000):
            try:
                under_way.enter_context(load.carrying_out(urgency))
            except Overloaded:
                return number
        return 1000


def has_room(load: Load) -> bool:
    try:
        with load.carrying_out(Urgency.NOW):
            return True
    except Overloaded:
        return False


@pytest.mark.parametrize(
    ("urgency", "most"),
    [(Urgency.LATER, 6), (Urgency.SOON, 7), (Urgency.NOW, 8), (Urgency.ALWAYS, 1000)],
)
def test_the_less_urgent_a_request_the_earlier_it_is_refused(urgency: Urgency, most: int) -> None:
    assert taken(8, urgency) == most


@pytest.mark.parametrize("urgency", Urgency)
def test_an_instance_that_has_nothing_to_do_takes_on_anything(urgency: Urgency) -> None:
    assert taken(1, urgency) >= 1


def test_what_is_done_makes_room_and_so_does_what_failed() -> None:
    load = Load(1)
    with load.carrying_out(Urgency.NOW):
        assert not has_room(load)
    assert has_room(load)
    with suppress(RuntimeError), load.carrying_out(Urgency.NOW):
        raise RuntimeError
    assert has_room(load)


def test_however_many_leave_a_cancel_has_room() -> None:
    load = Load(2)
    with load.carrying_out(Urgency.ALWAYS), load.carrying_out(Urgency.ALWAYS):
        assert has_room(load)


@pytest.mark.parametrize("name", SIGNALS)
def test_what_may_cancel_a_call_is_most_urgent(name: str) -> None:
    urgency = urgency_of(RequestFrame(Signal(name, CallId("CALL_1"), None)))
    is_cancel = name in ("call:cancel", "call:end")
    assert urgency is (Urgency.NOW if is_cancel else Urgency.SOON)


@pytest.mark.parametrize(
    "request_",
    [
        RegisterDevice(TOKEN, Platform.IOS),
        UnregisterDevice(TOKEN),
        Relay(CallId("CALL_1"), "call:upgrade:request", "{}"),
    ],
)
def test_a_device_can_wait_and_so_can_what_is_relayed(
    request_: RegisterDevice | UnregisterDevice | Relay,
) -> None:
    assert urgency_of(RequestFrame(request_)) is Urgency.LATER


def test_who_has_connected_is_let_in_before_others_connect() -> None:
    assert urgency_of(Connect("/")) is Urgency.SOON


@pytest.mark.parametrize(
    "frame", [Goodbye(), Goodbye(closes_socket=True), Ping(), Ignored(), Malformed("data", "no")]
)
def test_a_goodbye_is_taken_on_always_and_so_is_what_costs_nothing(
    frame: Goodbye | Ping | Ignored | Malformed,
) -> None:
    assert urgency_of(frame) is Urgency.ALWAYS
