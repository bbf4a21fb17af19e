"""Plays come on by their cases, and go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.local.stack import Stack
from tests.proof.faults.case import Case
from tests.proof.faults.people import play_of
from tests.proof.faults.play import PATIENCE_SECONDS, Play


@asynccontextmanager
async def playing(
    stack: Stack, case: Case, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[Play]:
    """The play of `case`, set up; everybody hangs up at the end."""
    play = play_of(case)(stack, case, patience)
    try:
        await play.set_up()
        yield play
    finally:
        await play.hang_up()
