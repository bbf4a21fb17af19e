"""The demo's cases of one signal: the request's three test cases, the reject flow, Socket.IO, a
late app, and who has no socket to cancel by."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from infra.client import https
from infra.client.calls import Calls
from infra.client.flows import CANCEL, REJECT, Flow, UnexpectedError
from infra.client.phone import JsonPhone, Phone, json_phone, socketio_phone
from infra.emulators.auth.tokens import unsigned_token
from infra.local.played import (
    JSON,
    PATIENCE_SECONDS,
    SOCKET_IO,
    WEBHOOK,
    Arrivals,
    Played,
    pushes_to,
)
from infra.local.stack import Stack

_HTTPS, _BACKEND = "HTTPS", "the app's backend"
_PHONES: Mapping[str, Callable[[str, str], AbstractAsyncContextManager[Phone]]] = {
    JSON: json_phone,
    SOCKET_IO: socketio_phone,
}


def firebase(stack: Stack, user: str) -> str:
    return unsigned_token(user, stack.project)


class Sender(Protocol):
    """Who sends a signal, and hears the verdict."""

    async def emit(self, event: str, **data: object) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Case:
    """A flow, by what the signal goes and the event comes, what happens to the told one's socket
    before, and how many seconds after the signal that app connects again, if it does."""

    title: str
    flow: Flow
    sends: str = JSON
    listens: str = JSON
    leaves: Callable[[JsonPhone], Awaitable[None]] | None = None
    comes_back: float | None = None
    is_followed: bool = False  # by the app's backend, which hears of it by a webhook

    def __post_init__(self) -> None:
        if self.leaves and self.listens != JSON:
            raise ValueError("only a JSON phone can leave")
        if self.comes_back and not self.leaves:
            raise ValueError("only who has left can come back")


CASES = (
    Case("1  Socket connected", CANCEL),
    Case("2  Socket disconnected", CANCEL, leaves=JsonPhone.hang_up),
    Case("3  App killed", CANCEL, leaves=JsonPhone.die),
    Case("4  Call rejected", REJECT),
    Case("5  Socket.IO to JSON", CANCEL, sends=SOCKET_IO),
    Case("6  JSON to Socket.IO", CANCEL, listens=SOCKET_IO),
    Case("7  Connects 1 s late", CANCEL, leaves=JsonPhone.die, comes_back=1.0),
    Case("8  Cancel over HTTPS", CANCEL, sends=_HTTPS),
    Case("9  Cancel by a backend", CANCEL, sends=_BACKEND, is_followed=True),
)


async def play(case: Case, stack: Stack, number: int) -> Played:
    """Plays one case with a caller and a receiver of its own."""
    call, caller, receiver = f"CALL_{number}", f"USR_{number}_CALLER", f"USR_{number}_RECEIVER"
    told, sender = (caller, receiver) if case.flow.told == "caller" else (receiver, caller)
    calls = Calls(stack.firestore, stack.project)
    device = f"fcm-token-of-{told}"
    flow, came = case.flow, Arrivals()
    async with AsyncExitStack() as phones:

        async def connected(user: str, wire: str) -> Phone:
            phone = _PHONES[wire](stack.websocket, firebase(stack, user))
            return await phones.enter_async_context(phone)

        async def without_socket(user: str, by: str) -> Sender:
            http = await phones.enter_async_context(https.client(stack.functions["api"]))
            if by == _BACKEND:
                return https.Backend(http, stack.values["API_KEY"]).on_behalf_of(user)
            return https.App(http, firebase(stack, user))

        sending: Sender = (
            await connected(sender, case.sends)
            if case.sends in _PHONES
            else await without_socket(sender, case.sends)
        )
        listening = await connected(told, case.listens)
        await listening.emit("device:register", token=device, platform="android")
        if case.leaves and isinstance(listening, JsonPhone):
            await case.leaves(listening)
            await _disconnected(calls, told)
        await calls.ring(call, caller, receiver)
        came.start()
        with came.judged():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_answered(flow, sending, call))
                tasks.create_task(came.pushed(stack, device, 1, type=flow.push, callId=call))
                if case.is_followed:
                    tasks.create_task(_followed(flow, stack, call, came))
                if case.comes_back:
                    await asyncio.sleep(case.comes_back)
                    listening = await connected(told, case.listens)
                if case.comes_back or not case.leaves:
                    heard = came.told(listening, case.listens, flow.event, callId=call)
                    tasks.create_task(heard)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await calls.until_delivered(call)
        if listening.untold() or len(await pushes_to(stack, device)) > 1:
            came.wrong = "the event came more than once"
    return await came.played(case.title, calls, call, flow.status)


async def _answered(flow: Flow, sending: Sender, call: str) -> None:
    verdict = await sending.emit(flow.signal, callId=call)
    if (verdict["ok"], verdict["outcome"]) != (True, flow.status):
        raise UnexpectedError(f"{flow.signal} was answered {verdict['outcome']}")


async def _followed(flow: Flow, stack: Stack, call: str, came: Arrivals) -> None:
    assert stack.backend is not None  # noqa: S101 - the demo's stack plays it
    type = f"call.{flow.status}"
    await stack.backend.wait_for(type, about=f'"{call}"', patience=PATIENCE_SECONDS)
    came.note(type, WEBHOOK)


async def _disconnected(calls: Calls, user: str) -> None:
    """Waits until the backend knows that the socket is gone."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await calls.is_connected(user):  # noqa: ASYNC110 - Firestore tells nobody
            await asyncio.sleep(0.01)
