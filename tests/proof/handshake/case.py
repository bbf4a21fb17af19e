"""What is tried: at which step of a client's handshake a function dies, and what of that step is
lost with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from infra.emulators.faults import Fault, Kind
from tests.proof.handshake.cast import Cast

_WITH_RETRIES = "js-4 with retries"
PYTHON = "python"
KINDS = ("js-2", "js-3", "js-4", _WITH_RETRIES, PYTHON)


class Passing(Enum):
    """What of a client's passes on its way to the stack."""

    OPEN = "handshake"  # a GET that names no session yet
    POST = "POST"
    POLL = "poll"
    WEBSOCKET = "WebSocket"
    FRAME = "frame by WebSocket"


class Harm(Enum):
    """What befalls a step."""

    WAITS = "{function} is killed while a step waits"
    IS_CUT = "{function} is killed, and a step is cut off"
    IS_UNDONE = "{function} is killed over a step, before its write"
    IS_UNANSWERED = "{function} is killed over a step, after its write"

    @property
    def strikes(self) -> bool:
        """Whether the function dies over the step itself."""
        return self in (Harm.IS_UNDONE, Harm.IS_UNANSWERED)


_UPGRADES_BY = 2  # frames


@dataclass(frozen=True)
class Write:
    """A Commit that a function makes for a step. In `about`, {sid} is the session's id, and {user},
    {ringing} and {begun} are as the cast has them."""

    name: str
    about: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One step: the first, second … of what passes. `function` carries it out."""

    passing: Passing
    number: int
    function: str
    writes: tuple[Write, ...] = ()

    def __str__(self) -> str:
        return f"{self.passing.value} {self.number}"

    @property
    def is_said(self) -> bool:
        """Whether the client says something by it."""
        return self.passing is Passing.POST or self.number > _UPGRADES_BY


_BEGIN = Write("begin", ("endsAt",))
_ADMIT = Write("admit", ("connections/{sid}", "admittedAt"))
_TAKE = Write("take", ("polls/{sid}", "takenBy"))
_ADD = Write("add", ("polls/{sid}", "append_missing_elements"))
_CLAIM = Write("claim", ("polls/{sid}", "upgradedBy"))
_ADMITS_SOCKET = Write("admit", ("admittedAt", "{user}"))
_MOVE = Write("move", ("{sid}", "upgradeId"))


def _change(call: str) -> Write:
    return Write("change the call", (f"calls/{{{call}}}",))


OPEN = Step(Passing.OPEN, 1, "api", (_BEGIN,))
_CONNECT = Step(Passing.POST, 1, "api", (_ADMIT, _ADD))
# What waits may go by the WebSocket before a poll has taken it, unless there is none.
_POLL = Step(Passing.POLL, 1, "api")
_FIRST_POLL, POLL_ON = (Step(Passing.POLL, number, "api", (_TAKE,)) for number in (1, 2))
_WEBSOCKET = Step(Passing.WEBSOCKET, 1, "gateway", (_CLAIM,))
_PROBE = Step(Passing.FRAME, 1, "gateway")
UPGRADE = Step(Passing.FRAME, 2, "gateway", (_MOVE,))


def _emits(passing: Passing, number: int, function: str, call: str) -> Step:
    writes = (_change(call), _ADD) if passing is Passing.POST else (_change(call),)
    return Step(passing, number, function, writes)


def _steps(kind: str) -> tuple[Step, ...]:
    """Of a client whose WebSocket gets through."""
    upgrade = (_WEBSOCKET, _PROBE, UPGRADE)
    if kind == PYTHON:  # it upgrades before it sends or asks for anything
        return (OPEN, *upgrade, Step(Passing.FRAME, 3, "gateway", (_ADMITS_SOCKET,)))
    # Version 2 sends no CONNECT, but at once what it was told to emit.
    first = _emits(Passing.POST, 1, "api", "ringing") if kind == "js-2" else _CONNECT
    return OPEN, first, _POLL, *upgrade, _emits(Passing.FRAME, 3, "gateway", "begun")


def _narrow_steps(kind: str) -> tuple[Step, ...]:
    """Of a client that polls on, those which the other has not."""
    second = _emits(Passing.POST, 2, "api", "begun" if kind == "js-2" else "ringing")
    return (*((_CONNECT,) if kind == PYTHON else ()), second, _FIRST_POLL, POLL_ON)


@dataclass(frozen=True)
class Case:
    """A client of `kind` at one step, at which `function` dies."""

    kind: str
    step: Step
    harm: Harm
    function: str
    write: Write | None = None  # at which it dies, where the step kills it
    websockets: bool = True  # whether they get through to the stack

    def __str__(self) -> str:
        step = f"{self.step}, {self.write.name}" if self.write else str(self.step)
        return f"{self.kind}, {step}: {self.fault}"

    @property
    def fault(self) -> str:
        """By which the table sums up."""
        where = "" if self.websockets else "; no WebSocket gets through"
        return self.harm.value.format(function=self.function) + where

    @property
    def client(self) -> str:
        return self.kind.partition(" ")[0]

    @property
    def has_retries(self) -> bool:
        """Whether the client says again by itself what it has no answer to."""
        return self.kind == _WITH_RETRIES

    def strike(self, sid: str, cast: Cast) -> Fault:
        """What holds the function where it is to die, in the session of this id."""
        assert self.write
        kind = Kind.HOLD if self.harm is Harm.IS_UNDONE else Kind.HOLD_REPLY
        names = {"sid": sid, "user": cast.user, "ringing": cast.ringing, "begun": cast.begun}
        about = tuple(each.format(**names) for each in self.write.about)
        return Fault(kind, "firestore.Commit", about)


def cases() -> Iterator[Case]:
    """All that there are. A client with the option `retries` is without it in all but what it says,
    so of it only that is tried."""
    for kind in KINDS:
        for step in _steps(kind):
            if kind != _WITH_RETRIES or step.is_said:
                yield from _of(kind, step, ("api", "gateway"), websockets=True)
        for step in _narrow_steps(kind):
            yield from _of(kind, step, ("api",), websockets=False)


def _of(kind: str, step: Step, functions: tuple[str, ...], *, websockets: bool) -> Iterator[Case]:
    for function in functions:
        yield Case(kind, step, Harm.WAITS, function, websockets=websockets)
    yield Case(kind, step, Harm.IS_CUT, step.function, websockets=websockets)
    for write in step.writes:
        for harm in (Harm.IS_UNDONE, Harm.IS_UNANSWERED):
            yield Case(kind, step, harm, step.function, write, websockets)
