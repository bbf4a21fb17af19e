"""The remote calls of a ring: of its beginning, of its end, and of who looks after its caller."""

from dataclasses import replace

from functions.services.firestore.documents import RINGS_UNTIL
from infra.emulators.faults import Fault, Kind
from tests.proof.faults.cast import Cast
from tests.proof.faults.points import (
    COPIES,
    DELIVER,
    GATEWAY,
    PUSH,
    PUSH_COPY,
    PUSHED,
    SWEEP_LOOK,
    SWEEP_PUBLISH,
    WEBHOOK,
    Point,
    Prelude,
    second_push_fails,
    the_call,
    the_entry,
)

_DELAY_SECONDS = 2.0
# Of the shortest ring, from its beginning: when its end may wait in the outbox for `sweep`,
# and when that may look for it because its task has not come.
_ENDED_SECONDS, _OVERDUE_SECONDS = 8.0, 9.5


def _the_end(cast: Cast) -> tuple[str, ...]:
    return ("ring.ends", cast.call)


def _the_check(cast: Cast) -> tuple[str, ...]:
    return ("caller.check", cast.call)


def _the_callers(cast: Cast) -> tuple[str, ...]:
    return (f"connections/{cast.sender_connection}",)


def _comes_later(function: str) -> Prelude:
    """The delivery to the other function, which reads the same."""
    call = f"delivery.{function}"
    return lambda cast: [Fault(Kind.DELAY, call, the_call(cast), seconds=_DELAY_SECONDS)]


def _no_task(cast: Cast) -> list[Fault]:
    """The task of the ring's end never comes."""
    return [Fault(Kind.FAIL, "task.rings", _the_end(cast), times=None)]


# How a ring begins. `deliver` and `push` look at the outbox in any case.
_LOOK = "firestore.BatchGetDocuments"
_PUSH_LATER = _comes_later("push")
DELIVER_RING = (
    Point("deliver", "look at the entry", _LOOK, the_entry, prelude=_PUSH_LATER),
    Point("deliver", "look for the ring's end", _LOOK, the_entry, skip=1, prelude=_PUSH_LATER),
    *DELIVER[:4],
)
PUSH_RING = (
    Point("push", "look at the entry", _LOOK, the_entry, prelude=_comes_later("deliver")),
    *PUSH[:2],
    Point(
        "push",
        "note",
        "firestore.Commit",
        lambda cast: (*the_entry(cast), PUSHED),
        prelude=second_push_fails,
    ),
)
SCHEDULE = Point("ring", "schedule the end", "cloudtasks.CreateTask", _the_end)
LOOK_AT_CALLER = Point(
    "ring",
    "read the caller's connection",
    _LOOK,
    _the_callers,
    skip=1,  # the gateway's
)
RING_DELIVERY = Point("ring", "delivery", "delivery.ring", the_call)
BEGINS = (
    *GATEWAY,
    *DELIVER_RING,
    *COPIES,
    *PUSH_RING,
    WEBHOOK[0],
    SCHEDULE,
    LOOK_AT_CALLER,
    SWEEP_LOOK,
    SWEEP_PUBLISH,
)

# How a ring ends by itself.
TASK = Point("ring", "task", "task.rings", _the_end)
END = tuple(replace(point, function="ring") for point in GATEWAY)
OVERDUE = (
    Point(
        "sweep",
        "look for rings that should have ended",
        "firestore.RunQuery",
        lambda _: ("calls", RINGS_UNTIL),
        prelude=_no_task,
        due_seconds=_OVERDUE_SECONDS,
    ),
    Point(
        "sweep",
        "publish that a ring should have ended",
        "pubsub.Publish",
        _the_end,
        prelude=_no_task,
    ),
    Point(
        "ring",
        "delivery of an end without a task",
        "delivery.ring",
        _the_end,
        prelude=_no_task,
    ),
)
SCHEDULE_AT_START = replace(SCHEDULE, at_the_start=True)
ENDS = (
    SCHEDULE_AT_START,
    TASK,
    *END,
    *DELIVER[:4],
    COPIES[1],
    PUSH[1],
    PUSH_COPY,
    WEBHOOK[0],
    replace(SWEEP_LOOK, due_seconds=_ENDED_SECONDS),
    SWEEP_PUBLISH,
    *OVERDUE,
)

# How one of three devices accepts.
ACCEPTS = (*GATEWAY, *DELIVER, COPIES[1], *PUSH[:3], PUSH[5], PUSH_COPY, WEBHOOK[0], SWEEP_PUBLISH)

# How it is seen that the caller is gone.
CLOSE = (
    Point(
        "gateway",
        "note that the socket is closed",
        "firestore.Commit",
        lambda cast: (*_the_callers(cast), "closedAt"),
        is_unseen=True,
    ),
    Point(
        "gateway",
        "publish that the socket is closed",
        "pubsub.Publish",
        lambda cast: ("connection.closed", cast.sender_connection),
        is_unseen=True,
    ),
)
CLOSED_DELIVERY = Point(
    "ring",
    "delivery of a closed socket",
    "delivery.ring",
    lambda cast: ("connection.closed", cast.sender_connection),
)
CLOSED = (
    Point("ring", "read the closed connection", _LOOK, _the_callers),
    Point("ring", "schedule a look at the caller", "cloudtasks.CreateTask", _the_check),
)
CHECK = Point("ring", "task of a look at the caller", "task.rings", _the_check, is_unseen=True)
CHECKED = (
    END[0],
    Point(
        "ring",
        "look for the caller's connections",
        "firestore.RunQuery",
        lambda cast: ("connections", cast.sender),
    ),
    *END[1:],
)
GOES = (*CLOSE, CLOSED_DELIVERY, *CLOSED, CHECK, *CHECKED)
