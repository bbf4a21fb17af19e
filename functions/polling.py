"""What `api` has for clients that poll."""

from functions.framing import Framing
from functions.heartbeats import timers_of
from functions.inbound.polling import PollingRequests
from functions.inbound.rate import FrameRate
from functions.ports.clock import Clock
from functions.ports.publisher import Publisher
from functions.ports.store import Store
from functions.sessions.polling import Polling
from functions.settings import ApiSettings

# Of one session. A client polls again at once, and is given what waits without being held.
_POLLS_PER_SECOND = 40


def polling(
    settings: ApiSettings, store: Store, publisher: Publisher, clock: Clock, framed: Framing
) -> PollingRequests:
    """Puts the parts together."""
    sessions = Polling(
        store.polls,
        framed.acceptance,
        publisher,
        clock,
        timers_of(settings),
        hold=settings.poll_hold,
        session_ttl=settings.connection_ttl,
    )
    rate = FrameRate(_POLLS_PER_SECOND)
    return PollingRequests(sessions, framed.frames, framed.sessions, rate, framed.load, clock)
