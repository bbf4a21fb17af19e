"""The functions as they are deployed: instances of each, which handle requests and may die."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from functions import deliver, gateway, push, ring, sweep
from functions.calls.call import ConnectionId, SignalId
from functions.calls.event import CallEvent, Recipient
from functions.clients.device import Device
from functions.inbound.http import Handler
from functions.ports.push_sender import PushOutcome
from functions.published import Published
from functions.scheduled import Scheduled
from functions.settings import (
    DeliverSettings,
    GatewaySettings,
    PushSettings,
    RingSettings,
    SweepSettings,
    load,
)
from tests.memory.database import Database
from tests.memory.others import (
    MemoryIdentity,
    MemoryPublisher,
    MemoryPushSender,
    MemoryScheduler,
    MemorySockets,
)
from tests.memory.store import memory_store
from tests.simulation.handling import Handling, Harm, current
from tests.simulation.network import Line
from tests.simulation.stage import Stage
from tests.simulation.weather import Weather

SECRET = "the secret of API Gateway"
_ENVIRON = {
    "GOOGLE_CLOUD_PROJECT": "simulation",
    "CONNECTIONS_URL": "http://simulation/@connections",
    "GATEWAY_SECRET": SECRET,
    "TASKS_QUEUE": "projects/simulation/locations/us-east1/queues/rings",
    "TASKS_URL": "http://simulation/tasks",
    "TASKS_SERVICE_ACCOUNT": "tasks@simulation.iam.gserviceaccount.com",
    "CLOUD_TASKS_EMULATOR_HOST": "simulation:1",
    "CALLS_PER_MINUTE": "1000",  # so that nobody is refused for having called too often
}
_GATEWAY = load(GatewaySettings, _ENVIRON)
_DELIVER = load(DeliverSettings, _ENVIRON)
_PUSH = load(PushSettings, _ENVIRON)
_RING = load(RingSettings, _ENVIRON)
_SWEEP = load(SweepSettings, _ENVIRON)
_INSTANCES = {"gateway": 2, "deliver": 2, "push": 2, "ring": 2, "sweep": 1}

Answer = Callable[[Response | None], None]


@dataclass(frozen=True)
class Services:
    """What the functions call."""

    database: Database
    topic: Callable[[Published], None]
    queue: Callable[[Scheduled, datetime], None]
    client: Callable[[ConnectionId, str], int]
    closed: Callable[[ConnectionId], int]
    phone: Callable[[Device, CallEvent, Recipient], PushOutcome]


class Instance:
    """One process that handles requests of one function, all at the same time."""

    def __init__(self, function: str, stage: Stage, weather: Weather, services: Services) -> None:
        self.function = function
        self._stage = stage
        self._line = Line(stage, weather, self.die)
        self._handler = _handler(function, self._line, services, stage)
        self._tasks: dict[asyncio.Task[Response], Handling] = {}

    @property
    def is_dead(self) -> bool:
        return self._line.is_dead

    @property
    def is_busy(self) -> bool:
        return bool(self._tasks)

    def handle(self, handling: Handling, request: Request, answer: Answer) -> None:
        """`answer` is called with the response, or with none if the instance dies over it."""
        handling.began = self._stage.now
        token = current.set(handling)
        task = self._stage.loop.create_task(_handled(self._handler, request))
        current.reset(token)
        self._tasks[task] = handling

        def end(task: asyncio.Task[Response]) -> None:
            del self._tasks[task]
            handling.ended = self._stage.now
            response = None if task.cancelled() else task.result()
            handling.status = response.status_code if response else None
            answer(response)

        task.add_done_callback(end)

    def die(self) -> None:
        if self.is_dead:
            return
        self._line.is_dead = True
        self._stage.say("***", self.function, "dies over", *self._tasks.values())
        for task, handling in self._tasks.items():
            handling.harms.append(Harm(self._stage.now, "killed"))
            task.cancel()


class Functions:
    """All instances; for one that has died there is another at once."""

    def __init__(self, stage: Stage, weather: Weather, services: Services) -> None:
        self._stage = stage
        self._weather = weather
        self._services = services
        self._instances = {
            function: [self._instance(function) for _ in range(count)]
            for function, count in _INSTANCES.items()
        }
        self.handlings: list[Handling] = []

    def call(
        self,
        handling: Handling,
        headers: Mapping[str, str],
        body: bytes,
        answer: Answer,
        path: str = "/",
    ) -> None:
        self.handlings.append(handling)
        instance = self._one_of(handling.function)
        instance.handle(handling, _request(path, headers, body), answer)

    def kill(self, function: str) -> None:
        self._one_of(function).die()

    def is_busy(self, function: str) -> bool:
        return any(instance.is_busy for instance in self._instances[function])

    def _one_of(self, function: str) -> Instance:
        instances = self._instances[function]
        number = int(self._stage.dice.random() * len(instances))
        if instances[number].is_dead:
            instances[number] = self._instance(function)
        return instances[number]

    def _instance(self, function: str) -> Instance:
        return Instance(function, self._stage, self._weather, self._services)


async def _handled(handler: Handler, request: Request) -> Response:
    return await handler(request)


def _request(path: str, headers: Mapping[str, str], body: bytes) -> Request:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": path, "headers": raw}, receive)


def _handler(function: str, line: Line, services: Services, stage: Stage) -> Handler:
    """As its entry puts it together."""
    store = memory_store(services.database, line)
    sockets = MemorySockets(line, services.client, services.closed)
    publisher = MemoryPublisher(line, services.topic)
    clock = stage.loop.now
    match function:
        case "gateway":
            return gateway.handler(
                _GATEWAY, store, sockets, publisher, MemoryIdentity(), clock, lambda: _id(stage)
            )
        case "deliver":
            return deliver.handler(_DELIVER, store, sockets, clock)
        case "push":
            phones = MemoryPushSender(line, lambda *sent: services.phone(*sent[:3]))
            return push.handler(_PUSH, store, phones, publisher, clock)
        case "ring":
            queue = MemoryScheduler(line, services.queue)
            return ring.handler(_RING, store, sockets, publisher, queue, clock, lambda: _id(stage))
        case _:
            return sweep.handler(_SWEEP, store, sockets, publisher, clock)


def _id(stage: Stage) -> SignalId:
    """Known to be the signal of the frame, or the task, that is being handled."""
    said = current.get().said
    id = SignalId(f"signal{said.number}")
    said.signal_id = id
    return id
