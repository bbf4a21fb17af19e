"""Plays one case on a running stack: who there is, what is sent, and all that came of it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from google.cloud.firestore import FieldFilter

from infra.local.calls import Calls, client_at
from infra.local.faults import Fault
from infra.local.fcm_errors import FcmError
from infra.local.stack import Stack
from tests.proof.faults.case import Case, Delivery, Harm
from tests.proof.faults.points import Cast
from tests.proof.handset import JSON, SOCKET_IO, Handset, Told

_TOLD = (JSON, SOCKET_IO)  # the wires of the told user's phones
_OUT_SECONDS = 5.0
_TRIES = 5  # of an app whose user wants the call to end
_REACHED_SECONDS = 30.0
_ANSWERED_SECONDS = 0.5  # after a function died: an answer may be on its way
PATIENCE_SECONDS = 60.0  # for ten deliveries and the sweeps between them; as a rule it takes six


@dataclass
class Played:
    """All that came of one case."""

    case: Case
    cast: Cast
    verdicts: list[dict[str, Any] | None] = field(default_factory=list)  # None: no answer
    faults: int = 0
    is_harmed: bool = True  # everything went wrong that was to go wrong, when it was to
    is_late: bool = False
    told_too_soon: bool = False  # of a call that was still ringing
    statuses: dict[str, str] = field(default_factory=dict)  # by call
    outbox: set[str] = field(default_factory=set)  # calls whose event is still there
    told: list[Counter[Told]] = field(default_factory=list)  # by phone of the told user
    bystanders: list[Counter[Told]] = field(default_factory=list)
    pushes: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # token, type, call


class Play:
    """One case at work. Use it by `playing`."""

    def __init__(self, stack: Stack, case: Case, patience: float) -> None:
        """`patience` is how many seconds an event may take to reach all it can."""
        self.case = case
        self._patience = patience
        self.cast = Cast()
        self.faults: list[Fault] = []
        self.acted = asyncio.Event()  # the sender has had what it could
        self._stack = stack
        self._calls = Calls(stack.firestore, stack.project)
        self._died = asyncio.Event()
        self._lives_again = asyncio.Event()
        self._phones = AsyncExitStack()
        self._played = Played(case, self.cast)

    async def set_up(self) -> None:
        """Phones, devices and ringing calls, all before anything goes wrong."""
        cast, flow = self.cast, self.case.flow
        if self.case.harm is Delivery.OUT_OF_ORDER:
            cast.add_call()
        dialled = [Handset.dial(self._stack, cast.sender, JSON) for _ in range(2)]
        dialled += [Handset.dial(self._stack, cast.told, wire) for wire in _TOLD]
        self.sender, self.bystander, *self.told = await asyncio.gather(*dialled)
        for phone in (self.sender, self.bystander, *self.told):
            self._phones.push_async_callback(phone.hang_up)
        for token in cast.tokens:
            await self.told[0].emit("device:register", token=token, platform="android")
        await self.sender.emit("device:register", token=cast.sender_token, platform="ios")
        if self.case.point and self.case.point.second_token_dies:
            self._stack.fcm.fail(cast.tokens[1], FcmError.UNREGISTERED)
        caller, receiver = (
            (cast.sender, cast.told) if flow.told == "receiver" else (cast.told, cast.sender)
        )
        for call in cast.calls:
            await self._calls.ring(call, caller, receiver)
        cast.told_connections = await self._connections_of_told()
        self.faults = self.case.faults(cast)

    async def act(self) -> None:
        """Sends the signal, and again while the call still rings; then waits until all is done."""
        harm, prelude = self.faults[:1], self.faults[1:]
        with self._stack.faults.during(*prelude):
            harming = asyncio.create_task(self._harm(harm))
            try:
                for call in self.cast.calls:
                    await self._send(call)
                self.acted.set()
                await self._settle()
            finally:
                self.acted.set()
                harming.cancel()
                await asyncio.wait([harming])

    async def reached(self) -> None:
        """Waits until the case is where it is harmed. Raises TimeoutError."""
        try:
            async with asyncio.timeout(_REACHED_SECONDS):
                await self.faults[0].reached.wait()
        except TimeoutError as error:
            raise TimeoutError(f"{self.case}: nobody made this call") from error

    def note_held(self) -> None:
        """Just before the function is killed: the call must not have been given up by then."""
        self._played.is_harmed &= self.faults[0].is_holding

    def kill(self) -> None:
        """What was held died with the process that asked for it."""
        self._died.set()
        for fault in self.faults:
            fault.drop()

    def revive(self) -> None:
        """The function answers again."""
        self._lives_again.set()

    async def result(self) -> Played:
        """What has come by now, when nothing more is under way."""
        played = self._played
        played.faults = len(self.faults)
        played.is_harmed &= all(fault.reached.is_set() for fault in self.faults)
        for call in self.cast.calls:
            played.statuses[call] = await self._calls.status(call)
            if not await self._calls.is_delivered(call):
                played.outbox.add(call)
        for phone in (self.sender, self.bystander, *self.told):
            await phone.catch_up()
        played.told = [phone.told() for phone in self.told]
        played.bystanders = [self.sender.told(), self.bystander.told()]
        for message in self._stack.fcm.messages:
            if self.cast.unique in message["token"]:
                data = message["data"]
                played.pushes[message["token"], data["type"], data["callId"]] += 1
        return played

    async def hang_up(self) -> None:
        await self._phones.aclose()

    async def _send(self, call: str) -> None:
        for _ in range(_TRIES):
            verdict = await self._answer(self.case.flow.signal, call)
            self._played.verdicts.append(verdict)
            if verdict is None:
                await self._lives_again.wait()
            is_ringing = await self._calls.status(call) == "ringing"
            if is_ringing and any(phone.told() for phone in self.told):
                self._played.told_too_soon = True
            # Where the call has ended, the rest is up to the backend, unless the case is another.
            if not is_ringing and ((verdict and verdict["ok"]) or not self.case.repeats):
                return

    async def _answer(self, signal: str, call: str) -> dict[str, Any] | None:
        """The verdict; None when the function died over it."""
        asked = asyncio.create_task(self.sender.emit(signal, callId=call))
        if self._died.is_set():
            return await asked
        died = asyncio.create_task(self._died.wait())
        try:
            await asyncio.wait([asked, died], return_when=asyncio.FIRST_COMPLETED)
            # API Gateway's own error frame names no request: what is not here soon is lost.
            await asyncio.wait([asked], timeout=_ANSWERED_SECONDS)
            return asked.result() if asked.done() else None
        finally:
            asked.cancel()
            died.cancel()

    async def _harm(self, faults: list[Fault]) -> None:
        """Arms the harm once it is due, for as long as it lasts."""
        if self.case.point:
            await asyncio.sleep(self.case.point.due_seconds)
        with self._stack.faults.during(*faults):
            try:
                if self.case.harm is Harm.IS_OUT:
                    await faults[0].reached.wait()
                    await asyncio.sleep(_OUT_SECONDS)
                    faults[0].release()
                await asyncio.Event().wait()
            finally:
                if self.case.harm in (Harm.HANGS, Harm.HANGS_DONE):
                    faults[0].drop()  # what is never done is not done at the end either

    async def _settle(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                for fault in self.faults:
                    await fault.reached.wait()
                if isinstance(self.case.harm, Harm) and self.case.harm.kills:
                    await self._died.wait()
                for call in self.cast.calls:
                    await self._calls.until_delivered(call, every=0.1)
                while not all(self._pushed(call) for call in self.cast.calls):
                    known = len(self._stack.fcm.messages)
                    await self._stack.fcm.wait_for(known + 1, self._patience)
        except TimeoutError:
            self._played.is_late = True

    def _pushed(self, call: str) -> bool:
        """Whether every device that can has the push."""
        expected = set(self.cast.tokens[:1] if self._second_is_dead() else self.cast.tokens)
        had = {
            message["token"]
            for message in self._stack.fcm.messages
            if message["data"]["callId"] == call
        }
        return expected <= had

    def _second_is_dead(self) -> bool:
        return bool(self.case.point and self.case.point.second_token_dies)

    async def _connections_of_told(self) -> list[str]:
        """In the order of the told user's phones."""
        client = client_at(self._stack.firestore, self._stack.project)
        query = client.collection("connections").where(
            filter=FieldFilter("userId", "==", self.cast.told)
        )
        by_wire = {found.get("wire"): found.id async for found in query.stream()}
        return [by_wire[wire] for wire in _TOLD]


@asynccontextmanager
async def playing(
    stack: Stack, case: Case, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[Play]:
    play = Play(stack, case, patience)
    try:
        await play.set_up()
        yield play
    finally:
        await play.hang_up()
