"""What `gateway` and `api` share: it carries out signals, has calls ring and registers devices."""

from dataclasses import dataclass

from functions.calls.transitions import PushPolicy
from functions.delivery.commit import Committer
from functions.delivery.initiating import Initiating
from functions.delivery.ringing import Ringing, RingRules
from functions.delivery.signaling import Signaling
from functions.inbound.rate import CallRate
from functions.ports.clock import Clock
from functions.ports.publisher import Publisher
from functions.ports.sockets import Sockets
from functions.ports.store import Store
from functions.sessions.registration import Registration
from functions.settings import CallingSettings
from functions.wire.codecs import Codecs


@dataclass(frozen=True, slots=True)
class Calling:
    """The shared parts of one function."""

    codecs: Codecs
    signaling: Signaling
    ringing: Ringing
    initiating: Initiating
    registration: Registration


def calling(
    settings: CallingSettings,
    store: Store,
    sockets: Sockets,
    publisher: Publisher,
    clock: Clock,
    *,
    notes_callers: bool = False,
) -> Calling:
    """Puts the parts together. If it `notes_callers`, a connection says which calls it began."""
    codecs, timeout = Codecs(settings.dialect), settings.direct_post_timeout
    committer = Committer(store, sockets, codecs, publisher, clock, direct_post_timeout=timeout)
    pushes = PushPolicy.named(**settings.pushers)
    rules = RingRules(
        pushes,
        settings.call_ttl,
        settings.busy,
        settings.call_max,
        CallRate(settings.calls_per_minute, clock).allows if settings.calls_per_minute else None,
    )
    ringing = Ringing(store, committer, clock, rules)
    initiating = Initiating(
        store.calls,
        ringing,
        sockets,
        codecs,
        settings.dialect,
        ring_seconds=settings.ring_seconds,
        notes_callers=notes_callers,
        post_timeout=timeout,
    )
    return Calling(
        codecs,
        Signaling(store.calls, committer, clock, pushes),
        ringing,
        initiating,
        Registration(
            store.connections,
            store.devices,
            clock,
            settings.device_ttl,
            settings.devices_per_user,
        ),
    )
