"""What the matrix tries: every remote call of a signal's path, and all that may befall it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from infra.client.flows import Flow
from infra.emulators.faults import Fault, Kind
from tests.proof.faults.cast import Cast
from tests.proof.faults.points import (
    API,
    CATCH_UP,
    COPIES,
    DELIVER,
    DELIVERIES,
    GATEWAY,
    NOT_REPEATED,
    PATH,
    PUSH,
    PUSH_COPY,
    SWEEP_LOOK,
    SWEEP_PUBLISH,
    WEBHOOK,
    Point,
)
from tests.proof.handset import JSON


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


class Deed(Enum):
    """What people do meanwhile: while the remote call at a point is held, where there is one."""

    SENDER_LEAVES = "the sender's socket closes"
    RECONNECTS = "a recipient reconnects"
    COMES_LATER = "the recipients connect when all is over"
    RINGS_AGAIN = "the same call rings again"
    ENDS_AGAIN = "the same call rings and ends again"
    TWO_AT_ONCE = "two events of one user are in retry"


@dataclass(frozen=True)
class Case:
    """One signal, at most one harm on its way, and what somebody does meanwhile."""

    flow: Flow
    point: Point | None = None
    harm: Harm | Delivery | None = None
    repeats: bool = False  # the sender says it again when the answer was not what it hoped for
    deed: Deed | None = None
    held: Kind = Kind.HOLD  # the point, during a deed; or HOLD_REPLY, once the call is done
    wire: str = JSON  # of who closes the socket

    def __str__(self) -> str:
        at = f" {self.point.function} {self.point.name}" if self.point else ""
        harm = f" {self.harm.value}" if self.harm else ""
        again = ", said again" if self.repeats else ""
        deed = f", {self.deed.value} ({self.wire}, {self.held.name})" if self.deed else ""
        return f"{self.flow.signal}:{at}{harm}{again}{deed}"

    @property
    def fault(self) -> str:
        """By which the table sums up."""
        match self.deed, self.harm, self.point:
            case None, None, _:
                return "no fault"
            case Deed(), Harm(), Point(function):
                return f"{self.deed.value}, {function} is killed"
            case Deed(), _, _:
                return self.deed.value
            case _, Harm(), Point(function) if self.harm.kills:
                return f"{function} is {self.harm.value} a remote call"
            case _, Harm(), Point(function):
                return f"a remote call of {function} {self.harm.value}"
            case _, Delivery(), Point(function):
                return f"an event for {function} is {self.harm.value}"
        raise AssertionError(f"nothing befalls {self}")

    @property
    def catches_up(self) -> bool:
        """Whether the told user's phones connect only when all is over."""
        is_asked = self.point is not None and self.point.catches_up
        return is_asked or self.deed is Deed.COMES_LATER

    @property
    def is_held(self) -> bool:
        """Whether somebody does something while the remote call at the point is held."""
        return bool(self.deed and self.point and not self.harm)

    @property
    def second_token_dies(self) -> bool:
        return bool(self.point and self.point.second_token_dies)

    @property
    def backend_pushes(self) -> bool:
        return bool(self.point and self.point.backend_pushes)

    def harms_the_answer(self, cast: Cast) -> bool:
        """Whether the sender may be told that nobody knows what became of its signal."""
        if self.point is None:
            return False
        is_not_published = any(fault.call == "pubsub.Publish" for fault in self.point.prelude(cast))
        return self.point.function in ("gateway", "api") or is_not_published

    @property
    def comes_over_https(self) -> bool:
        return self.point is not None and self.point.function == "api"

    def faults(self, cast: Cast) -> list[Fault]:
        """The harm first, then its prelude."""
        if self.point is None:
            return []
        if self.harm is None:
            # What is late is held each time it comes: one that got through would not be late.
            times = None if self.point.is_late else 1
            about = self.point.about(cast)
            held = Fault(self.held, self.point.call, about, skip=self.point.skip, times=times)
        else:
            held = self.harm.fault(self.point, cast)
        return [held, *self.point.prelude(cast)]


def networked(flow: Flow) -> Iterator[Case]:
    """All that can go wrong between processes that live."""
    yield Case(flow)
    for point in (*PATH, *CATCH_UP):
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
        case "gateway" | "api":  # which wait for a post a second at most
            return [group([point]) for point in (GATEWAY if function == "gateway" else API)]
        case "deliver":
            return [group(DELIVER), group(COPIES), group(CATCH_UP)]
        case "push":
            return [group(PUSH), group([PUSH_COPY])]
        case "webhook":
            return [group(WEBHOOK)]
        case "sweep":  # which goes through all calls in turn
            return [[case] for case in group([SWEEP_LOOK, SWEEP_PUBLISH])]
        case "ring":  # which has nothing to do with a call that somebody ends
            return []
    raise AssertionError(f"nobody has said how {function} dies")
