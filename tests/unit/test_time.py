"""The time of these tests, which is played."""

import asyncio
from datetime import timedelta

import pytest

from tests.memory.clock import PlayedTime
from tests.support.makers import now


async def test_a_minute_passes_at_once_and_in_order() -> None:
    assert isinstance(asyncio.get_running_loop(), PlayedTime)
    began = now()
    ends: list[str] = []

    async def end(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        ends.append(name)

    await asyncio.gather(end("later", 60), end("sooner", 10))
    assert ends == ["sooner", "later"]
    assert now() - began == timedelta(minutes=1)


async def test_time_stands_still_while_there_is_work_to_do() -> None:
    began = now()
    for _ in range(100):
        await asyncio.sleep(0)
    assert now() == began


def test_to_wait_for_nothing_is_an_error() -> None:
    with asyncio.Runner(loop_factory=PlayedTime) as runner, pytest.raises(RuntimeError):
        runner.run(asyncio.Event().wait())
