"""How much an instance carries out at once: of more, it refuses what is least urgent first."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from functions.calls.ring import Initiate
from functions.calls.transitions import CANCELS, Signal
from functions.wire.frames import (
    Connect,
    Frame,
    RegisterDevice,
    Relay,
    RequestFrame,
    UnregisterDevice,
)


class Urgency(Enum):
    """How full an instance may be, as a share of what it carries out at once, and still take on a
    request."""

    # New connections and devices, which come again by themselves, and what is relayed, as no phone
    # goes on ringing without it.
    LATER = 3 / 4
    SOON = 7 / 8
    NOW = 1.0
    ALWAYS = float("inf")  # what would never come again, and what costs nothing: it is not counted


class Overloaded(Exception):
    """The instance has enough to do. Nothing was begun."""


class Load:
    """Counts what the instance is carrying out.

    All that it takes on shares one CPU, so one request more makes all of them later, until what
    they wait for runs into its time-outs and nothing gets done. What is refused at once costs next
    to nothing, and may be tried again.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._under_way = 0

    @contextmanager
    def carrying_out(self, urgency: Urgency) -> Iterator[None]:
        """Counts one request. Raises Overloaded."""
        if urgency is Urgency.ALWAYS:
            yield  # a thousand who leave must not keep one cancel out
            return
        if self._under_way >= urgency.value * self._at_once:
            raise Overloaded(f"{self._under_way} requests are under way")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1


def urgency_of(frame: Frame) -> Urgency:
    match frame:
        case RequestFrame(RegisterDevice() | UnregisterDevice() | Relay()):
            return Urgency.LATER
        case RequestFrame(Initiate()):
            return Urgency.SOON
        case RequestFrame(Signal(name)):
            return Urgency.NOW if name in CANCELS else Urgency.SOON
        case Connect():  # much has been done for it already
            return Urgency.SOON
        case _:
            return Urgency.ALWAYS
