"""A client's connection, as its document describes it."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from functions.calls.call import Actor, CallId, ConnectionId, SignalId, UserId
from functions.clients.profile import NO_PROFILE, Profile

ROOT = "/"  # the namespace of who names none

# API Gateway answers 410 for a new connection too, until `$connect` is answered: 29 s at most.
_HANDSHAKE = timedelta(seconds=30)
_NOWHERE: Mapping[str, datetime | None] = MappingProxyType({})
_LONG_AGO = datetime.fromtimestamp(0, UTC)


class NotUpgraded(Exception):
    """The client has not said yet, as far as we know, that it goes on by this WebSocket. As it
    sends by it, it has: what it said is being handled, or is on its way."""


class Wire(StrEnum):
    """How a connection's frames are written."""

    JSON = "json"
    EIO3 = "eio3"  # Socket.IO v2: Engine.IO protocol 3
    EIO4 = "eio4"  # Socket.IO v3 and v4: Engine.IO protocol 4


@dataclass(frozen=True, slots=True)
class BegunRing:
    """A ring that was initiated by a connection: the signal by which, and until when it rings."""

    signal_id: SignalId
    rings_until: datetime


_NO_RINGS: Mapping[CallId, BegunRing] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Connection:
    """One client's connection. `owner` is the user who sends its frames, and `user` is the user who
    is told by it. A goodbye removes `user` and keeps `owner`, so that what was sent before still
    counts."""

    id: ConnectionId
    user: UserId | None  # None until a Socket.IO client is admitted, and after a goodbye
    wire: Wire
    connected_at: datetime
    expires_at: datetime
    is_open: bool = True  # False until a Socket.IO client has had its open packet
    # From a Socket.IO client's handshake: the user of its token, the user it said it was, and
    # why the token was refused. They count once the client asks to be admitted. Once somebody else
    # is admitted, the first two are forgotten: the socket is not closed when that user is signed
    # out, so he must not come back by it.
    shown_user: UserId | None = None
    shown_profile: Profile = NO_PROFILE
    said_user: str | None = None
    refusal: str | None = None
    namespace: str = ROOT  # in which a Socket.IO client is told, as it was admitted to it last
    # The other namespaces that it is in, each with the time when API Gateway got its CONNECT.
    also_in: Mapping[str, datetime | None] = field(default_factory=lambda: _NOWHERE)
    owner: UserId | None = None  # None until a Socket.IO client is admitted
    profile: Profile = NO_PROFILE  # the owner's, as the token said that admitted him
    former_owner: UserId | None = None  # the user who sent the frames before `admitted_at`
    former_left_at: datetime | None = None  # when the former owner said goodbye, if he did
    admitted_at: datetime | None = None  # when API Gateway got the CONNECT that admitted it
    closed_at: datetime | None = None  # when the goodbye or `$disconnect` was handled
    left_at: datetime | None = None  # when API Gateway got the packet by which it said goodbye
    admit_by: datetime | None = None  # until then it must be admitted; None if it has been
    # On which of its user's devices it is: by the app's own name, and as what it has registered.
    device: str | None = None
    registration: str | None = None
    # The calls that were initiated by it.
    calling: Mapping[CallId, BegunRing] = field(default_factory=lambda: _NO_RINGS)
    # Of who was let in by a ring token: the one call that he hears of.
    only_call: CallId | None = None
    # A Socket.IO client that polls has a session, which a WebSocket takes over once the client says
    # so: until then the socket `upgrades` it. Then one says from which, and the other to which.
    upgrades: ConnectionId | None = None
    upgraded_from: ConnectionId | None = None
    upgraded_to: ConnectionId | None = None
    upgrade_id: str | None = None  # whoever has upgraded it knows by this that it was he
    # Since when at least the session that it has taken over was its user's, unless he was admitted
    # again since.
    told_since: datetime | None = None
    version: datetime | None = field(default=None, compare=False)  # of the document that was read

    def hears_of(self, call: CallId) -> bool:
        return self.only_call in (None, call)

    def is_among(self, ids: Container[ConnectionId | None]) -> bool:
        """Whether it is one of these, or was one before its client upgraded."""
        return self.id in ids or (self.upgraded_from is not None and self.upgraded_from in ids)

    def taking_over(
        self, session: "Connection", upgrade_id: str, admit_by: datetime
    ) -> "Connection":
        """The same once its client has upgraded `session` to it; one that is nobody's must be
        admitted until `admit_by`. API Gateway's clock, which tells the order of a socket's frames,
        is not that of the session, so nothing is said here of when its client was admitted."""
        return replace(
            session,
            id=self.id,
            connected_at=self.connected_at,
            expires_at=self.expires_at,
            version=self.version,
            also_in=dict.fromkeys(session.also_in),
            owner=session.user,
            former_owner=None,
            former_left_at=None,
            admitted_at=None,
            closed_at=None,
            left_at=None,
            admit_by=None if session.user else admit_by,
            upgraded_from=session.id,
            upgrade_id=upgrade_id,
            told_since=session.version,
        )

    def is_told_elsewhere(self, namespace: str) -> bool:
        """Whether its client is told, but in another namespace than this."""
        return self.user is not None and namespace != self.namespace

    def entered_at(self, namespace: str) -> datetime | None:
        """When API Gateway got the CONNECT by which its client is in `namespace`."""
        return self.admitted_at if namespace == self.namespace else self.also_in.get(namespace)

    def entering(self, namespace: str, received_at: datetime | None) -> "Connection":
        """The same with its client in `namespace` as well, by a CONNECT that came at `received_at`.

        It is told where it entered last. Yet clients of version 2 enter the root by themselves, so
        who enters that besides stays told in its own.
        """
        if not self.is_told_elsewhere(namespace):
            also_in = self.also_in if self.user else _NOWHERE
            return replace(self, namespace=namespace, also_in=also_in, admitted_at=received_at)
        was_before = received_at and self.admitted_at and received_at < self.admitted_at
        if namespace == ROOT or was_before:
            return replace(self, also_in={**self.also_in, namespace: received_at})
        also_in = {**_without(self.also_in, namespace), self.namespace: self.admitted_at}
        return replace(self, namespace=namespace, also_in=also_in, admitted_at=received_at)

    def leaving(self, namespace: str) -> "Connection | None":
        """The same without `namespace`; None if its client is in no other. Who leaves the one in
        which it is told is told in the one that it entered before."""
        others = _without(self.also_in, namespace)
        if namespace != self.namespace:
            return replace(self, also_in=others)
        if not others:
            return None
        latest = max(others, key=lambda each: (each != ROOT, others[each] or _LONG_AGO))
        also_in = _without(others, latest)
        return replace(self, namespace=latest, also_in=also_in, admitted_at=others[latest])

    def shows_another_than(self, user: UserId) -> bool:
        """Whether the handshake has shown somebody else's token."""
        return self.shown_user not in (None, user)

    def check_upgraded(self) -> None:
        """Raises NotUpgraded."""
        if self.upgrades:
            raise NotUpgraded(self.upgrades)

    def sender(self, received_at: datetime | None) -> UserId | None:
        """The user whose frame API Gateway got at `received_at`, or None if the frame is nobody's.

        A goodbye or a CONNECT may be handled before a frame that was sent earlier, so the times
        decide. If a time is not known, the frame is the owner's. So is a frame that is handled
        after `$disconnect`, as it was sent before.
        """
        if received_at is None:
            return self.owner
        if self.admitted_at and received_at <= self.admitted_at:
            former = self._former_sender(received_at)
            # In the same millisecond it is the former owner's rather than the new one's: a client
            # sends nothing more until its CONNECT is answered.
            if former or received_at < self.admitted_at:
                return former
        return None if self.left_at and received_at > self.left_at else self.owner

    def _former_sender(self, received_at: datetime) -> UserId | None:
        is_after_goodbye = self.former_left_at and received_at > self.former_left_at
        return None if is_after_goodbye else self.former_owner

    def acting(self, said: Actor) -> Actor:
        """By what the sender of a frame acts, which itself may have `said` on which device."""
        # A ring token says for certain on which device it is.
        named = (self.device, said.device) if self.only_call else (said.device, self.device)
        device = next(filter(None, named), None)
        return Actor(self.id, device, said.registration or self.registration)

    def is_dead(self, now: datetime) -> bool:
        """Whether a 410 at `now` means that the socket is closed, rather than not open yet."""
        return now - self.connected_at > _HANDSHAKE


def _without(namespaces: Mapping[str, datetime | None], left: str) -> Mapping[str, datetime | None]:
    return {name: at for name, at in namespaces.items() if name != left}
