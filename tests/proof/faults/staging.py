"""Plays come on by their cases, several at the same time, and leave nothing behind."""

import asyncio
from typing import Self

from infra.client.calls import client_at
from infra.local.stack import Stack
from tests.proof.faults.case import Case
from tests.proof.faults.people import play_of
from tests.proof.faults.play import RETRIES_SECONDS, Play
from tests.proof.faults.tidying import tidy

_AT_ONCE = 8  # plays that hang up: a goodbye that waits too long is lost


class Stage:
    """Plays on one stack; an async context, at whose end everybody hangs up, and nothing
    is left of them."""

    def __init__(self, stack: Stack, patience: float = RETRIES_SECONDS) -> None:
        self._stack = stack
        self._patience = patience
        self._plays: list[Play] = []

    async def set_up(self, *cases: Case) -> list[Play]:
        plays = [play_of(case)(self._stack, case, self._patience) for case in cases]
        self._plays += plays
        await asyncio.gather(*(play.set_up() for play in plays))
        return plays

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for first in range(0, len(self._plays), _AT_ONCE):
            some = self._plays[first : first + _AT_ONCE]
            await asyncio.gather(*(play.hang_up() for play in some))
        documents = client_at(self._stack.firestore, self._stack.project)
        await tidy(documents, (play.cast for play in self._plays))
