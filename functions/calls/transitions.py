"""The table of transitions: who may cause which, what it makes of a call, and who is told what."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from functions.calls.call import CallId, Party, Status

REASON_LIMIT = 200  # characters

_CALLER = frozenset({Party.CALLER})
_RECEIVER = frozenset({Party.RECEIVER})


class Whom(StrEnum):
    """Who is told of a transition, seen from its sender or from the call."""

    OTHER_PARTY = "other party"
    CALLER = "caller"
    RECEIVER = "receiver"


class Push(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a recipient's devices get by FCM: a message of this `type`, with a `reason` or none."""

    type: str
    with_reason: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """What one party is told of a transition: an event by its sockets, a message by FCM if any."""

    whom: Whom
    event: str
    true_while: tuple[Status, ...]  # an event that comes late is told only if the call stands so
    push: Push | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """One row: `signal`, sent by one of `senders`, takes a call `from_status` to `to_status`."""

    signal: str
    senders: frozenset[Party]
    from_status: Status
    to_status: Status
    notices: tuple[Notice, ...]
    default_reason: str


@dataclass(frozen=True, slots=True)
class Signal:
    """What a client asks of a call, already checked."""

    name: str  # one of `SIGNALS`
    call_id: CallId
    # At most `REASON_LIMIT` characters, none of them a control character; None where the client
    # gave none: the transition has a default.
    reason: str | None


TRANSITIONS = (
    Transition(
        signal="call:cancel",
        senders=_CALLER,
        from_status=Status.RINGING,
        to_status=Status.CANCELLED,
        notices=(
            Notice(
                Whom.RECEIVER,
                "call:cancelled",
                true_while=(Status.CANCELLED,),
                push=Push("call_cancelled"),
            ),
        ),
        default_reason="Caller cancelled",
    ),
    Transition(
        signal="call:reject",
        senders=_RECEIVER,
        from_status=Status.RINGING,
        to_status=Status.REJECTED,
        notices=(
            Notice(
                Whom.CALLER,
                "call:rejected",
                true_while=(Status.REJECTED,),
                push=Push("call_rejected", with_reason=True),
            ),
        ),
        default_reason="User declined",
    ),
    Transition(
        signal="call:accept",
        senders=_RECEIVER,
        from_status=Status.RINGING,
        to_status=Status.ACCEPTED,
        notices=(Notice(Whom.CALLER, "call:accepted", true_while=(Status.ACCEPTED,)),),
        default_reason="User accepted",
    ),
)

SIGNALS = tuple(dict.fromkeys(row.signal for row in TRANSITIONS))


def transitions_of(signal: str) -> Iterator[Transition]:
    """The rows that a signal can cause, in the order of the table."""
    return (row for row in TRANSITIONS if row.signal == signal)
