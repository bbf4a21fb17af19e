"""Plays one case on a running stack: a client with default options, and the other party's phone."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud.firestore import AsyncClient, DocumentSnapshot

from infra.client.calls import Calls, client_at
from infra.emulators.faults import Fault
from infra.local.stack import Stack
from tests.proof.handset import JSON, Handset
from tests.proof.handset import Told as Heard
from tests.proof.handshake.case import PYTHON, Case, Harm
from tests.proof.handshake.cast import CANCELLED, Cast, Told
from tests.proof.handshake.gate import StepGate
from tests.proof.handshake.insisting import insist
from tests.support.collections import OUTBOX
from tests.support.httprelay import HttpRelay, http_relay
from tests.support.socketio import ByDefault, SocketIoApp

CANCEL, INITIATE = "call:cancel", "call:initiate"
_REASON = "no longer needed"
_RINGS = timedelta(minutes=5)
_DELAY_SECONDS = 0.4  # before the client tries again
_REACHED_SECONDS = 60.0
PATIENCE_SECONDS = 90.0  # in which the client must be back, and all be done
_RETRIES = {"retries": 20, "ackTimeout": 10_000}


@dataclass
class Played:
    """What came of a case."""

    case: Case
    cast: Cast
    failures: list[str] = field(default_factory=list)  # what it waited for in vain
    verdicts: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # by what was said
    client: Counter[Told] = field(default_factory=Counter)
    peer: Counter[Told] = field(default_factory=Counter)
    statuses: dict[str, str] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)  # of the calls, that were committed
    sessions: int = 0  # that the client has had


class Play:
    """One case at work; `end` must follow."""

    def __init__(self, stack: Stack, case: Case, patience: float) -> None:
        """`patience` is how many seconds the client may take to be back, and all to be done."""
        self.case = case
        self.is_void = False  # the machine was too slow for what was to be tried
        self._stack = stack
        self._patience = patience
        self._cast = Cast()
        self._gate = StepGate(case.step)
        self._fault: Fault | None = None
        self._parts = AsyncExitStack()
        self._calls = Calls(stack.firestore, stack.project)
        self._documents: AsyncClient = client_at(stack.firestore, stack.project)
        self._played = Played(case, self._cast)

    async def begin(self) -> None:
        """Starts the client, which stops at its step, and has said by then what it is to say."""
        cast, parts = self._cast, self._parts
        self._peer = await parts.enter_async_context(Handset.dialled(self._stack, cast.peer, JSON))
        await self._ring(cast.ringing, cast.user, cast.peer)
        for call in (cast.lost, cast.later):
            await self._ring(call, cast.peer, cast.user)
        way = await parts.enter_async_context(
            http_relay(self._stack.socketio, websockets=self.case.websockets, gate=self._gate)
        )
        self._app = await parts.enter_async_context(self._client(way))
        said = enumerate(self._said(), 1)
        is_python = self.case.client == PYTHON
        self._saying = [
            asyncio.create_task(self._insist(event, None if is_python else ack, **data))
            for ack, (event, data) in said
        ]

    async def reached(self) -> None:
        """Waits until the client is at its step."""
        try:
            async with asyncio.timeout(_REACHED_SECONDS):
                await self._gate.reached.wait()
        except TimeoutError:
            self._note(f"the client did not come to its step:\n  {self._app.history()}")

    async def lose(self) -> None:
        """Has the peer say what waits for the client, if that has a session by now, or what it has
        missed until it has one."""
        await self._peer.insist(CANCEL, callId=self._cast.lost)

    async def strike(self) -> None:
        """Has a step that is to kill its function go on, up to where that is to die."""
        if not (self.case.harm.strikes and self._gate.reached.is_set()):
            return
        sid = next(reversed(self._gate.sids), "")
        self._fault = self.case.strike(sid, self._cast)
        self._parts.enter_context(self._stack.faults.during(self._fault))
        self._gate.open()
        try:
            async with asyncio.timeout(_REACHED_SECONDS):
                await self._fault.reached.wait()
        except TimeoutError:
            self._note(f"the function did not come to its write:\n  {self._app.history()}")

    def note_held(self) -> None:
        """Just before the function is killed: it must not have given up its write by then, or all
        has to be played again."""
        self.is_void = self._fault is not None and not self._fault.is_holding

    def die(self) -> None:
        """The function has died."""
        if self._fault:
            self._fault.drop()
        if self.case.harm is Harm.IS_CUT:
            self._gate.cut()

    def revive(self) -> None:
        """The function is there again."""
        self._gate.open()

    async def finish(self) -> None:
        """Has the client and its peer say the rest, and waits until all have what they should."""
        cast = self._cast
        try:
            async with asyncio.timeout(self._patience):
                await asyncio.gather(*self._saying)
                # Who looked after the ring just now would tell its end again.
                await self._calls.until_delivered(cast.begun)
                await self._insist(CANCEL, None, callId=cast.begun, reason=_REASON)
                await self._peer.insist(CANCEL, callId=cast.later)
                await self._until_told()
        except TimeoutError as error:
            self._note(f"it took too long {error}; what came:\n  {self._app.history()}")

    @property
    def has_missed(self) -> bool:
        """Whether the client was not told what was said before it was connected: a function on a
        busy machine may not have been able to ask for that."""
        return (CANCELLED, self._cast.lost) not in self._told()

    async def result(self) -> Played:
        """What has come by now, when nothing more is under way."""
        played, cast = self._played, self._cast
        # What was told before has come before the answer.
        await self._peer.catch_up()
        if not played.failures:
            async with asyncio.timeout(self._patience):
                await insist(self._app, "device:unregister", token="nobody's")
        played.client, played.peer = self._told(), self._peers()
        played.sessions = len(self._gate.sids)
        for call in cast.calls:
            played.statuses[call] = await self._calls.status(call)
            played.changes[call] = len(await self._entries(call))
        return played

    async def end(self) -> None:
        for each in self._saying:
            each.cancel()
        await asyncio.gather(*self._saying, return_exceptions=True)
        await self._parts.aclose()

    async def _ring(self, call: str, caller: str, receiver: str) -> None:
        """Its events live for as long as it would ring: a busy machine takes its time."""
        fields = {
            "callerId": caller,
            "receiverId": receiver,
            "status": "ringing",
            "ringsUntil": datetime.now(UTC) + _RINGS,
        }
        await self._documents.collection("calls").document(call).set(fields)

    def _client(self, way: HttpRelay) -> AbstractAsyncContextManager[SocketIoApp]:
        case = self.case
        return ByDefault(case.client).signed_in(
            self._stack,
            self._cast.user,
            way=way.url,
            emits=() if case.client == PYTHON else self._said(),
            delay_seconds=_DELAY_SECONDS,
            keeps_trying=True,
            node_options=_RETRIES if case.has_retries else {},
        )

    def _said(self) -> list[tuple[str, dict[str, object]]]:
        """What the client is told to say before it is connected or, if it keeps nothing until then,
        once it is."""
        cast = self._cast
        return [
            (CANCEL, {"callId": cast.ringing, "reason": _REASON}),
            (INITIATE, {"callId": cast.begun, "receiverId": cast.peer}),
        ]

    async def _insist(self, event: str, ack: int | None, **data: object) -> None:
        repeats = not self.case.has_retries
        verdict = await insist(self._app, event, ack=ack, repeats=repeats, **data)
        self._played.verdicts[f"{event} {data['callId']}"] = verdict

    async def _until_told(self) -> None:
        cast = self._cast
        while cast.clients - self._told().keys():
            await self._app.more_than(len(self._app.reports))
        for event, call in cast.peers:
            await self._peer.hears(Heard(event, call, _REASON if event == CANCELLED else ""))

    async def _entries(self, call: str) -> list[DocumentSnapshot[Any]]:
        """Those of the outbox: each transition that was committed has left one."""
        outbox = self._documents.collection(OUTBOX)
        of_call = (
            outbox.order_by("__name__")
            .start_at({"__name__": outbox.document(f"{call}:")})
            .end_before({"__name__": outbox.document(f"{call};")})
        )
        return list(await of_call.get())

    def _told(self) -> Counter[Told]:
        """What the client was told."""
        return Counter(
            (report.name, report.detail[0].get("callId", ""))
            for report in self._app.reports
            if report.what == "event"
        )

    def _peers(self) -> Counter[Told]:
        told: Counter[Told] = Counter()
        for heard, times in self._peer.told().items():
            told[heard.event, heard.call] += times
        return told

    def _note(self, failure: str) -> None:
        self._played.failures.append(failure)
