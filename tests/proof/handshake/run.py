"""Plays all cases, many at a time for each death of a function."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

from infra.local.stack import Options, Stack
from tests.proof.faults.logs import Tail
from tests.proof.handshake.case import OPEN, Case
from tests.proof.handshake.judge import judge
from tests.proof.handshake.play import PATIENCE_SECONDS, Play, Played
from tests.proof.table import Row
from tests.support.pace import BACKOFF, ONE_LOOK

PART = "the handshake of clients with default options"
_AT_ONCE = 12  # clients that a function dies on: more would keep the machine busy for too long

_TRIES = 3  # of a case for which the machine was too slow


def options(logs: Path) -> Options:
    """A stack that is swept every two seconds."""
    return Options(
        port=0,
        backoff=BACKOFF,
        sweep_every=timedelta(seconds=2),
        settings={
            **ONE_LOOK,
            "SWEEP_AFTER_SECONDS": "3",
            "RING_SECONDS": "120",
            "CALLER_GRACE_SECONDS": "60",  # who comes back in time is no matter here
            "DIRECT_POST_TIMEOUT_MS": "1000",
        },
        logs=logs,
    )


async def run(stack: Stack, some: Iterable[Case], patience: float = PATIENCE_SECONDS) -> list[Row]:
    """A row for each kind of fault."""
    played: list[Played] = []
    for group in groups(some):
        played += await _play(stack, group, patience)
    return rows_of(played)


def groups(some: Iterable[Case]) -> list[list[Case]]:
    """Cases that are harmed by one and the same death. Nothing tells the first Commit of a session
    from that of another, so who dies of it is among his like."""
    by_death: dict[tuple[str, bool], list[Case]] = {}
    for case in some:
        is_first = case.step == OPEN and case.harm.strikes
        by_death.setdefault((case.function, is_first), []).append(case)
    return [
        alike[first : first + _AT_ONCE]
        for alike in by_death.values()
        for first in range(0, len(alike), _AT_ONCE)
    ]


async def _play(
    stack: Stack, group: Sequence[Case], patience: float, tries: int = _TRIES
) -> list[Played]:
    """Again those that the machine was too slow for."""
    plays = [Play(stack, case, patience) for case in group]
    logs = [Tail(stack, name) for name in ("api", "gateway")]
    try:
        await _play_together(stack, plays)
        if any(log.has("catch-up not asked for") for log in logs):
            for play in plays:
                play.is_void |= play.has_missed
        done = [play for play in plays if not play.is_void or tries == 1]
        played = list(await asyncio.gather(*(play.result() for play in done)))
    finally:
        await asyncio.gather(*(play.end() for play in plays))
    again = [play.case for play in plays if play not in done]
    return played + (await _play(stack, again, patience, tries - 1) if again else [])


async def _play_together(stack: Stack, plays: Sequence[Play]) -> None:
    process = stack.processes[plays[0].case.function]
    for act in (Play.begin, Play.reached, Play.lose, Play.strike):
        await asyncio.gather(*map(act, plays))
    for play in plays:
        play.note_held()
    await process.crash()
    for play in plays:
        play.die()
    await process.start()
    for play in plays:
        play.revive()
    await asyncio.gather(*map(Play.finish, plays))


def rows_of(played: Iterable[Played]) -> list[Row]:
    rows: dict[str, Row] = {}
    for each in played:
        row = rows.setdefault(each.case.fault, Row(PART, each.case.fault))
        found = judge(each)
        row.tried += 1
        row.lost += bool(found.lost)
        row.duplicated += found.duplicated
        row.wrong += bool(found.wrong)
        row.findings += [f"{each.case}: {text}" for text in (*found.lost, *found.wrong)]
    return list(rows.values())
