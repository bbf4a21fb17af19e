"""The system with one safeguard taken out each: the proof must see that something is missing."""

from collections.abc import Awaitable, Callable

from infra.client.flows import CANCEL
from infra.local.stack import Stack
from tests.proof.faults import people
from tests.proof.faults.case import Case, Deed, Harm
from tests.proof.faults.matrix import rows_of, run_killed, run_networked
from tests.proof.faults.points import GATEWAY, PUSH, Point
from tests.proof.faults.ringing.flows import ACCEPT, TIME_OUT
from tests.proof.faults.ringing.points import TASK
from tests.proof.faults.rings import LATE
from tests.proof.faults.variant import Variant, run
from tests.proof.races.rounds import run_rounds
from tests.proof.table import Row

__all__ = ["VARIANTS", "Variant", "run"]

_PATIENCE_SECONDS = 8.0  # what is lost never comes
_NET_SECONDS = 20.0  # by then the net has ended a ring
_ROUNDS, _AT_ONCE = 60, 6
_LOAD, _COMMIT, _LOOK_UP, _POST, _PUBLISH, _RELOAD, _RELOAD_DONE = GATEWAY
_SEND = PUSH[1]


def _case(point: Point, harm: Harm) -> Callable[[Stack], Awaitable[list[Row]]]:
    case = Case(CANCEL, point, harm)

    async def run(stack: Stack) -> list[Row]:
        if harm.kills:
            return rows_of(await run_killed(stack, point.function, [[case]], _PATIENCE_SECONDS))
        return rows_of(await run_networked(stack, [case], _PATIENCE_SECONDS))

    return run


def _cases(
    *cases: Case, patience: float = _PATIENCE_SECONDS
) -> Callable[[Stack], Awaitable[list[Row]]]:
    async def run(stack: Stack) -> list[Row]:
        return rows_of(await run_networked(stack, cases, patience))

    return run


async def _retries(stack: Stack) -> list[Row]:
    groups = people.killed("push", CANCEL)
    return rows_of(await run_killed(stack, "push", groups, _PATIENCE_SECONDS))


async def _rounds(stack: Stack) -> list[Row]:
    return [await run_rounds(stack, _ROUNDS, _AT_ONCE)]


VARIANTS = (
    Variant("no-outbox", ("gateway",), _case(_PUBLISH, Harm.KILLED_BEFORE), "was never"),
    Variant("post-before-commit", ("gateway",), _case(_RELOAD, Harm.FAILS), "while it was ringing"),
    Variant("no-precondition", ("gateway",), _rounds, "the verdicts were"),
    Variant("no-signal-id", ("gateway",), _case(_COMMIT, Harm.REPLY_LOST), "the sender was told"),
    Variant(
        "acknowledge-before-sending",
        ("push",),
        _case(_SEND, Harm.KILLED_BEFORE),
        "was never pushed",
    ),
    Variant(
        "delete-on-disconnect",
        ("gateway",),
        _cases(Case(CANCEL, _LOAD, deed=Deed.SENDER_LEAVES)),
        "is ringing",
    ),
    Variant("one-mark-per-device", ("push",), _retries, "was pushed 2 times"),
    Variant(
        "entry-removed-when-nobody-was-connected",
        ("deliver",),
        _cases(Case(CANCEL, deed=Deed.COMES_LATER)),
        "was never told",
    ),
    Variant(
        "late-events-do-not-look-at-the-call",
        ("deliver", "push"),
        _cases(*(Case(CANCEL, point, deed=Deed.RINGS_AGAIN) for point in LATE)),
        "of the old ring while the new one rang",
    ),
    Variant(
        "the-actor-is-told-too",
        ("gateway", "deliver", "push"),
        _cases(Case(ACCEPT)),
        "the acting phone was told what it should not hear",
    ),
    Variant(
        "a-time-out-ends-any-ring",
        ("ring",),
        _cases(Case(TIME_OUT, deed=Deed.RINGS_AGAIN)),
        "the call is missed",
    ),
    Variant(
        "no-net-for-rings",
        ("sweep",),
        _cases(Case(TIME_OUT, TASK, Harm.HANGS), patience=_NET_SECONDS),
        "it took too long",
    ),
)
