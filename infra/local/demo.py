"""The demo: the request's three test cases, the reject flow, Socket.IO, a late app, and who has no
socket to cancel by, on the real stack."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from rich import box
from rich.console import Console
from rich.table import Table

from infra.client import https
from infra.client.calls import Calls
from infra.client.flows import CANCEL, REJECT, Flow, UnexpectedError
from infra.client.phone import JsonPhone, Phone, json_phone, socketio_phone
from infra.emulators.auth.tokens import unsigned_token
from infra.local.stack import Stack, passing_stack

_PATIENCE_SECONDS = 10.0
_JSON, _SOCKET_IO, _FCM = "WebSocket", "Socket.IO", "FCM"
_HTTPS, _BACKEND = "HTTPS", "the app's backend"
_PHONES: Mapping[str, Callable[[str, str], AbstractAsyncContextManager[Phone]]] = {
    _JSON: json_phone,
    _SOCKET_IO: socketio_phone,
}


def _firebase(stack: Stack, user: str) -> str:
    return unsigned_token(user, stack.project)


def _opaque(stack: Stack, user: str) -> str:
    """A token of the app's own backend, which Unring asks whose it is."""
    assert stack.identities.opaque  # noqa: S101 - the demo's stack has it
    return stack.identities.opaque.issue(user)


class Sender(Protocol):
    """Who sends a signal, and hears the verdict."""

    async def emit(self, event: str, **data: object) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Case:
    """A flow, by what the signal goes and the event comes, what happens to the told one's socket
    before, how many seconds after the signal that app connects again, if it does, and what the
    users' tokens are."""

    title: str
    flow: Flow
    sends: str = _JSON
    listens: str = _JSON
    leaves: Callable[[JsonPhone], Awaitable[None]] | None = None
    comes_back: float | None = None
    tokens: Callable[[Stack, str], str] = _firebase

    def __post_init__(self) -> None:
        if self.leaves and self.listens != _JSON:
            raise ValueError("only a JSON phone can leave")
        if self.comes_back and not self.leaves:
            raise ValueError("only who has left can come back")


CASES = (
    Case("1  Socket connected", CANCEL),
    Case("2  Socket disconnected", CANCEL, leaves=JsonPhone.hang_up),
    Case("3  App killed", CANCEL, leaves=JsonPhone.die),
    Case("4  Call rejected", REJECT),
    Case("5  Socket.IO to JSON", CANCEL, sends=_SOCKET_IO),
    Case("6  JSON to Socket.IO", CANCEL, listens=_SOCKET_IO),
    Case("7  Connects 1 s late", CANCEL, leaves=JsonPhone.die, comes_back=1.0),
    Case("8  Cancel over HTTPS", CANCEL, sends=_HTTPS),
    Case("9  Cancel by a backend", CANCEL, sends=_BACKEND),
    Case("10 Opaque tokens", CANCEL, tokens=_opaque),
)


@dataclass(frozen=True)
class Arrival:
    what: str
    channel: str
    milliseconds: float


@dataclass(frozen=True)
class Played:
    """What came of a case; `wrong` says what did not hold, None that all did."""

    case: Case
    arrivals: list[Arrival]
    status: str
    wrong: str | None


async def demo(google: bool = False) -> int:
    """Plays all cases and prints the table; 0 only if all of them hold."""
    console = Console(highlight=False)
    console.print("\nStarting five functions and the clouds' services around them …")
    async with passing_stack(google, IDENTITY="firebase,introspection") as stack:
        played = [await play(case, stack, number) for number, case in enumerate(CASES, 1)]
    console.print(_table(played))
    failures = [result for result in played if result.wrong]
    for result in failures:
        console.print(f"[red]{result.case.title}: {result.wrong}[/]")
    if not failures:
        console.print("[green]All cases hold.[/] Times run from the send to the arrival.\n")
    return 1 if failures else 0


