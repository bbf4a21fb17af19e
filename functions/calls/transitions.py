"""The table of transitions: who may send which signal, what the call becomes, and who is told."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Self

import msgspec

from functions.calls.call import NOBODYS, Actor, CallId, Cause, Party, Status

REASON_LIMIT = 200  # characters

_CALLER = frozenset({Party.CALLER})
_RECEIVER = frozenset({Party.RECEIVER})
_EITHER = _CALLER | _RECEIVER


class Whom(Enum):
    """Who is told of a transition: a party of the call, or the one that did not send the signal."""

    OTHER_PARTY = auto()
    CALLER = auto()
    RECEIVER = auto()


class PushedBy(Enum):
    """Who sends a recipient's FCM message: we, or the app's backend, which a webhook asks to."""

    UNRING = "unring"
    BACKEND = "backend"


class Push(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The FCM message for a recipient's devices: its `type`, whether it has the `reason`, whether
    it makes the phone ring, and who sends it."""

    type: str
    with_reason: bool = False
    rings: bool = False
    by: PushedBy = PushedBy.UNRING


@dataclass(frozen=True, slots=True)
class PushPolicy:
    """Who sends the FCM messages of each type; None: nobody does."""

    incoming: PushedBy | None = PushedBy.UNRING
    cancelled: PushedBy | None = PushedBy.UNRING
    rejected: PushedBy | None = PushedBy.UNRING

    @classmethod
    def named(cls, *, incoming: str, cancelled: str, rejected: str) -> Self:
        """The policy by the names that settings have: those of PushedBy, or `off`."""
        return cls(_named(incoming), _named(cancelled), _named(rejected))

    def applied_to(self, push: Push | None) -> Push | None:
        """The push as it is to be sent, or None if none is."""
        if push is None:
            return None
        of_type = {
            "incoming_call": self.incoming,
            "call_cancelled": self.cancelled,
            "call_rejected": self.rejected,
        }
        by = of_type.get(push.type, PushedBy.UNRING)
        return msgspec.structs.replace(push, by=by) if by else None


NO_PUSHES = PushPolicy(incoming=None, cancelled=None, rejected=None)


@dataclass(frozen=True, slots=True)
class Notice:
    """What one party is told of a transition: an event by its sockets and, with `push`, by FCM."""

    whom: Whom
    event: str
    true_while: tuple[Status, ...]  # a late event is told only if the call stands so
    push: Push | None = None
    # What this party is told instead of the event's own reason and cause.
    reason: str | None = None
    cause: Cause | None = None
    is_elsewhere: bool = False  # told but where he acted: no phone is silenced by its own answer


@dataclass(frozen=True, slots=True)
class Transition:
    """A row: `signal`, sent by one of `senders`, takes a call `from_status` to `to_status`."""

    signal: str
    senders: frozenset[Party]
    from_status: Status
    to_status: Status
    notices: tuple[Notice, ...]
    default_reason: str
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """A client's request to change a call, already checked."""

    name: str  # one of `SIGNALS`, `ERASED` or `CALLER_GONE`
    call_id: CallId
    # At most `REASON_LIMIT` characters, none of them a control character; None if the client gave
    # no reason: then the transition's default is used.
    reason: str | None
    by: Actor = NOBODYS
    tells_elsewhere: bool = True  # whether the receiver's other devices hear of his answer


_CANCELLED = Push("call_cancelled")


def _elsewhere(reason: str, cause: Cause, true_while: tuple[Status, ...]) -> Notice:
    """The receiver's other devices are told to stop ringing."""
    return Notice(
        Whom.RECEIVER,
        "call:cancelled",
        true_while,
        push=_CANCELLED,
        reason=reason,
        cause=cause,
        is_elsewhere=True,
    )


