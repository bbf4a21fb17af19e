"""The event of a committed transition: what is kept in the outbox and published."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self, TypeVar

import msgspec

from functions.calls.call import (
    NOBODYS,
    Actor,
    Call,
    CallId,
    Cause,
    ConnectionId,
    SignalId,
    Status,
    UserId,
    names_document,
)
from functions.calls.transitions import (
    INCOMING,
    Notice,
    Push,
    PushedBy,
    PushPolicy,
    Signal,
    Transition,
    Whom,
)

# An event may be told until the ring would have ended by itself, or for `_LIFE` if nobody knows
# when that is. A later event would silence the ring of the next call on an app that does not
# compare call ids.
_LIFE = timedelta(seconds=30)
_SHORTEST_LIFE = timedelta(seconds=20)  # a phone that is just waking up must still get the event
LONGEST_LIFE = timedelta(seconds=120)  # no phone rings for longer, whatever a document says

_OURS = PushPolicy()
_Read = TypeVar("_Read")
_EPOCH = datetime.fromtimestamp(0, UTC)
UnixMs = Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800_000)]  # up to the year 9999


class MalformedEvent(ValueError):
    """The data is not one of our events, so no retry can help."""

    @classmethod
    def of(cls, error: Exception) -> Self:
        """The error with msgspec's message, without a value that it quotes: it will be logged."""
        said = str(error)
        is_quoting = said.startswith("Invalid")
        return cls(f"invalid value{said[said.rfind(' - at ') :]}" if is_quoting else said)


def decoded(decoder: msgspec.json.Decoder[_Read], data: bytes) -> _Read:
    """What `data` say. Raises MalformedEvent."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedEvent.of(error) from error


class Recipient(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A user who is to be told of a transition; the other fields are those of his `Notice`."""

    user_id: UserId
    event: str
    true_while: tuple[Status, ...]
    push: Push | None = None
    reason: str | None = None
    cause: Cause | None = None
    is_elsewhere: bool = False
    # He would have a push, but on which of his devices he acted is not known, so it may be any.
    is_withheld: bool = False


class CallEvent(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="name", tag="call.changed"
):
    """A call's status has changed, and `recipients` are to be told."""

    signal_id: SignalId
    call_id: CallId
    status: Status  # the call's new status
    previous_status: Status | None  # None for a call that begins to ring
    caller_id: UserId
    receiver_id: UserId
    by: UserId | None  # the party whose doing it is; None if the ring's time was over
    # By what that party acted, as in `Actor`.
    by_connection: ConnectionId | None = None
    on_device: str | None = None
    on_registration: str | None = None
    recipients: Annotated[tuple[Recipient, ...], msgspec.Meta(min_length=1)]  # no user twice
    timestamp: UnixMs  # when the server decided
    expires_at_ms: UnixMs = msgspec.field(name="expiresAt")  # nobody is told from then on
    cause: Cause | None = None
    reason: str | None = None  # None only for a call that begins to ring
    # Of a call that begins to ring: until when it does, and what the app passes on, an object in
    # JSON.
    rings_until_ms: UnixMs | None = msgspec.field(name="ringsUntil", default=None)
    data: str | None = None
    # The connections that have the event already; None on a copy from the outbox, whose publisher
    # can't know.
    served: tuple[ConnectionId, ...] | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for an event that no handler could ever finish."""
        if not names_document(self.call_id):
            raise ValueError("callId names no document")
        if not names_document(self.signal_id):
            raise ValueError("signalId names no document")

    @classmethod
    def of(
        cls,
        call: Call,
        transition: Transition,
        signal: Signal,
        sender: UserId | None,
        signal_id: SignalId,
        now: datetime,
        pushes: PushPolicy = _OURS,
    ) -> Self:
        """The event of `transition`, which `signal` of `sender` causes; `call` is as it was. Its
        time is later than that of the call's last change, even by a clock that is behind."""
        by = signal.by
        notices = [
            each for each in transition.notices if signal.tells_elsewhere or not each.is_elsewhere
        ]
        if call.changed_at:
            now = max(now, call.changed_at + timedelta(milliseconds=1))
        return cls(
            signal_id=signal_id,
            call_id=call.id,
            status=transition.to_status,
            previous_status=call.status,
            caller_id=call.caller,
            receiver_id=call.receiver,
            by=sender,
            by_connection=by.connection,
            on_device=by.device,
            on_registration=by.registration,
            recipients=_recipients(call, notices, sender, by, pushes),
            timestamp=unix_ms(now),
            expires_at_ms=unix_ms(_expiry(call, now)),
            cause=transition.cause,
            reason=signal.reason or transition.default_reason,
        )

    @classmethod
    def of_ring(
        cls,
        call: Call,
        signal_id: SignalId,
        now: datetime,
        pushes: PushPolicy = _OURS,
        by: Actor = NOBODYS,
    ) -> Self:
        """The event of a `call` that begins to ring."""
        return cls(
            signal_id=signal_id,
            call_id=call.id,
            status=Status.RINGING,
            previous_status=None,
            caller_id=call.caller,
            receiver_id=call.receiver,
            by=call.caller,
            by_connection=by.connection,
            on_device=by.device,
            on_registration=by.registration,
            recipients=_recipients(call, (INCOMING,), call.caller, NOBODYS, pushes),
            timestamp=unix_ms(now),
            expires_at_ms=unix_ms(_expiry(call, now)),
            rings_until_ms=unix_ms(call.rings_until) if call.rings_until else None,
            data=call.data,
        )

    def served_to(self, connections: Iterable[ConnectionId] | None) -> Self:
        """The event as it is published once `connections` have it; None if nobody knows who has."""
        served = None if connections is None else tuple(connections)
        return msgspec.structs.replace(self, served=served)

    def only_for(self, recipients: Iterable[Recipient]) -> Self:
        """The same event, for these `recipients` alone."""
        return msgspec.structs.replace(self, recipients=tuple(recipients))

    def recipient(self, user: UserId | None) -> Recipient | None:
        """The one of `recipients` who is `user`, or None if he is not to be told."""
        return next((each for each in self.recipients if each.user_id == user), None)

    @property
    def actor(self) -> Actor:
        """By what the party acted whose doing it is."""
        return Actor(self.by_connection, self.on_device, self.on_registration)

    def reason_for(self, recipient: Recipient) -> str | None:
        return recipient.reason or self.reason

    def cause_for(self, recipient: Recipient) -> Cause | None:
        return recipient.cause or self.cause

    @property
    def users(self) -> tuple[UserId, ...]:
        """The users who are to be told."""
        return tuple(recipient.user_id for recipient in self.recipients)

    @property
    def push_recipients(self) -> tuple[Recipient, ...]:
        """The recipients who are to be told by FCM too, by us."""
        return self._pushed_by(PushedBy.UNRING)

    @property
    def backend_recipients(self) -> tuple[Recipient, ...]:
        """The recipients who are to be told by FCM too, by the app's backend."""
        return self._pushed_by(PushedBy.BACKEND)

    @property
    def withheld_recipients(self) -> tuple[Recipient, ...]:
        """The recipients whose phones are not pushed, as nobody knows on which they acted."""
        return tuple(each for each in self.recipients if each.is_withheld)

    def elsewhere(self, users: Iterable[UserId | None]) -> int:
        """How many of `users`, to each of whom something of his belongs, are told elsewhere than
        where they acted."""
        found = map(self.recipient, users)
        return sum(1 for each in found if each and each.is_elsewhere)

    def _pushed_by(self, by: PushedBy) -> tuple[Recipient, ...]:
        return tuple(each for each in self.recipients if each.push and each.push.by is by)

    @property
    def decided_at(self) -> datetime:
        """`timestamp` in UTC."""
        return datetime.fromtimestamp(self.timestamp / 1000, UTC)

    @property
    def expires_at(self) -> datetime:
        """`expires_at_ms` in UTC."""
        return datetime.fromtimestamp(self.expires_at_ms / 1000, UTC)

    @property
    def rings_until(self) -> datetime | None:
        """`rings_until_ms` in UTC."""
        ends = self.rings_until_ms
        return None if ends is None else datetime.fromtimestamp(ends / 1000, UTC)

    @property
    def holds_until(self) -> datetime:
        """Until when it is of use to a phone that is asleep: a ring until it ends by itself, which
        may be before its event expires; all else, and a ring of which nobody knows that, until
        then."""
        return self.rings_until or self.expires_at

    def expired(self, now: datetime) -> bool:
        return self.expires_at <= now

    def still_true(self, call: Call | None) -> tuple[Recipient, ...]:
        """The recipients for whom the event still holds, as `call` stands now.

        A call that is gone or can't be read (None) does not disprove the event. Nor does a call
        without a `signal_id`: whoever wrote it last may have left out ours.
        """
        if call is None:
            return self.recipients
        if call.status is self.status and call.signal_id not in (None, self.signal_id):
            return ()  # the call rang again, and came to the same end
        return tuple(each for each in self.recipients if call.status in each.true_while)


