"""A schedule, drawn from its seed: who is there, how much happens, and how fast."""

import asyncio
from random import Random

from tests.simulation.deeds import Deeds
from tests.simulation.weather import Weather
from tests.simulation.world import World

_USERS = ("ann", "bob", "cid", "dan", "eve")
_CONNECTED, _ARRIVED = 0.8, 1.5  # seconds within which who is there at first is all set
_STEP = 1.0
_SETTLED = 400.0  # seconds after which a world that has healed must be still


class Schedule:
    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._users = _USERS[: dice.randint(2, len(_USERS))]
        self._tempo = dice.choice((0.02, 0.3, 1.0, 3.0))  # seconds between two deeds, on average
        self._count = dice.randint(10, 32)
        self.weather = Weather.drawn(dice, _ARRIVED, _ARRIVED + self._count * self._tempo + 1.0)

    async def play(self, world: World) -> None:
        """Until nothing is under way any more, or something is wrong."""
        deeds = Deeds(world, self._dice, self._users)
        await self._arrive(world, deeds)
        kinds = deeds.all()
        # Of each kind more or fewer, or none, but for calls that ring and signals.
        often = [weight * self._dice.choice((0, 1, 1, 3)) for weight in kinds.values()]
        often[:2] = list(kinds.values())[:2]
        for deed in self._dice.choices(list(kinds), often, k=self._count):
            if world.witness.wrong:
                return
            deed()
            await asyncio.sleep(self._pause())
        latest = max(world.stage.now, world.weather.heals) + _SETTLED
        while not world.is_still and world.stage.now < latest:  # noqa: ASYNC110 - it costs nothing
            await asyncio.sleep(_STEP)

    async def _arrive(self, world: World, deeds: Deeds) -> None:
        for user in self._users:
            for _ in range(self._dice.randint(0, 3)):
                world.stage.later(self._dice.uniform(0, 0.2), deeds.connecting(user))
        await asyncio.sleep(_CONNECTED)
        for user in self._users:
            for _ in range(self._dice.randint(0, 2)):
                deeds.registers(user)
        await asyncio.sleep(_ARRIVED - _CONNECTED)

    def _pause(self) -> float:
        is_in_the_same_breath = self._dice.random() < 0.15
        return 0.0 if is_in_the_same_breath else self._dice.expovariate(1 / self._tempo)
