"""Whom an instance has served with the events of the last signals.

As long as Firestore can't be written, nothing else knows, and Pub/Sub comes again.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

from functions.calls.call import SignalId

_REMEMBERED = 1000  # signals: more than an instance sees in the two minutes an event may live

_Target = TypeVar("_Target")


class Memory(Generic[_Target]):
    """By signal, the connections or devices that have its event."""

    def __init__(self) -> None:
        self._served: OrderedDict[SignalId, set[_Target]] = OrderedDict()

    def served(self, signal: SignalId) -> set[_Target]:
        """Whoever is added to it is remembered."""
        served = self._served.setdefault(signal, set())
        self._served.move_to_end(signal)
        if len(self._served) > _REMEMBERED:
            self._served.popitem(last=False)
        return served
