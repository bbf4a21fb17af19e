"""Events that never get through: they expire and are counted, or end as dead letters."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc

from infra.client.calls import Calls, client_at
from infra.client.flows import CANCEL
from infra.emulators.faults import Fault, Kind
from infra.local.stack import Stack
from tests.proof.faults.case import Case
from tests.proof.faults.cast import Cast
from tests.proof.faults.deadletters import dead_letters
from tests.proof.faults.play import Play
from tests.proof.faults.played import Played
from tests.proof.faults.points import WEBHOOK_PATHS
from tests.proof.faults.staging import Stage
from tests.proof.table import Row

PART = "ends"
_LIFE_SECONDS = 20.0  # of an event whose ring is about to end: longer than ten deliveries take here
_TOO_LATE_SECONDS = _LIFE_SECONDS + 2
_PATIENCE_SECONDS = 60.0
_OVERRUN = grpc.StatusCode.RESOURCE_EXHAUSTED


@dataclass(frozen=True)
class End:
    """What keeps an event from whom, and where that must be found recorded."""

    fault: str
    faults: Callable[[Cast], list[Fault]]
    told: int  # times that each phone is told
    pushed: int  # times that each device is
    expired: frozenset[str] = frozenset()  # functions that must say so
    dead: frozenset[str] = frozenset()  # subscriptions that must give it up
    heals: bool = False  # once the event has expired


def _never(call: str, *about: str) -> Callable[[Cast], Fault]:
    return lambda cast: Fault(Kind.FAIL, call, (*about, cast.call), times=None, code=_OVERRUN)


def _late(call: str) -> Callable[[Cast], Fault]:
    return lambda cast: Fault(Kind.DELAY, call, (cast.call,), seconds=_TOO_LATE_SECONDS)


_NO_PUSH, _NO_POST, _NO_PUBLISH = map(_never, ("fcm.send", "connections.POST", "pubsub.Publish"))
_no_webhook = _never("webhook.POST", f"{WEBHOOK_PATHS[0]} ")
_LATE_DELIVER, _LATE_PUSH = map(_late, ("delivery.deliver", "delivery.push"))

ENDS = (
    End(
        "FCM takes no message, to the end",
        lambda cast: [_NO_PUSH(cast)],
        told=1,
        pushed=0,
        dead=frozenset({"push"}),
    ),
    End(
        "API Gateway takes no post, to the end",
        lambda cast: [_NO_POST(cast)],
        told=0,
        pushed=1,
        expired=frozenset({"deliver", "push"}),  # the last copies
        dead=frozenset({"deliver"}),
    ),
    End(
        "the app's backend takes no webhook at one URL, to the end",
        lambda cast: [_no_webhook(cast)],
        told=1,
        pushed=1,
        dead=frozenset({"webhook"}),
    ),
    End(
        "Pub/Sub takes no event until it has expired",
        lambda cast: [_NO_POST(cast), _NO_PUBLISH(cast)],
        told=0,
        pushed=0,
        expired=frozenset({"deliver", "push"}),
        heals=True,
    ),
    End(
        "an event is delivered when it has expired",
        # There must be no copies, which would be delivered earlier.
        lambda cast: [
            _NO_POST(cast),
            _LATE_DELIVER(cast),
            _LATE_PUSH(cast),
            Fault(Kind.FAIL, "pubsub.Publish", (cast.call,), skip=1, times=None, code=_OVERRUN),
        ],
        told=0,
        pushed=0,
        expired=frozenset({"deliver", "push"}),
    ),
)


async def run(stack: Stack) -> list[Row]:
    """Plays all of them at once on a stack of `matrix.options`."""
    async with Stage(stack) as stage:
        plays = await stage.set_up(*(Case(CANCEL) for _ in ENDS))
        await asyncio.gather(*(_play(stack, *each) for each in zip(ENDS, plays, strict=True)))
        assert stack.queue is not None
        await stack.queue.idle()
        dead = await dead_letters(stack)
        results = [await play.result() for play in plays]
    return [_row(stack, end, played, dead) for end, played in zip(ENDS, results, strict=True)]


async def _play(stack: Stack, end: End, play: Play) -> None:
    call = play.cast.call
    await shorten(stack, call)
    with stack.faults.during(*end.faults(play.cast)):
        await play.sender.emit(CANCEL.signal, callId=call)
        if end.heals:
            await asyncio.sleep(_LIFE_SECONDS)
        else:
            await until_over(stack, call)
    await until_over(stack, call)


async def shorten(stack: Stack, call: str) -> None:
    """The call's ring is over in a moment, and so its event lives no longer than any must."""
    document = client_at(stack.firestore, stack.project).collection("calls").document(call)
    await document.update({"ringsUntil": datetime.now(UTC)})


async def until_over(stack: Stack, call: str) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await Calls(stack.firestore, stack.project).until_delivered(call, every=0.1)
    assert stack.queue is not None
    await stack.queue.idle()


def _row(stack: Stack, end: End, played: Played, dead: dict[str, set[str]]) -> Row:
    """Nobody was told but who could be, and what did not arrive is recorded."""
    call = played.cast.call
    row = Row(PART, end.fault, tried=1)
    told = [sum(phone.values()) for phone in played.told]
    hooked = {path for path, _, _ in played.hooks}
    pushed = Counter(token for token, _, _ in played.pushes.elements())
    checks = {
        f"it ended as {played.statuses[call]}": played.statuses[call] == CANCEL.status,
        f"the backend was told at {hooked}": hooked == _hooked(end),
        "it is still pending": not played.outbox,
        f"phones were told {told} times": told == [end.told] * len(told),
        f"devices were pushed {dict(pushed)}": pushed == Counter(played.cast.tokens * end.pushed),
        f"dead letters of {dead.get(call)}": dead.get(call, set()) == end.dead,
        f"not all of {set(end.expired)} say that it expired": end.expired <= expired(stack, call),
    }
    row.findings = [text for text, holds in checks.items() if not holds]
    row.wrong = bool(row.findings)
    return row


def _hooked(end: End) -> set[str]:
    """The URLs that must have the event, be it expired or not."""
    return set(WEBHOOK_PATHS[1:] if "webhook" in end.dead else WEBHOOK_PATHS)


def expired(stack: Stack, call: str) -> set[str]:
    """The functions whose logs say that the event of `call` has expired."""
    return {
        name
        for name in stack.functions
        for line in (stack.logs / f"{name}.log").read_text().splitlines()
        if call in line and json.loads(line)["message"] == "expired"
    }
