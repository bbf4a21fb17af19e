"""What people do while something goes wrong: they hang up, come back, and are called twice."""

import asyncio
from collections.abc import Iterator
from typing import Any

from infra.client.flows import Flow
from infra.emulators.faults import Fault, Kind
from tests.proof.faults.case import Case, Deed, Harm
from tests.proof.faults.logs import Tail
from tests.proof.faults.play import Play
from tests.proof.faults.played import Played
from tests.proof.faults.points import CATCH_UP, DELIVER, GATEWAY, NOT_REPEATED, PATH, PUSH
from tests.proof.faults.ringing.flows import PARTS
from tests.proof.faults.ringing.play import RingPlay, RingsOn
from tests.proof.faults.rings import LATE, RINGS, RingsAgain
from tests.proof.handset import JSON, SOCKET_IO
from tests.proof.races.excuses import attempts, is_excused

_BOTH = (JSON, SOCKET_IO)
_FAILING = 3  # attempts of those that are in retry


def networked(flow: Flow) -> Iterator[Case]:
    """What people do between processes that live."""
    yield Case(flow, deed=Deed.COMES_LATER)
    yield Case(flow, deed=Deed.TWO_AT_ONCE)
    for number, point in enumerate(PATH):
        # Past the gateway's part the sender has no say: one wire each will do.
        for wire in _BOTH if point in GATEWAY else (_BOTH[number % 2],):
            yield Case(flow, point, deed=Deed.SENDER_LEAVES, wire=wire)
    for number, point in enumerate((*PATH, *CATCH_UP)):
        for turn, held in enumerate((Kind.HOLD, Kind.HOLD_REPLY)):
            wire = JSON if point.catches_up else _BOTH[(number + turn) % 2]
            yield Case(flow, point, deed=Deed.RECONNECTS, held=held, wire=wire)
    for number, point in enumerate(RINGS):
        yield Case(flow, point, deed=(Deed.RINGS_AGAIN, Deed.ENDS_AGAIN)[number % 2])
    for point in LATE:
        yield Case(flow, point, deed=Deed.RINGS_AGAIN)
        if not point.catches_up:  # what is held there would keep the new signal as well
            yield Case(flow, point, deed=Deed.ENDS_AGAIN)


def killed(function: str, flow: Flow) -> list[list[Case]]:
    """Two events are in retry when the instance dies that has told the others."""
    points = {"deliver": DELIVER[1], "push": PUSH[1]}
    if function not in points:
        return []
    return [[Case(flow, points[function], Harm.KILLED_BEFORE, deed=Deed.TWO_AT_ONCE)]]


class SenderLeaves(Play):
    """The sender closes its socket while the remote call is held, and is told nothing more."""

    async def set_up(self) -> None:
        self._senders_wire = self.case.wire
        self._left = asyncio.Event()
        await super().set_up()
        # The bystander has one too, but stays.
        ids = [id for id, _ in await self._connections(self.cast.sender)]
        self._goodbyes = Tail(self._stack, "gateway", self.cast.call, *ids)

    async def _deed(self) -> None:
        await self.sender.leave()
        if self.case.wire == SOCKET_IO:
            await self._goodbyes.until("goodbye")
        await self._goodbyes.until("disconnect")
        self._left.set()

    async def _signal(self) -> None:
        """There is nobody left to say it again. A verdict that the slow machine's time-outs made
        leaves the call ringing in peace: nothing was tried then."""
        self._played.verdicts.append(await self._answer(self.cast.call))
        verdict = await self._goodbyes.until("verdict")
        is_ringing = await self._calls.status(self.cast.call) == "ringing"
        self.is_void = verdict["outcome"] == "unavailable" and is_ringing

    async def _answer(self, call: str) -> dict[str, Any] | None:
        asked = asyncio.create_task(self._emit(call))
        left = asyncio.create_task(self._left.wait())
        await asyncio.wait([asked, left], return_when=asyncio.FIRST_COMPLETED)
        left.cancel()
        if asked.done():
            return asked.result()
        asked.cancel()
        return None

    async def _settle(self) -> None:
        if not self.is_void:
            await super()._settle()


class Reconnects(Play):
    """One of the told user's phones hangs up and connects again while the remote call is held."""

    async def _deed(self) -> None:
        phone = next(phone for phone in self.told if phone.wire == self.case.wire)
        await phone.redial(self._stack)
        self._played.faults += 1  # which may cost it a second telling, as a fault may


class TwoAtOnce(Play):
    """Two calls end at once; one phone and one device of the told user take neither event yet."""

    def _faults(self) -> list[Fault]:
        return [
            fault
            for about in self.cast.calls
            for fault in (
                # The gateway posts before `deliver` does.
                *self._fails("deliver", "connections.POST", (about, self.cast.connection(1)), 2),
                *self._fails("push", "fcm.send", (about, self.cast.tokens[1]), 1),
            )
        ]

    def _fails(
        self, function: str, call: str, about: tuple[str, ...], first: int
    ) -> Iterator[Fault]:
        """Where the function dies, it is held in the attempt after its first one, which has reached
        all others: what it knew of them is then what it noted."""
        dies = self.case.point is not None and self.case.point.function == function
        if dies:
            yield Fault(Kind.HOLD, call, about, skip=first)
        times = first if dies else _FAILING
        yield Fault(Kind.FAIL, call, about, times=times, code=NOT_REPEATED)

    def _held(self) -> list[Fault]:
        return [fault for fault in self.faults if fault.kind is Kind.HOLD]

    async def _signal(self) -> None:
        await asyncio.gather(*(self._send(call) for call in self.cast.calls))

    async def result(self) -> Played:
        played = await super().result()
        played.is_exact = not any(self._is_excused(call) for call in self.cast.calls)
        return played

    def _is_excused(self, call: str) -> bool:
        """Whether the slow machine had a part in how often `call`'s event was told."""
        logs = self._stack.logs
        failed = sum(
            fault.met for fault in self.faults if fault.kind is Kind.FAIL and call in fault.about
        )
        # The first failure is the gateway's; `deliver` and `push` each need one attempt more than
        # fail.
        is_repeated = attempts(logs, call) > failed + 1
        # The gateway misses one phone; missing both, it can't know whether the other was told.
        return is_repeated or is_excused(logs, call, unserved=1)


def play_of(case: Case) -> type[Play]:
    if case.flow in PARTS:
        return RingsOn if case.deed else RingPlay
    match case.deed:
        case Deed.SENDER_LEAVES:
            return SenderLeaves
        case Deed.RECONNECTS:
            return Reconnects
        case Deed.RINGS_AGAIN | Deed.ENDS_AGAIN:
            return RingsAgain
        case Deed.TWO_AT_ONCE:
            return TwoAtOnce
        case _:
            return Play
