"""What goes wrong on the network and when, until the world heals."""

from dataclasses import dataclass, field
from enum import Enum
from random import Random


class Fate(Enum):
    """What becomes of one remote call."""

    SLOW = "takes its time"
    FAILS = "fails"
    LOST = "is done, its reply is lost"
    HANGS = "hangs, and is never done"
    HANGS_DONE = "is done, and never answered"
    LATE = "is done when it was given up"
    REPEATED = "is done, its reply is lost, and the library repeats it"
    KILLED_BEFORE = "is never made: its instance dies"
    KILLED_AFTER = "is done, and its instance dies"


SERVICES = ("firestore", "pubsub", "connections", "fcm", "cloudtasks")
# When the adapter gives a call up, with all that its library repeats, in seconds.
LIMITS = {"firestore": 4.0, "pubsub": 4.0, "connections": 5.0, "fcm": 10.0, "cloudtasks": 4.0}

_OUTAGES = (0, 0, 0, 1, 2)


@dataclass(frozen=True)
class Outage:
    """A service that serves nobody for a while."""

    service: str
    begins: float
    ends: float
    hangs: bool


@dataclass(frozen=True)
class Weather:
    """How likely each thing goes wrong. Nothing does before `begins`, and nothing after `heals`."""

    begins: float
    heals: float
    fault: float  # of each remote call
    fates: tuple[Fate, ...]
    outages: tuple[Outage, ...]
    duplicated: float  # of each delivery of Pub/Sub
    delayed: float
    unacknowledged: float
    disconnect_lost: float  # of each $disconnect, and of each task
    ill: float = 0.0  # of each connection and token: no call gets through to it
    _ill: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def drawn(cls, dice: Random, begins: float, ends: float) -> "Weather":
        """Of one schedule in a few all is well; of the others only some kinds of things go wrong,
        since with all at once most schedules would look the same."""
        if dice.random() < 0.2:
            return cls(begins, begins, 0.0, (Fate.SLOW,), (), 0.0, 0.0, 0.0, 0.0)
        heals = begins + (ends - begins) * dice.uniform(0.3, 1.3)
        return cls(
            begins=begins,
            heals=heals,
            fault=dice.choice((0.0, 0.02, 0.05, 0.1, 0.2)),
            fates=tuple(dice.sample(tuple(Fate), dice.randint(1, len(Fate)))),
            outages=tuple(_outage(dice, begins, heals) for _ in range(dice.choice(_OUTAGES))),
            duplicated=dice.choice((0.0, 0.0, 0.05, 0.2)),
            delayed=dice.choice((0.0, 0.0, 0.05, 0.3)),
            unacknowledged=dice.choice((0.0, 0.0, 0.05, 0.2)),
            disconnect_lost=dice.choice((0.0, 0.0, 0.3)),
            ill=dice.choice((0.0, 0.0, 0.3)),
        )

    def is_bad(self, now: float) -> bool:
        return self.begins <= now < self.heals

    def is_ill(self, target: str, dice: Random) -> bool:
        if target not in self._ill:
            self._ill[target] = dice.random() < self.ill
        return self._ill[target]

    def outage(self, service: str, now: float) -> Outage | None:
        for outage in self.outages:
            if outage.service == service and outage.begins <= now < outage.ends:
                return outage
        return None


def _outage(dice: Random, begins: float, heals: float) -> Outage:
    first = dice.uniform(begins, heals)
    ends = min(heals, first + dice.choice((1.0, 5.0, 15.0)))
    return Outage(dice.choice(SERVICES), first, ends, hangs=dice.random() < 0.3)
