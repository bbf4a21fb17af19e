"""A GET warms an instance up: once, however many ask, and again only after a failure."""

import asyncio
from collections.abc import Awaitable

from functions.warmup import WarmUp


async def test_steps_run_once_however_many_ask() -> None:
    runs = 0

    async def step() -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)

    warm_up = WarmUp(step)
    answers = await asyncio.gather(*(warm_up.reply() for _ in range(10)))
    answers.append(await warm_up.reply())
    assert {answer.status_code for answer in answers} == {200}
    assert runs == 1


async def test_after_a_failure_the_next_get_tries_again() -> None:
    failures = [RuntimeError("not yet")]

    async def step() -> None:
        if failures:
            raise failures.pop()

    warm_up = WarmUp(step)
    assert (await warm_up.reply()).status_code == 503
    assert (await warm_up.reply()).status_code == 200


async def test_a_step_that_can_not_even_begin_is_a_failure_too() -> None:
    def step() -> Awaitable[None]:
        raise RuntimeError("no credentials")

    assert (await WarmUp(step).reply()).status_code == 503


async def test_one_that_asks_and_leaves_does_not_take_the_attempt_along() -> None:
    go = asyncio.Event()

    async def step() -> None:
        await go.wait()

    warm_up = WarmUp(step)
    impatient = asyncio.create_task(warm_up.reply())
    patient = asyncio.create_task(warm_up.reply())
    await asyncio.sleep(0)
    impatient.cancel()
    go.set()
    assert (await patient).status_code == 200
