"""What the matrix tries: every remote call of a signal's path, and all that may befall it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from infra.local.faults import Fault, Kind
from infra.local.flows import Flow
from tests.proof.faults.points import (
    COPIES,
    DELIVER,
    DELIVERIES,
    GATEWAY,
    NOT_REPEATED,
    PUSH,
    SWEEP_LOOK,
    SWEEP_PUBLISH,
    Cast,
    Point,
    publish_fails,
)


class Harm(Enum):
    """What befalls a remote call."""

    FAILS = "fails"
    IS_OUT = "fails for five seconds"
    REPLY_LOST = "is done, its reply is lost"
    HANGS = "hangs, and is never done"
    HANGS_DONE = "is done, and never answered"
    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"

    @property
    def kills(self) -> bool:
        return self in (Harm.KILLED_BEFORE, Harm.KILLED_AFTER)

    def fault(self, point: Point, cast: Cast) -> Fault:
        kinds = {
            Harm.FAILS: Kind.FAIL,
            Harm.IS_OUT: Kind.FAIL,
            Harm.REPLY_LOST: Kind.LOSE_REPLY,
            Harm.HANGS: Kind.HOLD,
            Harm.HANGS_DONE: Kind.HOLD_REPLY,
            Harm.KILLED_BEFORE: Kind.HOLD,
            Harm.KILLED_AFTER: Kind.HOLD_REPLY,
        }
        fault = Fault(kinds[self], point.call, point.about(cast), skip=point.skip)
        if self is Harm.FAILS:
            fault.code = NOT_REPEATED
        if self is Harm.IS_OUT:
            fault.times = None
        return fault


class Delivery(Enum):
    """What may befall the delivery of an event to its subscriber."""

    TWICE = "delivered twice"
    LATE = "delivered late"
    OUT_OF_ORDER = "delivered out of order"

    def fault(self, point: Point, cast: Cast) -> Fault:
        match self:
            case Delivery.TWICE:
                return Fault(Kind.REPEAT, point.call, point.about(cast))
            case Delivery.LATE:
                return Fault(Kind.DELAY, point.call, point.about(cast), seconds=4.0)
            case Delivery.OUT_OF_ORDER:
                about = point.about(cast)
                return Fault(Kind.OVERTAKE, point.call, about, overtaken_by=cast.calls[1])


@dataclass(frozen=True)
class Case:
    """One signal, and at most one harm on its way."""

    flow: Flow
    point: Point | None = None
    harm: Harm | Delivery | None = None
    repeats: bool = False  # the sender says it again when the answer was not what it hoped for

    def __str__(self) -> str:
        if self.point is None or self.harm is None:
            return self.flow.signal
        again = ", said again" if self.repeats else ""
        return (
            f"{self.flow.signal}: {self.point.function} {self.point.name} {self.harm.value}{again}"
        )

    @property
    def fault(self) -> str:
        """By which the table sums up."""
        if self.point is None or self.harm is None:
            return "no fault"
        match self.harm:
            case Harm() if self.harm.kills:
                return f"{self.point.function} is {self.harm.value} a remote call"
            case Harm():
                return f"a remote call of {self.point.function} {self.harm.value}"
            case Delivery():
                return f"an event for {self.point.function} is {self.harm.value}"

    @property
    def harms_the_answer(self) -> bool:
        """Whether the sender may be told that nobody knows what became of its signal."""
        if self.point is None:
            return False
        return self.point.function == "gateway" or self.point.prelude is publish_fails

    def faults(self, cast: Cast) -> list[Fault]:
        """The harm first, then its prelude."""
        if self.point is None or self.harm is None:
            return []
        return [self.harm.fault(self.point, cast), *self.point.prelude(cast)]


def networked(flow: Flow) -> Iterator[Case]:
    """All that can go wrong between processes that live."""
    yield Case(flow)
    for point in (*GATEWAY, *DELIVER, *COPIES, *PUSH, SWEEP_LOOK, SWEEP_PUBLISH):
        for harm in Harm:
            if not harm.kills:
                yield Case(flow, point, harm)
    for point in GATEWAY:  # what an app does that wants to be sure
        yield Case(flow, point, Harm.HANGS, repeats=True)
        yield Case(flow, point, Harm.HANGS_DONE, repeats=True)
    for point in DELIVERIES:
        for delivery in Delivery:
            yield Case(flow, point, delivery)


def killed(function: str, flow: Flow) -> list[list[Case]]:
    """Groups of cases that die together, since they are reached at about the same time."""

    def group(points: Sequence[Point]) -> list[Case]:
        return [Case(flow, point, harm) for point in points for harm in Harm if harm.kills]

    match function:
        case "gateway":  # which waits for a post a second at most
            return [group([point]) for point in GATEWAY]
        case "deliver":
            return [group(DELIVER), group(COPIES)]
        case "push":
            return [group(PUSH[:-1]), group(PUSH[-1:])]
        case _:  # which goes through all calls in turn
            return [[case] for case in group([SWEEP_LOOK, SWEEP_PUBLISH])]
