"""Pub/Sub and Cloud Scheduler: they deliver at least once, in any order, and call every minute."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response

from functions.calls.event import CallEvent
from functions.published import ConnectionClosed, DeviceGone, Published, attributes
from functions.scheduled import RingEnds
from tests.simulation.due import Due
from tests.simulation.functions import Functions
from tests.simulation.handling import Handling, Harm
from tests.simulation.stage import Stage
from tests.simulation.weather import Weather
from tests.support.asgi import envelope

_ATTEMPTS = 10
_BACK_OFF = (1.0, 10.0)  # seconds, at least and at most
_DEADLINE = 20.0  # for an acknowledgement, in seconds
_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Message:
    id: str
    event: Published

    @property
    def about(self) -> str:
        match event := self.event:
            case CallEvent():
                return f"{event.call_id}:{event.signal_id}"
            case _:
                return f"{event.name} {_key(event)}"


class Topic:
    """What is published is delivered to `deliver`, to `push` if it is to be pushed, and to `ring`
    if a ring begins or may have to end."""

    def __init__(self, stage: Stage, weather: Weather, call: Callable[[], Functions]) -> None:
        self._stage = stage
        self._weather = weather
        self._functions = call
        self.under_way = 0  # deliveries that are not done with
        self.published: Counter[str] = Counter()  # messages of each signal, or of each connection
        self.harms: list[tuple[str, Harm]] = []  # of a signal or a connection, on its way
        self.harms_of_ring: list[Harm] = []  # on the way to `ring`, which tells nobody of it
        self.dead_letters: set[tuple[str, str]] = set()  # function, and signal or connection

    def publish(self, event: Published) -> None:
        message = Message(f"message{self._stage.number()}", event)
        self.published[_key(event)] += 1
        kinds = attributes(event)
        if "only" not in kinds:
            self._accept("deliver", message)
        if kinds.get("push") == "true":
            self._accept("push", message)
        if kinds.get("ring") == "true":
            self._accept("ring", message)

    def begin(self, ring: CallEvent) -> None:
        """A call of ours begins to ring, of which nobody but `ring` is told here."""
        self._accept("ring", Message(f"message{self._stage.number()}", ring))

    def _accept(self, function: str, message: Message) -> None:
        stage, weather = self._stage, self._weather
        is_bad = weather.is_bad(stage.now)
        way = 0.002 + stage.hop()
        if is_bad and stage.chance(weather.delayed):
            way = stage.dice.choice((2.1, stage.dice.uniform(0.3, 8.0)))
            self._harm(function, message, "is delivered late")
        self._begin(_Delivery(function, message), way)
        if is_bad and stage.chance(weather.duplicated):
            self._harm(function, message, "is delivered twice")
            self._begin(_Delivery(function, message), way + stage.dice.choice((0.0, stage.hop())))

    def _begin(self, delivery: "_Delivery", way: float) -> None:
        self.under_way += 1
        self._stage.later(way, partial(self._attempt, delivery))

    def _attempt(self, delivery: "_Delivery") -> None:
        message = delivery.message
        delivery.attempt += 1
        handling = Handling(
            self._stage.number(),
            delivery.function,
            message.about,
            said=self._due(message.event),
            event=message.event,
            message=message.id,
            attempt=delivery.attempt,
        )
        if handling.said:
            handling.said.handling = handling
        self._stage.say(f"{handling}: attempt {delivery.attempt} of {message.id},", message.about)
        body = envelope(message.event, id=message.id, attempt=delivery.attempt)
        deadline = self._stage.later(_DEADLINE, partial(self._end, delivery, None))

        def answer(response: Response | None) -> None:
            if self._stage.now < deadline.when():
                deadline.cancel()
                self._end(delivery, response)

        self._functions().call(handling, {}, body, answer)

    def _due(self, event: Published) -> Due | None:
        """What `ring` is to do that has been left undone."""
        return Due.of(event, self._stage.number()) if isinstance(event, RingEnds) else None

    def _end(self, delivery: "_Delivery", response: Response | None) -> None:
        stage, attempt = self._stage, delivery.attempt
        is_acknowledged = response is not None and response.status_code == 204
        is_bad = self._weather.is_bad(stage.now)
        if is_acknowledged and is_bad and stage.chance(self._weather.unacknowledged):
            self._harm(delivery.function, delivery.message, "is not acknowledged")
            is_acknowledged = False
        if response is None:
            self._harm(delivery.function, delivery.message, "is not answered")
        if is_acknowledged:
            self.under_way -= 1
        elif attempt == _ATTEMPTS:
            self.under_way -= 1
            self._die(delivery)
        else:
            pause = min(_BACK_OFF[0] * 2 ** (attempt - 1), _BACK_OFF[1])
            stage.later(pause * stage.dice.uniform(0.9, 1.1), partial(self._attempt, delivery))

    def _die(self, delivery: "_Delivery") -> None:
        function, about = delivery.function, delivery.message.about
        self._stage.say(f"*** {about} is a dead letter of {function}")
        if function != "ring":
            self.dead_letters.add((function, _key(delivery.message.event)))

    def _harm(self, function: str, message: Message, what: str) -> None:
        harm = Harm(self._stage.now, what)
        if function == "ring":
            self.harms_of_ring.append(harm)
        else:
            self.harms.append((_key(message.event), harm))
        self._stage.say(f"*** {message.id} of {message.about} {what} to {function}")


class Scheduler:
    """Calls `sweep` every minute."""

    def __init__(self, stage: Stage, functions: Functions, first: float) -> None:
        self._stage = stage
        self._functions = functions
        stage.later(first, self._call)

    def _call(self) -> None:
        handling = Handling(self._stage.number(), "sweep", "all")
        self._functions.call(handling, {}, b"", _ignore)
        self._stage.later(_MINUTE, self._call)


@dataclass(eq=False, slots=True)
class _Delivery:
    """One message on its way to one function."""

    function: str
    message: Message
    attempt: int = 0


def _key(event: Published) -> str:
    match event:
        case CallEvent() | RingEnds():
            return str(event.signal_id)
        case DeviceGone():
            return event.user_id
        case ConnectionClosed():
            return f"{event.connection_id}, closed"
        case _:
            return event.connection_id


def _ignore(_: Response | None) -> None:
    """Whatever it answers, it is called again."""
