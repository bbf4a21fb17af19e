"""The matrix: every remote call of a signal's path, harmed in every way, on real processes."""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from infra.client.flows import Flow
from infra.local.stack import Options, Stack
from tests.proof.faults import people
from tests.proof.faults.case import Case, killed, networked
from tests.proof.faults.deadletters import dead_letters
from tests.proof.faults.judge import judge
from tests.proof.faults.play import RETRIES_SECONDS, Play
from tests.proof.faults.played import Played
from tests.proof.faults.points import WEBHOOK_PATHS
from tests.proof.faults.ringing.flows import waits_for_time
from tests.proof.faults.ringing.judge import judge_ring
from tests.proof.faults.ringing.played import RingPlayed
from tests.proof.faults.staging import Stage
from tests.proof.table import Row
from tests.support.pace import BACKOFF, ONE_LOOK, WEBHOOK_BACKOFF

PART = "faults"
_AT_ONCE = 14  # cases: more would make phones wait for the processor
_WAITING, _BEGINNING = 28, 5  # cases that mostly wait for time to pass, and those that begin
_BATCH = 100  # cases whose phones stay until none of their events is under way
# Of the ten attempts of a delivery, what fails for five seconds takes seven, and a machine that is
# busy, on which a function is slow to start again, one or two more.
_LONGEST_PAUSE = timedelta(seconds=2)
_TRIES = 3  # of a case for which the machine was too slow


def options(logs: Path) -> Options:
    """A stack on which time passes quickly: it is swept every two seconds."""
    return Options(
        port=0,
        backoff=(BACKOFF[0], _LONGEST_PAUSE),
        webhook_backoff=WEBHOOK_BACKOFF,
        webhook_paths=WEBHOOK_PATHS,
        sweep_every=timedelta(seconds=2),
        settings={
            **ONE_LOOK,
            "SWEEP_AFTER_SECONDS": "3",
            "RING_SECONDS": "120",  # at most: each ring says for how long
            "CALLER_GRACE_SECONDS": "1",
            "DIRECT_POST_TIMEOUT_MS": "1000",  # on a busy machine, a post takes its time
        },
        logs=logs,
    )


async def run_networked(
    stack: Stack,
    cases: Sequence[Case],
    patience: float = RETRIES_SECONDS,
    batch: int = _BATCH,
) -> list[Played]:
    """Plays cases in which no process dies, many at a time, and a `batch` of them before anybody
    hangs up."""
    played: dict[Case, Played] = {}
    batches = -(-len(cases) // batch)
    for number in range(batches):  # in each, some of those that last long
        for each in await _play_batch(stack, cases[number::batches], patience):
            played[each.case] = each
    return [played[case] for case in cases]


async def _play_batch(stack: Stack, cases: Sequence[Case], patience: float) -> list[Played]:
    turns, waits = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(_WAITING)
    beginning = asyncio.Semaphore(_BEGINNING)

    async def play(stage: Stage, case: Case) -> Play:
        for _ in range(_TRIES):
            if waits_for_time(case):
                async with waits:
                    async with beginning:
                        (made,) = await stage.set_up(case)
                        await made.begin()
                    await made.act()
            else:
                async with turns:
                    (made,) = await stage.set_up(case)
                    await _begin_and_act(made)
            if not made.is_void:
                break
        return made

    async with Stage(stack, patience) as stage:
        return await _results(stack, await _all(play(stage, case) for case in cases))


async def run_killed(
    stack: Stack,
    function: str,
    groups: Sequence[Sequence[Case]],
    patience: float = RETRIES_SECONDS,
    tries: int = _TRIES,
) -> list[Played]:
    """Plays each group up to where its cases are harmed, and kills the function there; again those
    that the machine was too slow for."""
    async with Stage(stack, patience) as stage:
        plays: list[list[Play]] = []
        async with asyncio.TaskGroup() as acts:
            for group in groups:
                made = await stage.set_up(*group)
                for play in made:
                    acts.create_task(_begin_and_act(play))
                plays.append(made)
                await _kill(stack, function, made)
        is_last = tries == 1
        done = [play for group in plays for play in group if is_last or not play.is_void]
        results = await _results(stack, done)
    void = [[play.case for play in group if play not in done] for group in plays]
    if again := [group for group in void if group]:
        results += await run_killed(stack, function, again, patience, tries - 1)
    return results


async def _begin_and_act(play: Play) -> None:
    await play.begin()
    await play.act()


async def _kill(stack: Stack, function: str, plays: Sequence[Play]) -> None:
    """Returns once the senders have had their answers from the function's next instance."""
    for play in plays:
        await play.reached()
    for play in plays:
        play.note_held()
    process = stack.processes[function]
    await process.crash()
    for play in plays:
        play.kill()
    await process.start()
    for play in plays:
        play.revive()
    await asyncio.gather(*(play.acted.wait() for play in plays))


async def _all(plays: Iterable[Coroutine[Any, Any, Play]]) -> list[Play]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(play) for play in plays]
    return [task.result() for task in tasks]


async def _results(stack: Stack, plays: Sequence[Play]) -> list[Played]:
    assert stack.queue is not None
    await stack.queue.idle()
    return list(await asyncio.gather(*(play.result() for play in plays)))


async def run(stack: Stack, flows: Sequence[Flow]) -> list[Row]:
    """The whole matrix for these flows. Raises the first of what went wrong with playing it."""
    try:
        played = await _run_all(stack, flows)
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return rows_of(played)


async def _run_all(stack: Stack, flows: Sequence[Flow]) -> list[Played]:
    cases = [case for flow in flows for case in (*networked(flow), *people.networked(flow))]
    played = await run_networked(stack, cases)
    for function in stack.processes:
        for flow in flows:
            groups = [*killed(function, flow), *people.killed(function, flow)]
            played += await run_killed(stack, function, groups)
    return played


async def nothing_given_up(stack: Stack) -> Row:
    """Of an event whose consumers came through, there is no dead letter."""
    row = Row(PART, "dead letters of all these", tried=1)
    row.findings = [f"{call}, of {names}" for call, names in (await dead_letters(stack)).items()]
    row.wrong = len(row.findings)
    return row


def rows_of(played: Iterable[Played]) -> list[Row]:
    """One row for each kind of fault."""
    rows: dict[str, Row] = {}
    for each in played:
        row = rows.setdefault(each.case.fault, Row(PART, each.case.fault))
        found = judge_ring(each) if isinstance(each, RingPlayed) else judge(each)
        row.tried += 1
        row.lost += bool(found.lost)
        row.duplicated += found.duplicated
        row.wrong += bool(found.wrong)
        row.findings += [f"{each.case}: {text}" for text in (*found.lost, *found.wrong)]
    return list(rows.values())