def to_fields(event: CallEvent) -> dict[str, object]:
    """The event as a Firestore map."""
    fields: dict[str, object] = msgspec.to_builtins(event)
    return fields


def from_fields(fields: object) -> CallEvent:
    """Reads `to_fields` back. Raises MalformedEvent."""
    try:
        return msgspec.convert(fields, CallEvent)
    except msgspec.ValidationError as error:
        raise MalformedEvent.of(error) from error


def _recipients(
    call: Call, notices: Iterable[Notice], sender: UserId | None, by: Actor, pushes: PushPolicy
) -> tuple[Recipient, ...]:
    """The recipients, no user twice: one who calls himself gets the first notice for him."""
    users: dict[UserId, Recipient] = {}
    for notice in notices:
        user = _user(call, notice.whom, sender)
        push = pushes.applied_to(notice.push)
        # Where it isn't known which of his devices he acted on, it might be any of them.
        is_withheld = bool(push and notice.is_elsewhere and not _is_known_to(push.by, by))
        found = Recipient(
            user,
            notice.event,
            notice.true_while,
            None if is_withheld else push,
            notice.reason,
            notice.cause,
            notice.is_elsewhere,
            is_withheld,
        )
        users.setdefault(user, found)
    return tuple(users.values())


def _is_known_to(pusher: PushedBy, by: Actor) -> bool:
    """Whether he who pushes can tell the device on which somebody acted from his others. The app's
    backend has the app's names alone."""
    return by.is_known if pusher is PushedBy.UNRING else by.device is not None


def _user(call: Call, whom: Whom, sender: UserId | None) -> UserId:
    match whom:
        case Whom.CALLER:
            return call.caller
        case Whom.RECEIVER:
            return call.receiver
        case Whom.OTHER_PARTY:
            return call.receiver if sender == call.caller else call.caller


def _expiry(call: Call, now: datetime) -> datetime:
    # `rings_until` belongs to the ring: it means nothing for a call that has stopped ringing.
    ends = call.rings_until if call.status is Status.RINGING else None
    return min(max(ends or now + _LIFE, now + _SHORTEST_LIFE), now + LONGEST_LIFE)


def unix_ms(moment: datetime) -> int:
    """Whole milliseconds since the epoch, without the rounding of a float."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
