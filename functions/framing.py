"""What `gateway` and `api` share beside calls: frames of clients, and the sessions they are in."""

from collections.abc import Callable
from dataclasses import dataclass

from functions.calling import Calling, calling
from functions.calls.call import ConnectionId, SignalId
from functions.delivery.relay import Relaying
from functions.inbound.frames import Frames
from functions.inbound.load import Load
from functions.inbound.rate import FrameRate
from functions.inbound.sessions import Sessions
from functions.ports.clock import Clock
from functions.ports.identity import Identity
from functions.ports.publisher import Publisher
from functions.ports.ring_tokens import RingTokens
from functions.ports.sockets import Sockets
from functions.ports.store import Store
from functions.sessions.accept import Acceptance
from functions.sessions.admit import Admission
from functions.sessions.close import Closing
from functions.sessions.closed import publish_closed
from functions.sessions.ringaccess import RingAccess
from functions.sessions.upgrade import Upgrades
from functions.settings import SessionSettings


@dataclass(frozen=True, slots=True)
class Framing:
    """The shared parts of one function."""

    calling: Calling
    load: Load
    acceptance: Acceptance
    sessions: Sessions
    frames: Frames


def framing(
    settings: SessionSettings,
    store: Store,
    sockets: Sockets,
    publisher: Publisher,
    identity: Identity,
    tokens: RingTokens,
    clock: Clock,
    new_id: Callable[[], SignalId],
) -> Framing:
    """Puts the parts together."""
    has_grace = bool(settings.caller_grace)
    shared = calling(settings, store, sockets, publisher, clock, notes_callers=has_grace)
    load = Load(settings.requests_at_once)
    connections, ttl, dialect = store.connections, settings.connection_ttl, settings.dialect
    ring_access = RingAccess(tokens, store.calls, clock)
    closing = Closing(connections, sockets, clock)
    acceptance = Acceptance(connections, publisher, identity, ring_access, clock, ttl)

    async def tell_closed(id: ConnectionId) -> None:
        await publish_closed(publisher, id, clock())

    told = tell_closed if has_grace else None
    upgrades = Upgrades(connections, store.polls, sockets, clock, ttl, told)
    frames = Frames(
        shared.codecs,
        shared.signaling,
        shared.initiating,
        Relaying(store, sockets, shared.codecs, clock, settings.direct_post_timeout),
        shared.registration,
        Admission(
            connections,
            publisher,
            identity,
            ring_access,
            closing,
            clock,
            ttl,
            dialect.namespaces,
        ),
        closing,
        upgrades,
        FrameRate(settings.frames_per_second),
        load,
        clock,
        new_id,
        dialect.ids,
    )
    sessions = Sessions(acceptance, closing, upgrades, load, told)
    return Framing(shared, load, acceptance, sessions, frames)
