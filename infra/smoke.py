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
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar
from urllib.parse import urlsplit

from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import GoogleAuthError
from rich import box
from rich.console import Console
from rich.table import Table
from socketio.exceptions import SocketIOError
from socketio.exceptions import TimeoutError as AckTimeoutError
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from functions.collections import USUAL, Collections
from infra.client.calls import Calls
from infra.client.flows import CANCEL, REJECT, Flow, UnexpectedError
from infra.client.phone import COLD_START_SECONDS, Phone, json_phone, socketio_phone
from infra.local.signals import run
from infra.loopback import spare_loopback

_CALLS = "smoke-"  # how the test's calls begin
_POLL_SECONDS = 0.1
_UNAUTHORIZED = 401
_Result = TypeVar("_Result")


class CannotStart(Exception):
    """The smoke test lacks something; the message is for the person who runs it."""


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


class Smoke:
    """Plays a cancel and a reject between two users, on both wires."""

    def __init__(
        self,
        url: str,
        caller: User,
        receiver: User,
        calls: Calls,
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
        self._calls = calls
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
        try:
            ringing = self._calls.ring(call, self._caller.id, self._receiver.id)
            if not await self._try(f"a call rings, to be {flow.status}", _done(ringing)):
                return
            answered, *_ = await asyncio.gather(
                self._try(f"{flow.signal} is answered", _answered(flow, sender, call)),
                *(
                    self._try(f"{flow.event} arrives, {wire}", _told(flow, phone, call))
                    for wire, phone in told.items()
                ),
            )
            if answered:  # else there is nothing to deliver
                delivered = self._calls.until_delivered(call, _POLL_SECONDS)
                await self._try("Pub/Sub has delivered it to the end", delivered)
        finally:
            await self._try("the call is removed", _done(self._calls.remove(call)))

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
        except (GoogleAPICallError, RetryError, GoogleAuthError) as error:
            wrong = f"Firestore: {error}"
        except (OSError, WebSocketException, SocketIOError, UnexpectedError) as error:
            wrong = str(error) or type(error).__name__
        self.results.append(Result(step, (perf_counter() - start) * 1000, wrong))
        return result


async def _done(work: Awaitable[None]) -> bool:
    await work
    return True


async def _answered(flow: Flow, sender: Phone, call: str) -> bool:
    verdict = await sender.emit(flow.signal, callId=call)
    if (verdict.get("ok"), verdict.get("outcome")) != (True, flow.status):
        raise UnexpectedError(f"the verdict is {verdict.get('outcome')}")
    return True


async def _told(flow: Flow, phone: Phone, call: str) -> None:
    while (told := (await phone.told(flow.event)).get("callId")) != call:
        # Who connects is told what he has missed: of an earlier run, if it was just now.
        if not str(told).startswith(_CALLS):
            raise UnexpectedError(f"it came for {told}")


async def smoke(
    url: str,
    caller: str,
    receiver: str,
    *,
    firestore: str | None = None,
    database: str = "(default)",
    collections: Collections = USUAL,
    socketio_path: str | None = None,
) -> int:
    """Runs the test with the ID tokens of two users, and prints what came; 0 if all of it holds.

    `firestore` is the address of an emulator; without it, Google's own is asked. Raises
    CannotStart.
    """
    console = Console(highlight=False)
    users = User.of(caller), User.of(receiver)
    if users[0].project != users[1].project or users[0].id == users[1].id:
        raise CannotStart("The tokens must be of two users of one project.")
    if urlsplit(url).scheme not in {"ws", "wss"}:
        raise CannotStart("The URL must begin with wss://, or ws:// for the local stack.")
    try:
        calls = Calls(firestore, users[0].project, database, collections)
    except GoogleAuthError as error:
        raise CannotStart(
            "No credentials for Firestore. Get some with: gcloud auth application-default login"
        ) from error
    console.print(f"\nSmoke test of {url}")
    console.print(f"Calls ring in the Firestore of {users[0].project}, {firestore or 'Google'}")
    test = Smoke(url, *users, calls, socketio_path=socketio_path)
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
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    spare_loopback(os.environ)
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
    parser.add_argument(
        "--socketio-path",
        metavar="PATH",
        help="of Socket.IO clients, e.g. /socket.io on a custom domain; the URL's own otherwise",
    )
    parser.add_argument("--database", metavar="ID", default="(default)", help="of Firestore")
    parser.add_argument(
        "--calls", metavar="NAME", default=USUAL.calls, help="of the collection of the calls"
    )
    parser.add_argument(
        "--collection-prefix",
        metavar="PREFIX",
        default=USUAL.prefix,
        help=f"of Unring's own collections; {USUAL.prefix} by default",
    )
    arguments = parser.parse_args()
    if not (arguments.caller and arguments.receiver):
        parser.error("two tokens are needed: --caller and --receiver")
    return run(_smoke(arguments))


async def _smoke(arguments: argparse.Namespace) -> int:
    try:
        return await smoke(
            arguments.url,
            arguments.caller,
            arguments.receiver,
            firestore=os.environ.get("FIRESTORE_EMULATOR_HOST"),
            database=arguments.database,
            collections=Collections(arguments.calls, arguments.collection_prefix),
            socketio_path=arguments.socketio_path,
        )
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
