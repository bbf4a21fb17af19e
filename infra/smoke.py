"""The smoke test: two users on a running Unring, deployed or local, and what arrived after when.

    python -m infra.smoke wss://ws.example.com/prod --api https://… --caller TOKEN --receiver TOKEN

The tokens are those of two users, of whatever kind Unring takes. Two calls are made as an app's
backend makes them, by the API with its key.
"""

import argparse
import asyncio
import base64
import json
import os
import sys
import uuid
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar
from urllib.parse import urlsplit

from rich import box
from rich.console import Console
from rich.table import Table
from socketio.exceptions import SocketIOError
from socketio.exceptions import TimeoutError as AckTimeoutError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from infra.client import https
from infra.client.flows import CANCEL, REJECT, Flow, UnexpectedError
from infra.client.phone import COLD_START_SECONDS, Phone, json_phone, socketio_phone
from infra.local.signals import run
from infra.loopback import spare_loopback

_CALLS = "smoke-"  # how the test's calls begin
_UNAUTHORIZED = 401
_Result = TypeVar("_Result")


class CannotStart(Exception):
    """The smoke test lacks something; the message is for the person who runs it."""


@dataclass(frozen=True)
class User:
    """One of the two, and the token that shows it."""

    id: str
    token: str

    @classmethod
    def of(cls, token: str, id: str | None = None) -> "User":
        """The user with this `id`, or else by the `sub` of a JSON Web Token. Raises CannotStart."""
        if id:
            return cls(id, token)
        try:
            claims = token.split(".")[1]
            read = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
            return cls(str(read["sub"]), token)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise CannotStart(
                "A token does not say whose it is: give --caller-id and --receiver-id."
            ) from error


@dataclass(frozen=True)
class Result:
    """One step: how long it took, and what went wrong with it."""

    step: str
    milliseconds: float
    wrong: str | None


class Smoke:
    """Plays a cancel and a reject between two users, on both wires."""

    def __init__(
        self,
        url: str,
        caller: User,
        receiver: User,
        backend: https.Backend,
        *,
        socketio_path: str | None = None,
        patience: float = COLD_START_SECONDS,
    ) -> None:
        """`url` is where an app connects, ws:// or wss://; `socketio_path`, unless it is given,
        the URL's own, which is the stage. `patience` is in seconds, of one step."""
        self.results: list[Result] = []
        self._url = url
        self._caller = caller
        self._receiver = receiver
        self._backend = backend
        self._socketio_path = socketio_path or urlsplit(url).path
        self._patience = patience

    @property
    def holds(self) -> bool:
        return all(result.wrong is None for result in self.results)

    async def run(self) -> None:
        """Fills `results`; what fails leaves out the steps that need it."""
        token, path = self._receiver.token, self._socketio_path.strip("/")
        async with AsyncExitStack() as open_phones:
            enter = open_phones.enter_async_context
            await self._try("a client without a token is refused", self._refused())
            caller = await self._try(
                "the caller connects, JSON", enter(json_phone(self._url, self._caller.token))
            )
            receiver = await self._try(
                "the receiver connects, JSON", enter(json_phone(self._url, token))
            )
            tablet = await self._try(
                f"the receiver connects, Socket.IO at /{path}",
                enter(socketio_phone(self._url, token, path)),
            )
            if caller is None:
                return
            told = {"JSON": receiver, "Socket.IO": tablet}
            phones = {wire: phone for wire, phone in told.items() if phone}
            await self._play(CANCEL, caller, phones)
            for phone in list(phones.values())[-1:]:
                await self._play(REJECT, phone, {"JSON": caller})

    async def _play(self, flow: Flow, sender: Phone, told: Mapping[str, Phone]) -> None:
        call = f"{_CALLS}{uuid.uuid4().hex}"
        caller, receiver = self._caller.id, self._receiver.id
        try:
            ringing = _is(self._backend.ring(call, caller, receiver), "ringing")
            if not await self._try(f"a call rings, to be {flow.status}", ringing):
                return
            answered, *_ = await asyncio.gather(
                self._try(
                    f"{flow.signal} is answered",
                    _is(sender.emit(flow.signal, callId=call), flow.status),
                ),
                *(
                    self._try(f"{flow.event} arrives, {wire}", _told(flow, phone, call))
                    for wire, phone in told.items()
                ),
            )
            if answered:  # else there is nothing to deliver
                late = self._caught_up(flow, call)
                await self._try("who connects later is told, by Pub/Sub", late)
        finally:
            await self._try("the call rings no more", self._end(call))

    async def _caught_up(self, flow: Flow, call: str) -> None:
        user = self._caller if flow.told == "caller" else self._receiver
        async with json_phone(self._url, user.token) as phone:
            await _told(flow, phone, call)

    async def _end(self, call: str) -> None:
        """Whatever failed, nobody's phone must ring on."""
        verdict = await self._backend.on_behalf_of(self._caller.id).emit("call:end", callId=call)
        if verdict.get("outcome") == "unavailable":
            raise UnexpectedError("the verdict is unavailable")

    async def _refused(self) -> None:
        try:
            async with connect(self._url):
                raise UnexpectedError("it was let in")
        except InvalidStatus as error:
            status = error.response.status_code
            if status != _UNAUTHORIZED:
                raise UnexpectedError(f"it was refused, but with HTTP {status}") from error

    async def _try(self, step: str, work: Awaitable[_Result]) -> _Result | None:
        """What `work` gives, or None if it fails."""
        start = perf_counter()
        result, wrong = None, None
        try:
            async with asyncio.timeout(self._patience):
                result = await work
        except (TimeoutError, AckTimeoutError) as error:
            wrong = str(error) or "nothing came"
        except (OSError, WebSocketException, SocketIOError, UnexpectedError) as error:
            wrong = str(error) or type(error).__name__
        self.results.append(Result(step, (perf_counter() - start) * 1000, wrong))
        return result


