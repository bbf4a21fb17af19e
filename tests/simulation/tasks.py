"""Cloud Tasks: it calls `ring` with a task at least once, not before it is due, if all is well."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from starlette.responses import Response

from functions.scheduled import CallerCheck, RingEnds, Scheduled, encode
from tests.simulation.clock import START
from tests.simulation.due import Check, Due
from tests.simulation.functions import Functions
from tests.simulation.handling import Handling, Harm
from tests.simulation.stage import Stage
from tests.simulation.weather import Weather

_BACK_OFF = (1.0, 10.0)  # seconds, at least and at most
_DEADLINE = 20.0  # for an answer, in seconds


class Queue:
    """Calls `ring` until it takes a task. Some come late, some twice, and some never: `sweep` sees
    to those."""

    def __init__(self, stage: Stage, weather: Weather, call: Callable[[], Functions]) -> None:
        self._stage = stage
        self._weather = weather
        self._functions = call
        self.under_way = 0
        self.harms: list[Harm] = []

    def schedule(self, task: Scheduled, at: datetime) -> None:
        stage = self._stage
        way = max((at - START).total_seconds() - stage.now, 0.0) + stage.hop()
        if self._weather.is_bad(stage.now) and stage.chance(self._weather.delayed):
            way += stage.dice.choice((stage.dice.uniform(0.1, 5.0), stage.dice.uniform(15.0, 40.0)))
            self._harm(task, "comes late")
        for _ in range(self._times(task)):
            self.under_way += 1
            stage.later(way, partial(self._attempt, task, 1))
            way += stage.dice.choice((0.0, stage.hop()))

    def _times(self, task: Scheduled) -> int:
        stage, weather = self._stage, self._weather
        if not weather.is_bad(stage.now):
            return 1
        if stage.chance(weather.disconnect_lost):
            self._harm(task, "is lost")
            return 0
        return 1 + stage.chance(weather.duplicated)

    def _harm(self, task: Scheduled, what: str) -> None:
        self.harms.append(Harm(self._stage.now, what))
        self._stage.say(f"*** {task.name} of {task.call_id} {what}")

    def _attempt(self, task: Scheduled, number: int) -> None:
        stage = self._stage
        due = _due(task, stage.number())
        handling = Handling(stage.number(), "ring", str(due), said=due, attempt=number)
        due.handling = handling
        stage.say(f"{handling}: attempt {number} of {due}")
        deadline = stage.later(_DEADLINE, partial(self._end, task, number, None))

        def answer(response: Response | None) -> None:
            if stage.now < deadline.when():
                deadline.cancel()
                self._end(task, number, response)

        self._functions().call(handling, {}, encode(task), answer, path="/tasks")

    def _end(self, task: Scheduled, number: int, response: Response | None) -> None:
        if response is not None and response.status_code == 204:
            self.under_way -= 1
            return
        pause = min(_BACK_OFF[0] * 2 ** (number - 1), _BACK_OFF[1])
        self._stage.later(pause, partial(self._attempt, task, number + 1))


def _due(task: Scheduled, number: int) -> Due | Check:
    match task:
        case RingEnds():
            return Due.of(task, number)
        case CallerCheck():
            return Check.of(task, number)
