"""Plays schedules, each from its seed alone."""

from dataclasses import dataclass
from random import Random

from tests.memory.clock import PlayedTime
from tests.simulation.clock import START, run
from tests.simulation.schedule import Schedule
from tests.simulation.world import World


@dataclass(frozen=True)
class Played:
    """What came of a schedule; `wrong` are sentences, each with the names that it is about."""

    world: World

    @property
    def seed(self) -> int:
        return self.world.stage.seed

    @property
    def wrong(self) -> list[tuple[str, tuple[str, ...]]]:
        return self.world.witness.wrong

    def report(self) -> str:
        """Why it failed: the first rule that was broken, and what happened around it."""
        sentence, about = self.wrong[0]
        lines = self.world.stage.lines(*about, "*** ")
        return "\n".join([*lines, "", sentence, f"all of it: make simulate SEED={self.seed}"])


def play(seed: int) -> Played:
    dice = Random(seed)  # noqa: S311 - it is to be the same again
    schedule = Schedule(dice)
    loop = PlayedTime(START)
    world = World(seed, loop, dice, schedule.weather)
    loop.set_exception_handler(lambda _, context: world.witness.failed(context))
    with world.witness.listening():
        run(loop, _whole(schedule, world))
    return Played(world)


async def _whole(schedule: Schedule, world: World) -> None:
    await schedule.play(world)
    if not world.witness.wrong:
        world.judge()
