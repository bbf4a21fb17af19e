"""The table of signals: who may send which, what it makes of a call, and who is told."""

from dataclasses import dataclass
from types import MappingProxyType

from functions.calls.call import CallId, Party, Status

REASON_LIMIT = 200  # characters


@dataclass(frozen=True, slots=True)
class Push:
    """What phones get by FCM."""

    type: str
    with_reason: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: a `signal` from `sender` takes a ringing call to `to` and tells `tells`."""

    signal: str
    sender: Party
    to: Status
    tells: Party
    event: str  # what the told party's sockets get
    true_while: frozenset[Status]  # what comes late is told only if the call still stands so
    push: Push | None  # what the told party's phones get by FCM, if anything
    default_reason: str


_ROWS = (
    Rule(
        signal="call:cancel",
        sender=Party.CALLER,
        to=Status.CANCELLED,
        tells=Party.RECEIVER,
        event="call:cancelled",
        true_while=frozenset({Status.CANCELLED}),
        push=Push("call_cancelled"),
        default_reason="Caller cancelled",
    ),
    Rule(
        signal="call:reject",
        sender=Party.RECEIVER,
        to=Status.REJECTED,
        tells=Party.CALLER,
        event="call:rejected",
        true_while=frozenset({Status.REJECTED}),
        push=Push("call_rejected", with_reason=True),
        default_reason="User declined",
    ),
    Rule(
        signal="call:accept",
        sender=Party.RECEIVER,
        to=Status.ACCEPTED,
        tells=Party.CALLER,
        event="call:accepted",
        true_while=frozenset({Status.ACCEPTED}),
        push=None,
        default_reason="User accepted",
    ),
)

RULES = MappingProxyType({rule.signal: rule for rule in _ROWS})
EVENTS = frozenset(rule.event for rule in _ROWS)
PUSHES = MappingProxyType({rule.event: rule.push for rule in _ROWS if rule.push})
TRUE_WHILE = MappingProxyType({rule.event: rule.true_while for rule in _ROWS})


@dataclass(frozen=True, slots=True)
class Signal:
    """What a client asks of a call, already checked."""

    rule: Rule
    call_id: CallId
    reason: str  # never empty, at most `REASON_LIMIT` characters, without control characters
