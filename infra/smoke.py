"""The smoke test: two users on a running Unring, deployed or local, and what arrived after when.

    python -m infra.smoke wss://ws.example.com/prod --caller TOKEN --receiver TOKEN

The tokens are Firebase ID tokens of two users. Two calls are made in the Firestore of their
project, as the app's backend makes them, and removed again: with Google's application default
credentials, or at FIRESTORE_EMULATOR_HOST.
"""

import argparse
import asyncio
import base64
import json
import os
import sys
import uuid
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar
from urllib.parse import urlsplit

from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError
from rich import box
from rich.console import Console
from rich.table import Table
from socketio.exceptions import SocketIOError
from socketio.exceptions import TimeoutError as AckTimeoutError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from infra.local.calls import Calls
from infra.local.phone import Phone, json_phone, socketio_phone

_PATIENCE_SECONDS = 15.0  # the functions may start cold
_POLL_SECONDS = 0.1
_UNAUTHORIZED = 401
_Result = TypeVar("_Result")


class CannotStart(Exception):
    """The smoke test lacks something; the message is for the person who runs it."""


class Wrong(Exception):
    """Something else came than what should have."""


@dataclass(frozen=True)
class User:
    """Whom a Firebase ID token is of, and of which project, as the token says."""

    id: str
    project: str
    token: str

    @classmethod
    def of(cls, token: str) -> "User":
        """Raises CannotStart."""
        try:
            claims = token.split(".")[1]
            read = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
            return cls(str(read["sub"]), str(read["aud"]), token)
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise CannotStart("A token is no Firebase ID token.") from error


@dataclass(frozen=True)
class Result:
    """One step: how long it took, and what went wrong with it."""

    step: str
    milliseconds: float
    wrong: str | None


@dataclass(frozen=True)
class Flow:
    """A signal, what it makes of the call, and the event that tells of it."""

    signal: str
    status: str
    event: str


CANCEL = Flow("call:cancel", "cancelled", "call:cancelled")
REJECT = Flow("call:reject", "rejected", "call:rejected")


class Smoke:
    """Plays a cancel and a reject between two users, on both wires."""

    def __init__(self, url: str, caller: User, receiver: User, calls: Calls) -> None:
        """`url` is where an app connects, ws:// or wss://."""
        self.results: list[Result] = []
        self._url = url
        self._caller = caller
        self._receiver = receiver
        self._calls = calls

    @property
    def holds(self) -> bool:
        return not any(result.wrong for result in self.results)

    async def run(self) -> None:
        """Fills `results`; a step that fails ends it, if those after it need what it gives."""
        # Without a mapping key on a custom domain, Socket.IO's path is the stage.
        path = urlsplit(self._url).path.strip("/") or "socket.io"
        token = self._receiver.token
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
                "the receiver connects, Socket.IO", enter(socketio_phone(self._url, token, path))
            )
            if caller is None or receiver is None or tablet is None:
                return
            await self._play(CANCEL, caller, {"JSON": receiver, "Socket.IO": tablet})
            await self._play(REJECT, tablet, {"JSON": caller})

    async def _play(self, flow: Flow, sender: Phone, told: dict[str, Phone]) -> None:
        call = f"smoke-{uuid.uuid4().hex}"
        ringing = self._calls.ring(call, self._caller.id, self._receiver.id)
        if not await self._try(f"a call rings, to be {flow.status}", _done(ringing)):
            return
        try:
            await asyncio.gather(
                self._try(f"{flow.signal} is answered", _answered(flow, sender, call)),
                *(
                    self._try(f"{flow.event} arrives, {wire}", _told(flow, phone, call))
                    for wire, phone in told.items()
                ),
            )
            await self._try("Pub/Sub has delivered it to the end", self._delivered(call))
        finally:
            await self._calls.remove(call)

    async def _refused(self) -> None:
        try:
            async with connect(self._url):
                raise Wrong("it was let in")
        except InvalidStatus as error:
            if error.response.status_code != _UNAUTHORIZED:
                raise

    async def _delivered(self, call: str) -> None:
        while not await self._calls.is_delivered(call):  # noqa: ASYNC110 - Firestore tells nobody
            await asyncio.sleep(_POLL_SECONDS)

    async def _try(self, step: str, work: Awaitable[_Result]) -> _Result | None:
        """What `work` gives, or None if it fails."""
        start = perf_counter()
        result, wrong = None, None
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                result = await work
        except (TimeoutError, AckTimeoutError):
            wrong = "nothing came"
        except (GoogleAPICallError, GoogleAuthError) as error:
            wrong = f"Firestore: {error}"
        except (OSError, WebSocketException, SocketIOError, Wrong) as error:
            wrong = str(error)
        self.results.append(Result(step, (perf_counter() - start) * 1000, wrong))
        return result


