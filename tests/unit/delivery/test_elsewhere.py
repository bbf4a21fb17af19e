"""Elsewhere: whoever answers on one device silences his others, and never the one he answers on."""

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from functions.calls.call import NOBODYS, Actor, ConnectionId
from functions.calls.event import CallEvent
from functions.clients.connection import Connection, Wire
from functions.clients.device import Device, DeviceId, FcmToken, Platform
from functions.delivery.elsewhere import is_pushed, is_told
from tests.support.makers import CALLER, RECEIVER, event, now

_BEFORE, _SINCE = timedelta(hours=-1), timedelta(hours=1)
PHONE = Actor(ConnectionId("phone="), device="phone")
REGISTERED = Actor(ConnectionId("phone="), registration="1")


def answered(by: Actor) -> CallEvent:
    return msgspec.structs.replace(
        event("call:accept"),
        by_connection=by.connection,
        on_device=by.device,
        on_registration=by.registration,
    )


def socket(
    id: str = "other=",
    device: str | None = None,
    registration: str | None = None,
    connected: timedelta = _BEFORE,
) -> Connection:
    connected_at = now() + connected
    return Connection(
        id=ConnectionId(id),
        user=RECEIVER,
        wire=Wire.JSON,
        connected_at=connected_at,
        expires_at=connected_at + timedelta(hours=2),
        device=device,
        registration=registration,
    )


@pytest.mark.parametrize(
    ("by", "connection", "is_to_be_told"),
    [
        (PHONE, socket("phone=", device="tablet"), False),  # by which he acted, whatever it says
        (PHONE, socket(device="phone"), False),
        (PHONE, socket(device="tablet"), True),
        (PHONE, socket(), True),
        (PHONE, socket(connected=_SINCE), False),
        (PHONE, socket(device="tablet", connected=_SINCE), True),
        (REGISTERED, socket(registration="1"), False),
        (REGISTERED, socket(registration="2"), True),
        (REGISTERED, socket(device="tablet"), True),
        (NOBODYS, socket(), True),
        (NOBODYS, socket(device="phone"), True),
        (NOBODYS, socket(device="phone", connected=_SINCE), False),
    ],
)
def test_a_socket_is_told_of_an_answer_elsewhere(
    by: Actor, connection: Connection, is_to_be_told: bool
) -> None:
    made = answered(by)
    recipient = made.recipient(RECEIVER)
    assert recipient
    assert is_told(made, recipient, connection) is is_to_be_told


def device(app_id: str | None = None, id: str = "9") -> Device:
    return Device(
        id=DeviceId(id),
        user=RECEIVER,
        address=FcmToken("t"),
        platform=Platform.ANDROID,
        expires_at=now(),
        version=now(),
        app_id=app_id,
    )


@pytest.mark.parametrize(
    ("by", "phone", "is_to_be_pushed"),
    [
        (PHONE, device("phone"), False),
        (PHONE, device("tablet"), True),
        (PHONE, device(None), False),  # it may be the one on which he acted
        (REGISTERED, device(None, "1"), False),
        (REGISTERED, device("tablet", "1"), False),
        (REGISTERED, device(None, "2"), True),
        (NOBODYS, device("tablet"), False),
    ],
)
def test_a_phone_is_pushed_an_answer_elsewhere_only_if_it_is_known_to_be_another(
    by: Actor, phone: Device, is_to_be_pushed: bool
) -> None:
    made = answered(by)
    recipient = made.recipient(RECEIVER)
    assert recipient
    assert is_pushed(made, recipient, phone) is is_to_be_pushed


@pytest.mark.parametrize("name", ["call:cancel", "call:accept"])
def test_who_is_told_of_what_the_other_party_did_is_told_on_every_device(name: str) -> None:
    made = event(name)
    user = RECEIVER if name == "call:cancel" else CALLER
    recipient = made.recipient(user)
    assert recipient
    assert is_told(made, recipient, replace(socket(connected=_SINCE), user=user))
    assert is_pushed(made, recipient, replace(device(), user=user))
