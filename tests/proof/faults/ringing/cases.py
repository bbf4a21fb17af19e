"""What is tried of a ring: each remote call, and all that may befall it."""

from collections.abc import Iterator, Sequence

from infra.client.flows import Flow
from tests.proof.faults.case import Case, Deed, Delivery, Harm
from tests.proof.faults.points import DELIVER, GATEWAY, PUSH, WEBHOOK, Point
from tests.proof.faults.ringing.flows import ACCEPT, GONE, INITIATE, TIME_OUT
from tests.proof.faults.ringing.points import (
    ACCEPTS,
    BEGINS,
    CHECK,
    CHECKED,
    CLOSE,
    CLOSED,
    CLOSED_DELIVERY,
    DELIVER_RING,
    END,
    ENDS,
    GOES,
    LOOK_AT_CALLER,
    OVERDUE,
    PUSH_RING,
    RING_DELIVERY,
    SCHEDULE,
    SCHEDULE_AT_START,
    TASK,
)

_PATHS = {INITIATE: BEGINS, TIME_OUT: ENDS, ACCEPT: ACCEPTS, GONE: GOES}
# What comes twice or late; the rest of a delivery's troubles is that it fails.
_COMES = {INITIATE: (RING_DELIVERY,), TIME_OUT: (TASK,), GONE: (CLOSED_DELIVERY, CHECK)}
_HARMS = tuple(harm for harm in Harm if not harm.kills)
_BOTH = (Harm.KILLED_BEFORE, Harm.KILLED_AFTER)


def networked(flow: Flow) -> Iterator[Case]:
    """All that can go wrong between processes that live."""
    yield Case(flow)
    if flow == TIME_OUT:
        yield Case(flow, deed=Deed.RINGS_AGAIN)
    for number, point in enumerate(_PATHS[flow]):
        for harm in _harms(number) if _is_as_ever(flow, point) else _HARMS:
            # A message that hangs is not delivered once more before its time, which is long.
            if not (harm is Harm.HANGS and point.call.startswith("delivery.")):
                yield Case(flow, point, harm)
    for point in GATEWAY if flow in (INITIATE, ACCEPT) else ():
        yield Case(flow, point, Harm.HANGS_DONE, repeats=True)
    for point in _COMES.get(flow, ()):
        yield Case(flow, point, Delivery.TWICE)
        yield Case(flow, point, Delivery.LATE)


def _is_as_ever(flow: Flow, point: Point) -> bool:
    """Whether the call is made as for a cancel or, by `ring`, as when the time is over, and is
    broken in every way there."""
    if flow == GONE:
        return point in END[1:]
    new = {INITIATE: (*DELIVER_RING, *PUSH_RING), TIME_OUT: OVERDUE}.get(flow, ())
    return point.function not in ("gateway", "ring") and point not in new


def _harms(number: int) -> Iterator[Harm]:
    """Two of them by turns."""
    for turn in (number, number + 2):
        yield _HARMS[turn % len(_HARMS)]


def killed(function: str) -> list[list[Case]]:
    """Groups of cases that die together, since they are reached at about the same time."""
    match function:
        case "gateway":  # which waits for a post a second at most
            each = [[*_deaths(INITIATE, [at]), *_deaths(ACCEPT, [at])] for at in GATEWAY]
            return [*each, _deaths(GONE, CLOSE)]
        case "deliver":
            begins, accepts = _deaths(INITIATE, DELIVER_RING), _deaths(ACCEPT, DELIVER)
            return [begins, accepts, _deaths(TIME_OUT, DELIVER[:4])]
        case "push":
            accepts = _deaths(ACCEPT, PUSH[:3])
            return [[*_deaths(INITIATE, PUSH_RING), *accepts], _deaths(TIME_OUT, [PUSH[1]])]
        case "webhook":
            begins, accepts = _deaths(INITIATE, WEBHOOK[:1]), _deaths(ACCEPT, WEBHOOK[:1])
            return [[*begins, *accepts], _deaths(TIME_OUT, WEBHOOK[:1])]
        case "ring":
            return list(_deaths_of_ring())
        case "sweep":  # which goes through all calls in turn
            return [[Case(TIME_OUT, OVERDUE[1], harm)] for harm in _BOTH]
    return []


def _deaths_of_ring() -> Iterator[list[Case]]:
    load, commit, look_up, post, *rest = END
    begins = _deaths(INITIATE, [SCHEDULE, LOOK_AT_CALLER])
    yield [*begins, *_deaths(TIME_OUT, [SCHEDULE_AT_START])]
    yield _deaths(TIME_OUT, [load, commit, *rest])
    yield _deaths(TIME_OUT, [look_up])  # it waits for these a second at most
    yield _deaths(TIME_OUT, [post])
    yield _deaths(GONE, CLOSED)
    yield _deaths(GONE, [point for point in CHECKED if point not in (look_up, post)])


def _deaths(flow: Flow, points: Sequence[Point]) -> list[Case]:
    return [Case(flow, point, harm) for point in points for harm in _BOTH]
