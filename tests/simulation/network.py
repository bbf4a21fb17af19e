"""The network between an instance and the services: it takes time, fails and loses replies."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from functions.ports.store import StoreConflict, StoreUnavailable
from tests.memory.network import CallFailed
from tests.simulation.handling import Handling, Harm, current
from tests.simulation.stage import Stage
from tests.simulation.weather import LIMITS, Fate, Weather

_TARGETED = ("connections.POST", "fcm.send")  # what they are about begins with whom they reach

_READ = "firestore.BatchGetDocuments"

_Reply = TypeVar("_Reply")


class Line:
    """One instance's way to all services. `die` ends the instance."""

    def __init__(self, stage: Stage, weather: Weather, die: Callable[[], None]) -> None:
        self._stage = stage
        self._weather = weather
        self._die = die
        self.is_dead = False

    async def call(self, name: str, about: str, serve: Callable[[], _Reply]) -> _Reply:
        """Has `serve` do the call and gives its reply. Raises CallFailed."""
        if self.is_dead:
            raise asyncio.CancelledError
        stage = self._stage
        reply: asyncio.Future[_Reply] = stage.loop.create_future()
        call = _Call(stage, current.get(), name, about, serve, reply)
        service = name.partition(".")[0]
        weather = self._weather
        if not weather.is_bad(stage.now):
            call.do(stage.hop(), stage.hop())
        elif outage := weather.outage(service, stage.now):
            call.harm("is out")
            call.fail(LIMITS[service] if outage.hangs else stage.hop())
        elif call.target and weather.is_ill(call.target, stage.dice):
            call.harm("does not get through")
            call.fail(stage.hop())
        elif stage.chance(weather.fault):
            self._harm(call, stage.dice.choice(weather.fates), LIMITS[service])
        else:
            call.do(stage.hop(), stage.hop())
        return await reply

    def _harm(self, call: "_Call[_Reply]", fate: Fate, limit: float) -> None:
        stage = self._stage
        call.harm(fate.value)
        match fate:
            case Fate.SLOW:
                ways = [stage.hop(), stage.dice.uniform(0.3, 3.0)]
                stage.dice.shuffle(ways)
                call.do(*ways)
            case Fate.FAILS:
                call.fail(stage.hop())
            case Fate.LOST:
                call.do(stage.hop())
                call.fail(0.03 + stage.hop())
            case Fate.HANGS:
                call.fail(limit)
            case Fate.HANGS_DONE:
                call.do(stage.hop())
                call.fail(limit)
            case Fate.LATE:
                call.do(limit + stage.dice.uniform(0.0, 2.0))
                call.fail(limit)
            case Fate.REPEATED:
                if not call.name.startswith("connections"):  # whose adapter repeats nothing
                    call.do(stage.hop())
                call.do(0.1 + stage.hop(), stage.hop())
            case Fate.KILLED_BEFORE:
                self._die()
            case Fate.KILLED_AFTER:
                way = stage.hop()
                call.do(way)
                stage.later(way, self._die)


@dataclass(eq=False, slots=True)
class _Call(Generic[_Reply]):
    """A remote call under way; `serve` may run without a reply, and when nobody waits for one."""

    stage: Stage
    handling: Handling
    name: str
    about: str
    serve: Callable[[], _Reply]
    reply: "asyncio.Future[_Reply]"

    @property
    def target(self) -> str | None:
        """The connection or token that it is for, if it is for one."""
        return self.about.partition(" ")[0] if self.name in _TARGETED else None

    def do(self, there: float, back: float | None = None) -> None:
        """It arrives in `there` seconds, and its reply `back` seconds later, if it has one."""
        self.stage.loop.call_later(there, self._arrive, back)

    def fail(self, after: float) -> None:
        self.stage.later(after, partial(self._raise, CallFailed(f"{self.name} failed")))

    def harm(self, what: str) -> None:
        self.handling.harms.append(Harm(self.stage.now, f"{self.name} {what}", self.target))
        self.stage.say(f"{self.handling}:", self.name, self.about, "***", what)

    def _arrive(self, back: float | None) -> None:
        self.stage.say(f"{self.handling}:", self.name, self.about)
        if self.about == "pendingSince":
            self.stage.looks.append(self.stage.now)
        if self.name == _READ and self.about == self.handling.own_entry:
            self.handling.reloaded_at = self.stage.now
        try:
            reply = self.serve()
        except (StoreConflict, StoreUnavailable) as error:
            self.stage.say(f"{self.handling}:", self.name, error)
            end = partial(self._raise, error)
        else:
            end = partial(self._answer, reply)
        if back is not None:
            self.stage.later(back, end)

    def _answer(self, reply: _Reply) -> None:
        if not self.reply.done():
            self.reply.set_result(reply)

    def _raise(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)
