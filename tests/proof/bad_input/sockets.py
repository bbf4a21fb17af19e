"""Bad frames on open WebSockets, as clients send them, and bad handshakes.

Nothing that can be read from one ends a session, but for the packets by which a client does. Frames
are within API Gateway's limits and are text, since API Gateway itself closes a connection for
others. Each waits for the answer to the one before, so that answers can't be mistaken.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from functions.calls.transitions import SIGNALS
from infra.emulators.auth.tokens import unsigned_token
from infra.local.stack import Stack
from tests.proof.bad_input.case import (
    Answer,
    Case,
    Header,
    World,
    is_passing,
    printable,
    random_of,
    refused,
    request,
)
from tests.proof.bad_input.damage import odd_text
from tests.proof.bad_input.frames import (
    RECONNECT,
    Sender,
    json_frames,
    may_end_session,
    socketio_frames,
    wrong_with_frame,
)
from tests.proof.bad_input.passing import NOBODYS, Visitor
from tests.proof.bad_input.tokens import bad_token
from tests.proof.bad_input.traces import Passed

_PATIENCE_SECONDS = 20.0
_TRIES = 3
_LONGEST = 30_000  # bytes; API Gateway takes 32 KB in one frame
# An event, but for the one that says what is wrong with a frame.
_TELLS = re.compile(r'(?:42\[|\{"event":)"call:(?!error")')
_UNKNOWN = '{"event":"call:cancel","data":{"callId":"CALL_NOBODY_HAS"},"id":7}'

_Make = Callable[[Random, World], Iterator[bytes]]


@dataclass(slots=True)
class OpenSocket:
    """A connection, what is sent on it, and whose it is."""

    row: str
    socket: ClientConnection
    sender: Sender
    frames: Iterator[bytes]
    still: tuple[str, str]  # a frame that makes sense, and part of its answer
    apart: Callable[[str], Awaitable[str | None]] | None = None  # where what may end it is sent
    told: list[str] = field(default_factory=list)  # frames that answered nothing

    async def send_next(self) -> tuple[bytes, str | None]:
        """Sends the next frame; gives it, and a sentence if its answer is not what it must be.

        Raises Silent when there is no answer: after that, none could be told from the next.
        """
        frame = next(self.frames)
        if self.apart and may_end_session(frame):
            return frame, await self.apart(frame.decode())
        answer = await self._ask(frame.decode())
        return frame, wrong_with_frame(frame, answer, self.sender)

    async def wrong_with_session(self) -> str | None:
        """What is wrong, after all frames, with a session that should be as before."""
        frame, expected = self.still
        answer = await self._ask(frame)
        return None if expected in answer.decode() else f"the session answers {answer[:120]!r}"

    async def _ask(self, frame: str) -> bytes:
        for _ in range(_TRIES - 1):
            answer = await self._answer(frame)
            # A client that asks to be let in is told to reconnect when nobody can say just now.
            if not (is_passing(answer) or answer == RECONNECT):
                return answer
        return await self._answer(frame)

    async def _answer(self, frame: str) -> bytes:
        """The next frame that is no event: of those nobody here should be told any."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self.socket.send(frame)
                while _TELLS.match(answer := str(await self.socket.recv())):
                    self.told.append(answer)
        except ConnectionClosed as error:
            raise Silent(f"{frame[:300]!r} ends the connection: {error}") from error
        except TimeoutError as error:
            raise Silent(f"{frame[:300]!r} is not answered") from error
        return answer.encode()


class Silent(Exception):
    """A connection that answers no more; the message says after what."""


@asynccontextmanager
async def open_sockets(
    stack: Stack, world: World, seed: int, passed: Passed
) -> AsyncIterator[list[OpenSocket]]:
    """One of a stranger on each wire, one that is not let in, and one of the caller of the call.

    `passed` takes the connections of Socket.IO clients, of which some are opened for what may end
    one.
    """
    async with AsyncExitStack() as parts:
        opener = _Opener(parts, stack, world, seed, passed)
        yield [
            await opener.on_json(
                "frames on open sockets, JSON", world.stranger, Sender.STRANGER, _json_texts
            ),
            await opener.on_json(
                "malformed frames of the caller", world.caller, Sender.CALLER, _malformed
            ),
            *[
                await opener.on_socketio(
                    "frames on open sockets, Socket.IO", version, Sender.STRANGER, _inside
                )
                for version in (3, 4)
            ],
            await opener.on_socketio(
                "frames of a Socket.IO client that is not let in", 4, Sender.OUTSIDE, _entries
            ),
        ]


