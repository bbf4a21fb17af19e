"""The heartbeats that the settings ask for, of each Socket.IO wire."""

from functions.clients.connection import Wire
from functions.sessions.open import Timers
from functions.settings import TimerSettings


def timers_of(settings: TimerSettings) -> dict[Wire, Timers]:
    return {
        Wire.EIO3: Timers(settings.eio3_ping_interval, settings.eio3_ping_timeout),
        Wire.EIO4: Timers(settings.eio4_ping_interval, settings.eio4_ping_timeout),
    }