async def play(case: Case, stack: Stack, number: int) -> Played:
    """Plays one case with a caller and a receiver of its own."""
    call, caller, receiver = f"CALL_{number}", f"USR_{number}_CALLER", f"USR_{number}_RECEIVER"
    told, sender = (caller, receiver) if case.flow.told == "caller" else (receiver, caller)
    calls = Calls(stack.firestore, stack.project)
    stack.fcm.clear()
    arrivals: list[Arrival] = []
    wrong = None
    async with AsyncExitStack() as phones:

        async def connected(user: str, wire: str) -> Phone:
            token = case.tokens(stack, user)
            return await phones.enter_async_context(_PHONES[wire](stack.websocket, token))

        async def without_socket(user: str, by: str) -> Sender:
            http = await phones.enter_async_context(https.client(stack.functions["api"]))
            if by == _BACKEND:
                return https.Backend(http, stack.values["API_KEY"]).on_behalf_of(user)
            return https.App(http, case.tokens(stack, user))

        sending: Sender = (
            await connected(sender, case.sends)
            if case.sends in _PHONES
            else await without_socket(sender, case.sends)
        )
        listening = await connected(told, case.listens)
        await listening.emit("device:register", token=f"fcm-token-of-{told}", platform="android")
        if case.leaves and isinstance(listening, JsonPhone):
            await case.leaves(listening)
            await _disconnected(calls, told)
        await calls.ring(call, caller, receiver)
        start = perf_counter()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_answered(case.flow, sending, call))
                tasks.create_task(_pushed(case.flow, stack, call, start, arrivals))
                if case.comes_back:
                    await asyncio.sleep(case.comes_back)
                    listening = await connected(told, case.listens)
                if case.comes_back or not case.leaves:
                    tasks.create_task(_told(case, listening, call, start, arrivals))
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await calls.until_delivered(call)
        except* (TimeoutError, UnexpectedError) as errors:
            wrong = "; ".join(str(error) or "nothing came" for error in errors.exceptions)
        if listening.untold() or len(stack.fcm.messages) > 1:
            wrong = "the event came more than once"
    status = await calls.status(call)
    if status != case.flow.status:
        wrong = f"the call is {status}"
    return Played(case, sorted(arrivals, key=lambda a: a.milliseconds), status, wrong)


async def _answered(flow: Flow, sending: Sender, call: str) -> None:
    verdict = await sending.emit(flow.signal, callId=call)
    if (verdict["ok"], verdict["outcome"]) != (True, flow.status):
        raise UnexpectedError(f"{flow.signal} was answered {verdict['outcome']}")


async def _told(
    case: Case, listening: Phone, call: str, start: float, arrivals: list[Arrival]
) -> None:
    event = case.flow.event
    data = await listening.told(event)
    arrivals.append(Arrival(event, case.listens, (data["at"] - start) * 1000))
    if data["callId"] != call:
        raise UnexpectedError(f"{event} came for {data['callId']}")


async def _pushed(
    flow: Flow, stack: Stack, call: str, start: float, arrivals: list[Arrival]
) -> None:
    message = (await stack.fcm.wait_for(1, _PATIENCE_SECONDS))[0]
    arrivals.append(Arrival(flow.push, _FCM, (perf_counter() - start) * 1000))
    if (message["data"]["type"], message["data"]["callId"]) != (flow.push, call):
        raise UnexpectedError(f"FCM was sent {message['data']}")


async def _disconnected(calls: Calls, user: str) -> None:
    """Waits until the backend knows that the socket is gone."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while await calls.is_connected(user):  # noqa: ASYNC110 - Firestore tells nobody
            await asyncio.sleep(0.01)


def _table(played: list[Played]) -> Table:
    table = Table(box=box.ROUNDED, title="What the other phone got", title_style="bold")
    for column in ("case", "got", "by"):
        table.add_column(column, no_wrap=True)
    table.add_column("after", justify="right")
    table.add_column("call")
    table.add_column()
    for result in played:
        arrivals = result.arrivals
        table.add_row(
            result.case.title,
            "\n".join(arrival.what for arrival in arrivals),
            "\n".join(arrival.channel for arrival in arrivals),
            "\n".join(_after(arrival.milliseconds) for arrival in arrivals),
            result.status,
            "[red]✗[/]" if result.wrong else "[green]✓[/]",
            end_section=True,
        )
    return table


def _after(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"
