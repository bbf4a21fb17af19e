"""The world of one schedule, put together."""

from collections.abc import Callable
from random import Random

from functions.calls.call import CallId, Status
from functions.clients.connection import Wire
from functions.ports.store import StoredCall
from tests.memory.clock import PlayedTime
from tests.memory.database import Database
from tests.simulation.device import Devices
from tests.simulation.ends import Ends
from tests.simulation.functions import Functions, Services
from tests.simulation.gateway import ApiGateway
from tests.simulation.phone import Phone
from tests.simulation.pubsub import Scheduler, Topic
from tests.simulation.rings import Rings
from tests.simulation.stage import Stage
from tests.simulation.tasks import Queue
from tests.simulation.weather import Weather
from tests.simulation.witness import Witness

_REDIALS = 30  # of all apps together, so that an outage ends in peace
_LATEST = 13.0  # seconds after which nothing of what was given up is done any more


class World:
    def __init__(self, seed: int, loop: PlayedTime, dice: Random, weather: Weather) -> None:
        self.stage = Stage(seed, loop, dice)
        self.weather = weather
        self.devices = Devices(self.stage)
        self.phones: list[Phone] = []
        self.witness = Witness(self.stage, self.devices, self._committed_at, self.phones)
        calls = _Watched(self._changed)
        self.database = Database(loop.now, calls=calls)
        self.topic = Topic(self.stage, weather, lambda: self.functions)
        self.queue = Queue(self.stage, weather, lambda: self.functions)
        self.gateway = ApiGateway(self.stage, weather, lambda: self.functions)
        services = Services(
            self.database,
            self.topic.publish,
            self.queue.schedule,
            self.gateway.post,
            self.gateway.delete,
            self.witness.pushed,
        )
        self.functions = Functions(self.stage, weather, services)
        Scheduler(self.stage, self.functions, first=dice.uniform(0.0, 60.0))
        self._redials = 0

    def connect(self, user: str, wire: Wire, device: str | None) -> None:
        phone = Phone(self.stage, self.gateway, self.witness, user, wire, self._redial, device)
        self.phones.append(phone)

    def _redial(self, phone: Phone) -> None:
        self._redials += 1
        if self._redials <= _REDIALS:
            pause = self.stage.dice.uniform(0.2, 2.0)
            self.stage.later(pause, lambda: self.connect(phone.user, phone.wire, phone.device))

    def _changed(self, id: CallId, stored: StoredCall) -> None:
        self.witness.changed(id, stored, self.database.changed_by.get(id))

    def _committed_at(self, call: CallId, timestamp: int) -> str | None:
        events = [entry.event for entry in self.database.entries.values()]
        found = [e for e in events if (e.call_id, e.timestamp) == (call, timestamp)]
        return found[0].signal_id if found else None

    @property
    def is_still(self) -> bool:
        """Whether nothing will happen any more, as long as nobody does anything."""
        return not (
            self.stage.now < self.weather.heals + _LATEST
            or self.topic.under_way
            or self.queue.under_way
            or any(map(self.functions.is_busy, ("gateway", "deliver", "push", "ring")))
            or any(entry.pending_since for entry in self.database.entries.values())
            or any(each.call.is_ours for each in self.database.calls.values() if _rings(each))
        )

    def judge(self) -> None:
        ends = Ends(
            self.witness,
            self.phones,
            self.devices,
            self.database,
            self.topic,
            self.weather,
            self.functions.handlings,
            self.stage.looks,
            self.queue,
        )
        ends.judge()
        Rings(ends).judge()


def _rings(stored: StoredCall) -> bool:
    return stored.call.status is Status.RINGING


class _Watched(dict[CallId, StoredCall]):
    """Calls; `changed` is told of each write."""

    def __init__(self, changed: Callable[[CallId, StoredCall], None]) -> None:
        super().__init__()
        self._changed = changed

    def __setitem__(self, id: CallId, stored: StoredCall) -> None:
        super().__setitem__(id, stored)
        self._changed(id, stored)