_REJECTED = Notice(
    Whom.CALLER,
    "call:rejected",
    true_while=(Status.REJECTED,),
    push=Push("call_rejected", with_reason=True),
)
_CANCEL = Transition(
    signal="call:cancel",
    senders=_CALLER,
    from_status=Status.RINGING,
    to_status=Status.CANCELLED,
    notices=(
        Notice(
            Whom.RECEIVER,
            "call:cancelled",
            true_while=(Status.CANCELLED,),
            push=_CANCELLED,
        ),
    ),
    default_reason="Caller cancelled",
    cause=Cause.CALLER_CANCELLED,
)
_REJECT = Transition(
    signal="call:reject",
    senders=_RECEIVER,
    from_status=Status.RINGING,
    to_status=Status.REJECTED,
    notices=(
        _REJECTED,
        _elsewhere("Declined elsewhere", Cause.REJECTED_ELSEWHERE, (Status.REJECTED,)),
    ),
    default_reason="User declined",
    cause=Cause.REJECTED,
)

_END = Transition(
    signal="call:end",
    senders=_EITHER,
    from_status=Status.ACCEPTED,
    to_status=Status.ENDED,
    notices=(Notice(Whom.OTHER_PARTY, "call:ended", true_while=(Status.ENDED,)),),
    default_reason="Call ended",
    cause=Cause.ENDED,
)

TRANSITIONS = (
    _CANCEL,
    _REJECT,
    Transition(
        signal="call:accept",
        senders=_RECEIVER,
        from_status=Status.RINGING,
        to_status=Status.ACCEPTED,
        notices=(
            Notice(Whom.CALLER, "call:accepted", true_while=(Status.ACCEPTED,)),
            # Whoever talks has fallen silent, and a phone that still rings must do so even when the
            # talk is over.
            _elsewhere(
                "Answered elsewhere", Cause.ANSWERED_ELSEWHERE, (Status.ACCEPTED, Status.ENDED)
            ),
        ),
        default_reason="User accepted",
    ),
    # While the call rings, its end is the caller's cancel or the receiver's reject.
    replace(_CANCEL, signal="call:end"),
    replace(_REJECT, signal="call:end"),
    _END,
)

# A party is erased, and his calls end as by `call:end`. It was on none of his phones that he did
# so: those that ring are told to stop.
ERASED = "user:erased"
_SILENCE = Notice(Whom.RECEIVER, "call:cancelled", true_while=(Status.REJECTED,), push=_CANCELLED)
_OF_ERASURE = (
    replace(_CANCEL, signal=ERASED),
    replace(_REJECT, signal=ERASED, notices=(_REJECTED, _SILENCE)),
    replace(_END, signal=ERASED),
)

# The ring's own time is over. It is nobody's signal: `decide_timeout` decides on it.
TIMED_OUT = Transition(
    signal="ring:ended",
    senders=frozenset(),
    from_status=Status.RINGING,
    to_status=Status.MISSED,
    notices=(
        Notice(Whom.CALLER, "call:timeout", true_while=(Status.MISSED,)),
        Notice(
            Whom.RECEIVER,
            "call:cancelled",
            true_while=(Status.MISSED,),
            push=_CANCELLED,
            reason="Timeout",
        ),
    ),
    default_reason="No answer",
    cause=Cause.TIMEOUT,
)

# The caller has no connection any more, and is taken to have given up.
CALLER_GONE = "caller:gone"
_GONE = replace(
    _CANCEL, signal=CALLER_GONE, default_reason="Caller disconnected", cause=Cause.CALLER_GONE
)

# The beginning of a ring: whoever is called is told.
INCOMING = Notice(
    Whom.RECEIVER,
    "call:incoming",
    true_while=(Status.RINGING,),
    push=Push("incoming_call", rings=True),
)

# `call:cancel`, and `call:end`, which is the same while the call rings. They may overtake the ring
# that they are to end: then the call is born cancelled.
CANCELS = frozenset(row.signal for row in TRANSITIONS if row.to_status is Status.CANCELLED)

SIGNALS = tuple(dict.fromkeys(row.signal for row in TRANSITIONS))  # those that a client may send


def _named(by: str) -> PushedBy | None:
    return None if by == "off" else PushedBy(by)


def transitions_of(signal: str) -> Iterator[Transition]:
    """The rows of one signal, in the order of the table."""
    return (row for row in (*TRANSITIONS, *_OF_ERASURE, _GONE) if row.signal == signal)