async def _is(verdict: Awaitable[Mapping[str, object]], outcome: str) -> bool:
    """Raises UnexpectedError if the verdict is another one."""
    said = await verdict
    if (said.get("ok"), said.get("outcome")) != (True, outcome):
        why = f": {said['message']}" if "message" in said else ""
        raise UnexpectedError(f"the verdict is {said.get('outcome')}{why}")
    return True


async def _told(flow: Flow, phone: Phone, call: str) -> None:
    while (told := (await phone.told(flow.event)).get("callId")) != call:
        # Who connects is told what he has missed: of an earlier run, if it was just now.
        if not str(told).startswith(_CALLS):
            raise UnexpectedError(f"it came for {told}")


async def smoke(
    url: str,
    api: str,
    key: str,
    caller: User,
    receiver: User,
    *,
    socketio_path: str | None = None,
) -> int:
    """Runs the test between two users, and prints what came; 0 if all of it holds. `api` is the URL
    of the API, and `key` the backend's. Raises CannotStart."""
    console = Console(highlight=False)
    if caller.id == receiver.id:
        raise CannotStart("The tokens must be of two users.")
    if urlsplit(url).scheme not in {"ws", "wss"}:
        raise CannotStart("The URL must begin with wss://, or ws:// for the local stack.")
    if urlsplit(api).scheme not in {"http", "https"}:
        raise CannotStart("The API's URL must begin with https://, or http:// for the local stack.")
    console.print(f"\nSmoke test of {url}")
    console.print(f"Calls ring by {api}")
    async with https.client(api) as http:
        backend = https.Backend(http, key)
        test = Smoke(url, caller, receiver, backend, socketio_path=socketio_path)
        await test.run()
    console.print(_table(test.results))
    if test.holds:
        console.print("[green]All of it holds.[/]\n")
    for result in test.results:
        if result.wrong is not None:
            console.print(f"[red]{result.step}: {result.wrong}[/]")
    return 0 if test.holds else 1


def _table(results: list[Result]) -> Table:
    table = Table(box=box.ROUNDED)
    table.add_column("step", no_wrap=True)
    table.add_column("after", justify="right")
    table.add_column()
    for result in results:
        mark = "[green]✓[/]" if result.wrong is None else "[red]✗[/]"
        table.add_row(result.step, f"{result.milliseconds:.0f} ms", mark)
    return table


def main() -> int:
    spare_loopback(os.environ)
    parser = argparse.ArgumentParser(
        prog="python -m infra.smoke", description="Connects two users, cancels, rejects."
    )
    parser.add_argument("url", help="where an app connects: wss://…")
    _add(parser, "--api", "API_URL", "URL", "where a backend asks: https://…")
    _add(parser, "--api-key", "API_KEY", "KEY", "the backend's key")
    for user in ("caller", "receiver"):
        _add(parser, f"--{user}", f"{user.upper()}_TOKEN", "TOKEN", f"the {user}'s token")
        parser.add_argument(
            f"--{user}-id",
            metavar="ID",
            help=f"the {user}; not needed if the token is a JSON Web Token that names him as `sub`",
        )
    parser.add_argument(
        "--socketio-path",
        metavar="PATH",
        help="of Socket.IO clients, e.g. /socket.io on a custom domain; the URL's own otherwise",
    )
    arguments = parser.parse_args()
    needed = ("api", "api_key", "caller", "receiver")
    missing = [f"--{name.replace('_', '-')}" for name in needed if not getattr(arguments, name)]
    if missing:
        parser.error(f"needed: {', '.join(missing)}")
    return run(_smoke(arguments))


def _add(
    parser: argparse.ArgumentParser, option: str, variable: str, value: str, help: str
) -> None:
    default = os.environ.get(variable)
    parser.add_argument(option, metavar=value, default=default, help=f"{help}; or set {variable}")


async def _smoke(arguments: argparse.Namespace) -> int:
    try:
        return await smoke(
            arguments.url,
            arguments.api,
            arguments.api_key,
            User.of(arguments.caller, arguments.caller_id),
            User.of(arguments.receiver, arguments.receiver_id),
            socketio_path=arguments.socketio_path,
        )
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
