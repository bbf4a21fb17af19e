"""The end of a ring that is due, as `ring` is to carry it out."""

from dataclasses import dataclass
from typing import Any

from functions.scheduled import RingEnds
from tests.simulation.clock import START
from tests.simulation.handling import Handling


@dataclass(eq=False, slots=True)
class Due:
    """One attempt of a task, or of what `sweep` publishes in its place: it ends the `ring` of a
    `call`."""

    number: int
    call: str
    ring: str | None
    rings_until: float
    handling: Handling | None = None
    signal_id: str | None = None
    commit: Any = None  # what it changed, once it has
    name = "ring:ended"

    @classmethod
    def of(cls, task: RingEnds, number: int) -> "Due":
        ends = (task.rings_until - START).total_seconds()
        return cls(number, task.call_id, task.signal_id, ends)

    def __str__(self) -> str:
        return f"the end of {self.ring} of {self.call}"
