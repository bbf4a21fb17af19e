"""The gate on a client's way to the stack: it stops what passes at one step."""

import asyncio
import re
from collections import Counter

from tests.proof.handshake.case import Passing, Step
from tests.support.httprelay import FRAME

_SID = re.compile(r"[?&]sid=(poll-[\w-]+)")


class StepGate:
    """Stops the client at `step`, and only there."""

    def __init__(self, step: Step) -> None:
        self.reached = asyncio.Event()
        self.sids: list[str] = []  # the ids of the client's sessions, in their order
        self._step = step
        self._passed: Counter[Passing] = Counter()
        self._opened = asyncio.Event()
        self._is_cut = False

    async def __call__(self, what: str) -> bool:
        """Whether that which passes goes on."""
        passing = _passing(what)
        if (named := _SID.search(what)) and named[1] not in self.sids:
            self.sids.append(named[1])
        self._passed[passing] += 1
        if (passing, self._passed[passing]) != (self._step.passing, self._step.number):
            return True
        self.reached.set()
        await self._opened.wait()
        return not self._is_cut

    def open(self) -> None:
        """What waits goes on."""
        self._opened.set()

    def cut(self) -> None:
        """What waits goes nowhere."""
        self._is_cut = True
        self._opened.set()


def _passing(what: str) -> Passing:
    if what == FRAME:
        return Passing.FRAME
    if "transport=websocket" in what:
        return Passing.WEBSOCKET
    if what.startswith("POST "):
        return Passing.POST
    return Passing.POLL if _SID.search(what) else Passing.OPEN
