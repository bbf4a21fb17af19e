"""What `ring` is to do with a call when it is due: end its ring, or look whether its caller is
gone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.scheduled import CallerCheck, RingEnds
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
        return cls(number, task.call_id, task.signal_id, _seconds(task.rings_until))

    def __str__(self) -> str:
        return f"the end of {self.ring} of {self.call}"


@dataclass(eq=False, slots=True)
class Check:
    """One attempt of a task: it ends the ring of a `call` whose `caller` is gone."""

    number: int
    call: str
    caller: str
    rings_until: float
    handling: Handling | None = None
    signal_id: str | None = None
    commit: Any = None  # what it changed, once it has
    name = "caller:gone"

    @classmethod
    def of(cls, task: CallerCheck, number: int) -> "Check":
        return cls(number, task.call_id, task.user_id, _seconds(task.rings_until))

    def __str__(self) -> str:
        return f"the look for {self.caller}, who calls by {self.call}"


def _seconds(moment: datetime) -> float:
    return (moment - START).total_seconds()