@dataclass(frozen=True, slots=True)
class _Opener:
    """Opens the sockets, each with the frames that go on it."""

    parts: AsyncExitStack
    stack: Stack
    world: World
    seed: int
    passed: Passed

    async def on_json(self, row: str, user: str, sender: Sender, make: _Make) -> OpenSocket:
        url = f"{self.stack.websocket}?token={unsigned_token(user, self.stack.project)}"
        socket = await self.parts.enter_async_context(connect(url, compression=None))
        frames = make(random_of(self.seed, row), self.world)
        return OpenSocket(row, socket, sender, frames, (_UNKNOWN, "not_found"))

    async def on_socketio(self, row: str, version: int, sender: Sender, make: _Make) -> OpenSocket:
        """Of the stranger, who is let in unless the sender is `OUTSIDE`."""
        user = None if sender is Sender.OUTSIDE else self.world.stranger
        visitor = Visitor(self.stack, version, user, self.passed)
        socket = await self.parts.enter_async_context(visitor.entered())
        frames = make(random_of(self.seed, f"{row} {version}"), self.world)
        (outcome,) = sender.value
        still = (f"427{NOBODYS}", f'437[{{"ok":false,"outcome":"{outcome}"')
        return OpenSocket(row, socket, sender, frames, still, visitor.say_goodbye)


def socket_handshakes(random: Random, world: World) -> Iterator[Case]:
    """To API Gateway, whose mapping makes headers of what a client says in its query."""
    while True:
        query: list[tuple[str, str]] = []
        headers: list[Header] = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]
        token = bad_token(random, world)[:1_500]
        match random.randrange(6):
            case 0 | 1:
                query.append(("token", token))
            case 2:
                headers.append(("authorization", printable(f"Bearer {token}")))
            case 3:
                good = unsigned_token(world.stranger, world.project)
                claimed = f"x{odd_text(random, world.marker)}"
                query += [("token", good), ("userId", claimed[:200])]
            case 4:
                transport = random.choice(("polling", "websocket", ""))
                # Who names that transport and no version is of version 3: he is told by a packet
                # that he is refused, and not by the handshake.
                none = () if transport == "websocket" else ("",)
                version = random.choice((*none, "2", "5", "x", "\u0664"))
                query += [("token", token), ("EIO", version), ("transport", transport)]
            case _:
                own = random.choice(("connection-id", "secret", "event-type", "request-time"))
                headers.append((f"unring-{own}", printable(odd_text(random, world.marker)) or "x"))
        shown = "&".join(f"{name}={quote(value, errors='replace')}" for name, value in query)
        target = b"/dev" + (b"?" + shown.encode() if shown else b"")
        made = request(headers, method="GET", target=target, length=False)
        yield Case(made, made[:400], _refused_by_gateway)


def _refused_by_gateway(answer: Answer) -> str | None:
    return "is let in" if answer.status == 101 else refused(answer)


def _malformed(random: Random, world: World) -> Iterator[bytes]:
    """Frames of the caller's own of which none can be a cancel, beginning with all parts of one."""
    data = {"callId": world.call, "reason": world.marker}
    whole = {"event": "call:cancel", "data": data, "id": 1}
    text = json.dumps(whole).encode()
    packet = f"427{json.dumps(['call:cancel', data])}".encode()
    yield from (text[:end] for end in range(len(text)))
    yield from (packet[:end] for end in range(len(packet)) if packet[:end] != b"2")
    while True:
        wrong: object = random.choice((7, None, [world.call], {"$eq": world.call}, "", True, 1.5))
        spoiled = random.choice(
            (
                {**whole, "event": random.choice((wrong, "call:cancelled", "CALL:CANCEL"))},
                {**whole, "data": random.choice((wrong, world.call, [data]))},
                {**whole, "data": {"callId": wrong, "call_id": world.call}},
                {**whole, "id": random.choice(([], {}, True, 1.5, "i" * 129, 2**200))},
                [whole],
                {"data": whole},
            )
        )
        yield json.dumps(spoiled).encode()


def _entries(random: Random, world: World) -> Iterator[bytes]:
    """Frames of a client that asks to be let in, and may not be."""
    for frame in _socketio_texts(random, world):
        yield frame
        yield f"40{json.dumps({'token': bad_token(random, world)[:20_000]})}".encode()
        event = [random.choice(SIGNALS), {"callId": world.call}]
        yield f"42{random.randrange(99)}{json.dumps(event)}".encode()


def _inside(random: Random, world: World) -> Iterator[bytes]:
    """Frames of a Socket.IO client that has been let in: none that asks for it again, as one that
    is refused then is shut out, and should be."""
    frames = filter(_registers_nobody, _socketio_texts(random, world))
    return (frame for frame in frames if not frame.startswith(b"40"))


def _json_texts(random: Random, world: World) -> Iterator[bytes]:
    """Frames of a JSON client, without those that would be a Socket.IO client's goodbye."""
    frames = filter(_registers_nobody, _texts(json_frames(random, world)))
    return (frame for frame in frames if not may_end_session(frame))


def _socketio_texts(random: Random, world: World) -> Iterator[bytes]:
    return _texts(socketio_frames(random, world))


def _texts(frames: Iterator[bytes]) -> Iterator[bytes]:
    """As a WebSocket carries them."""
    return (frame[: _LONGEST // 3].decode(errors="replace").encode() for frame in frames)


def _registers_nobody(frame: bytes) -> bool:
    """A stranger may register a phone, and by chance some frame would."""
    return b"device:register" not in frame
