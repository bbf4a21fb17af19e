"""What an instance remembers: who already has the events of the last signals.

While Firestore can't be written, this memory alone knows it, and Pub/Sub delivers again.
"""

from typing import Generic, TypeVar

from functions.calls.call import SignalId
from functions.recent import Recent

_REMEMBERED = 10_000  # signals: 80 a second for the two minutes that an event may live

_Target = TypeVar("_Target")


class Memory(Generic[_Target]):
    """For each signal, the connections or devices that have its event."""

    def __init__(self) -> None:
        self._holders: Recent[SignalId, set[_Target]] = Recent(_REMEMBERED)

    def of(self, signal: SignalId) -> set[_Target]:
        """Who has the event of `signal`. Whoever is added to the set is remembered."""
        return self._holders.latest(signal, set())