async def _done(work: Awaitable[None]) -> bool:
    await work
    return True


async def _answered(flow: Flow, sender: Phone, call: str) -> None:
    verdict = await sender.emit(flow.signal, callId=call)
    if (verdict.get("ok"), verdict.get("outcome")) != (True, flow.status):
        raise Wrong(f"the verdict is {verdict.get('outcome')}")


async def _told(flow: Flow, phone: Phone, call: str) -> None:
    data = await phone.told(flow.event)
    if data.get("callId") != call:
        raise Wrong(f"it came for {data.get('callId')}")


async def smoke(url: str, caller: str, receiver: str, firestore: str | None = None) -> int:
    """Runs the test with the ID tokens of two users, and prints what came; 0 if all of it holds.

    `firestore` is the address of an emulator; without it, Google's own is asked.
    """
    console = Console(highlight=False)
    users = User.of(caller), User.of(receiver)
    if users[0].project != users[1].project or users[0].id == users[1].id:
        raise CannotStart("The tokens must be of two users of one project.")
    if urlsplit(url).scheme not in {"ws", "wss"}:
        raise CannotStart("The URL must begin with wss://, or ws:// for the local stack.")
    try:
        calls = Calls(firestore, users[0].project)
    except GoogleAuthError as error:
        raise CannotStart(
            "No credentials for Firestore. Get some with: gcloud auth application-default login"
        ) from error
    console.print(f"\nSmoke test of {url}, project {users[0].project}")
    test = Smoke(url, *users, calls)
    await test.run()
    console.print(_table(test.results))
    if test.holds:
        console.print("[green]All of it holds.[/]\n")
    for result in test.results:
        if result.wrong:
            console.print(f"[red]{result.step}: {result.wrong}[/]")
    return 0 if test.holds else 1


def _table(results: list[Result]) -> Table:
    table = Table(box=box.ROUNDED)
    table.add_column("step", no_wrap=True)
    table.add_column("after", justify="right")
    table.add_column()
    for result in results:
        mark = "[red]✗[/]" if result.wrong else "[green]✓[/]"
        table.add_row(result.step, f"{result.milliseconds:.0f} ms", mark)
    return table


def main() -> int:
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    parser = argparse.ArgumentParser(
        prog="python -m infra.smoke", description="Connects two users, cancels, rejects."
    )
    parser.add_argument("url", help="where an app connects: wss://…")
    for user in ("caller", "receiver"):
        variable = f"{user.upper()}_TOKEN"
        parser.add_argument(
            f"--{user}",
            metavar="TOKEN",
            default=os.environ.get(variable),
            help=f"the {user}'s Firebase ID token; or set {variable}",
        )
    arguments = parser.parse_args()
    if not (arguments.caller and arguments.receiver):
        parser.error("two tokens are needed: --caller and --receiver")
    try:
        emulator = os.environ.get("FIRESTORE_EMULATOR_HOST")
        return asyncio.run(smoke(arguments.url, arguments.caller, arguments.receiver, emulator))
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
