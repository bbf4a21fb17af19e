"""Whoever answered or declined is passed over when his other devices are told to stop ringing."""

from functions.calls.event import CallEvent, Recipient
from functions.clients.connection import Connection
from functions.clients.device import Device


def is_told(event: CallEvent, recipient: Recipient, connection: Connection) -> bool:
    """Whether a connection of the recipient's is to be told."""
    if not recipient.is_elsewhere:
        return True
    actor = event.actor
    if connection.is_among([actor.connection]):
        return False
    is_same = actor.is_on(connection.device, connection.registration)
    if is_same is None:
        # Nobody knows. One that has opened since may be where he acted: its socket was down for a
        # moment, or his answer came over HTTPS.
        return connection.connected_at <= event.decided_at
    return not is_same


def is_pushed(event: CallEvent, recipient: Recipient, device: Device) -> bool:
    """Whether a device of the recipient's is to be told by FCM: only one that is known to be
    another than the one on which he acted."""
    return not recipient.is_elsewhere or event.actor.is_on(device.app_id, device.id) is False


def is_withheld(event: CallEvent, recipient: Recipient, device: Device) -> bool:
    """Whether a device is not pushed because nobody knows whether it is the one on which he
    acted."""
    return recipient.is_elsewhere and event.actor.is_on(device.app_id, device.id) is None
