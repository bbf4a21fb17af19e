"""The demo's cases of a ring that its caller asks for: how it ends without him, and the app that
asked for Unring."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from infra.client import https
from infra.client.calls import Calls
from infra.client.flows import UnexpectedError
from infra.client.phone import JsonPhone, Phone, SocketIoPhone, json_phone, socketio_phone
from infra.local.cases import firebase
from infra.local.played import (
    JSON,
    PATIENCE_SECONDS,
    SOCKET_IO,
    Arrivals,
    Played,
    expect,
    pushes_to,
)
from infra.local.stack import Stack

SECONDS = 5  # the shortest ring that there is
GRACE_SECONDS = 1  # for which a caller may be gone


@dataclass
class Stage:
    """The parties of one call, and what comes to their phones."""

    stack: Stack
    phones: AsyncExitStack
    call: str
    caller: str
    receiver: str
    rings: asyncio.Event  # set when all of the receiver's devices do
    calls: Calls
    came: Arrivals = field(default_factory=Arrivals)
    _receivers: list[tuple[Phone, str]] = field(default_factory=list)

    async def connected(self, user: str) -> JsonPhone:
        token = firebase(self.stack, user)
        return await self.phones.enter_async_context(json_phone(self.stack.websocket, token))

    async def connected_by_default(self, user: str) -> SocketIoPhone:
        """An app whose client keeps its default options, and begins by polling; its backend alone
        knows whose its token is."""
        assert self.stack.identities.opaque  # noqa: S101 - the demo's stack has it
        token = self.stack.identities.opaque.issue(user)
        transports = ("polling", "websocket")
        phone = socketio_phone(self.stack.websocket, token, user=user, transports=transports)
        app = await self.phones.enter_async_context(phone)
        if app.transport != "websocket":
            raise UnexpectedError(f"the app is still {app.transport}")
        return app

    async def receiving(self, device: str) -> tuple[JsonPhone, str]:
        """One of the receiver's devices, and how FCM knows it."""
        phone, token = await self.connected(self.receiver), f"fcm-token-of-{self.receiver}-{device}"
        await phone.emit("device:register", token=token, platform="android")
        self._receivers.append((phone, token))
        return phone, token

    async def receiving_by_default(self) -> tuple[SocketIoPhone, str]:
        """The same of such an app, which leaves it to its backend to register the device."""
        token = f"fcm-token-of-{self.receiver}"
        async with https.client(self.stack.functions["api"]) as http:
            backend = https.Backend(http, self.stack.values["API_KEY"])
            verdict = await backend.register(self.receiver, token, "android")
        expect("the device", verdict, {"outcome": "registered"})
        phone = await self.connected_by_default(self.receiver)
        self._receivers.append((phone, token))
        return phone, token

    async def initiate(self, caller: Phone, **more: object) -> None:
        """Has all of the receiver's devices ring, as by an emit that says `more`."""
        self.came.start()
        verdict = await caller.emit(
            "call:initiate", callId=self.call, receiverId=self.receiver, **more
        )
        expect("call:initiate", verdict, {"outcome": "ringing"})
        for phone, token in self._receivers:
            data, named = await phone.told("call:incoming"), f"User {self.caller}"
            expect("call:incoming", data, {"callId": self.call, "callerName": named})
            # Waited for, as the push of a ring that has ended is not sent any more.
            push, *_ = await pushes_to(self.stack, token, 1)
            expect("a push", push["data"], {"type": "incoming_call", "callId": self.call})
        # Nobody answers as fast as a test can: what ends before `deliver` has done with the ring is
        # told once more, in case that the ring came after it.
        await self.delivered()
        self.rings.set()

    async def delivered(self) -> None:
        """Waits until whoever is to be told of what happened has been."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.calls.until_delivered(self.call)

    async def silenced(self, phone: JsonPhone, token: str, cause: str) -> None:
        """Waits until a device that rings is told to stop, by its socket and by a push."""
        said = {"callId": self.call, "cause": cause}
        push = self.came.pushed(self.stack, token, 2, type="call_cancelled", **said)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.came.told(phone, JSON, "call:cancelled", **said))
            tasks.create_task(push)

    async def has_no_more(self) -> None:
        """Raises UnexpectedError if anything came that nobody waited for."""
        for phone, token in self._receivers:
            if phone.untold() or len(await pushes_to(self.stack, token)) > 2:
                raise UnexpectedError("the end came more than once")


async def _answered_elsewhere(stage: Stage) -> None:
    caller = await stage.connected(stage.caller)
    phone, own = await stage.receiving("phone")
    tablet, other = await stage.receiving("tablet")
    await stage.initiate(caller)
    stage.came.start()
    verdict = await phone.emit("call:accept", callId=stage.call)
    expect("call:accept", verdict, {"outcome": "accepted"})
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.came.told(caller, JSON, "call:accepted", callId=stage.call))
        tasks.create_task(stage.silenced(tablet, other, "answered_elsewhere"))
    if len(await pushes_to(stage.stack, own)) > 1:
        raise UnexpectedError("the phone that answered was silenced")


async def _times_out(stage: Stage) -> None:
    caller = await stage.connected(stage.caller)
    phone, token = await stage.receiving("phone")
    await stage.initiate(caller, ringSeconds=SECONDS)
    said = {"callId": stage.call, "reason": "No answer"}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.came.told(caller, JSON, "call:timeout", **said))
        tasks.create_task(stage.silenced(phone, token, "timeout"))


async def _caller_vanishes(stage: Stage) -> None:
    caller = await stage.connected(stage.caller)
    phone, token = await stage.receiving("phone")
    await stage.initiate(caller)
    await caller.die()
    stage.came.start()
    await stage.silenced(phone, token, "caller_gone")


async def _is_the_app_that_asked(stage: Stage) -> None:
    caller = await stage.connected_by_default(stage.caller)
    phone, token = await stage.receiving_by_default()
    await stage.initiate(caller, callType="AUDIO", channelName="room", agoraToken="007eJx")
    said = {"callId": stage.call, "reason": "Caller ended call"}
    stage.came.start()
    verdict = await caller.emit("call:cancel", **said)
    expect("call:cancel", verdict, {"outcome": "cancelled"})
    push = {"callId": stage.call, "callerId": stage.caller}
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.came.told(phone, SOCKET_IO, "call:cancelled", **said))
        tasks.create_task(stage.came.pushed(stage.stack, token, 2, type="call_cancelled", **push))


@dataclass(frozen=True)
class Ring:
    """How a ring ends, and what its call becomes."""

    title: str
    ends: Callable[[Stage], Awaitable[None]]
    status: str
    is_long: bool = False  # it takes seconds, by whatever it waits for

    async def play(self, stack: Stack, number: int, rings: asyncio.Event) -> Played:
        """Plays it with a caller and a receiver of its own; `rings` says when there is nothing to
        do but wait."""
        call, caller, receiver = f"CALL_{number}", f"USR_{number}_CALLER", f"USR_{number}_RECEIVER"
        calls = Calls(stack.firestore, stack.project)
        async with AsyncExitStack() as phones:
            stage = Stage(stack, phones, call, caller, receiver, rings, calls)
            with stage.came.judged():
                await self.ends(stage)
                await stage.delivered()
                await stage.has_no_more()
            rings.set()  # whatever went wrong
        return await stage.came.played(self.title, calls, call, self.status)


RINGS = (
    Ring("10 Answered elsewhere", _answered_elsewhere, "accepted"),
    Ring(f"11 No answer for {SECONDS} s", _times_out, "missed", is_long=True),
    Ring(f"12 Caller gone for {GRACE_SECONDS} s", _caller_vanishes, "cancelled", is_long=True),
    Ring("13 The app that asked,\n   only its URL is new", _is_the_app_that_asked, "cancelled"),
)
