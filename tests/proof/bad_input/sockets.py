"""Bad frames on open WebSockets, as clients send them, and bad handshakes.

Nothing that can be read from one ends a session. Frames are within API Gateway's limits and are
text, since API Gateway itself closes a connection for others.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from random import Random
from urllib.parse import quote, urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from infra.local.stack import Stack
from infra.local.tokens import unsigned_token
from tests.proof.bad_input.case import (
    Answer,
    Case,
    Header,
    World,
    random_of,
    refused,
    request,
)
from tests.proof.bad_input.damage import odd_text
from tests.proof.bad_input.frames import (
    SIGNALS,
    Sender,
    json_frames,
    socketio_frames,
    wrong_with_frame,
)
from tests.proof.bad_input.tokens import bad_token

_TOKEN_LIMIT = 300  # characters, of up to twelve in a URL, which may have 4,096
_PATIENCE_SECONDS = 20.0
_LONGEST = 30_000  # bytes; API Gateway takes 32 KB in one frame


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """A connection, what is sent on it, and whose it is."""

    row: str
    socket: ClientConnection
    sender: Sender
    frames: Iterator[bytes]
    still: tuple[str, str]  # a frame that makes sense, and part of its answer

    async def send_next(self) -> tuple[bytes, str | None]:
        """Sends the next frame; gives it, and a sentence if its answer is not what it must be."""
        frame = next(self.frames)
        try:
            answer = await self._ask(frame.decode())
        except ConnectionClosed as error:
            return frame, f"ends the connection: {error}"
        except TimeoutError:
            return frame, "is not answered"
        return frame, wrong_with_frame(frame, answer, self.sender)

    async def wrong_with_session(self) -> str | None:
        """What is wrong, after all frames, with a session that should be as before."""
        frame, expected = self.still
        try:
            answer = await self._ask(frame)
        except (ConnectionClosed, TimeoutError) as error:
            return f"the session is at its end: {error!r}"
        return None if expected in answer.decode() else f"the session answers {answer[:120]!r}"

    async def _ask(self, frame: str) -> bytes:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self.socket.send(frame)
            return str(await self.socket.recv()).encode()


@asynccontextmanager
async def open_sockets(stack: Stack, world: World, seed: int) -> AsyncIterator[list[OpenSocket]]:
    """One of a stranger on each wire, one that is not let in, and one of the caller of the call."""
    token = unsigned_token(world.stranger, stack.project)
    caller = unsigned_token(world.caller, stack.project)
    json_row, socketio_row = "frames on open sockets, JSON", "frames on open sockets, Socket.IO"
    nobodys = '["call:cancel",{"callId":"CALL_NOBODY_HAS"}]'
    unknown = '{"event":"call:cancel","data":{"callId":"CALL_NOBODY_HAS"},"id":7}'
    async with AsyncExitStack() as parts:

        async def opened(url: str) -> ClientConnection:
            return await parts.enter_async_context(connect(url, compression=None))

        async def socketio(version: int) -> ClientConnection:
            query = {"EIO": version, "transport": "websocket"}
            shown = {"token": token} if version == 3 else {}
            socket = await opened(f"{stack.websocket}?{urlencode({**query, **shown})}")
            await _received(socket, "0{")
            return socket

        json_socket = await opened(f"{stack.websocket}?token={token}")
        caller_socket = await opened(f"{stack.websocket}?token={caller}")
        eio3, eio4, outside = await socketio(3), await socketio(4), await socketio(4)
        await _received(eio3, "40")
        await eio4.send(f"40{json.dumps({'token': token})}")
        await _received(eio4, "40{")
        yield [
            OpenSocket(
                json_row,
                json_socket,
                Sender.STRANGER,
                filter(
                    _registers_nobody, _texts(json_frames(random_of(seed, "json socket"), world))
                ),
                (unknown, "not_found"),
            ),
            OpenSocket(
                "malformed frames of the caller",
                caller_socket,
                Sender.CALLER,
                _malformed(random_of(seed, "caller"), world),
                (unknown, "not_found"),
            ),
            *(
                OpenSocket(
                    socketio_row,
                    socket,
                    Sender.STRANGER,
                    filter(_asks_for_no_entry, _socketio_texts(random_of(seed, name), world)),
                    (f"427{nobodys}", '437[{"ok":false,"outcome":"not_found"'),
                )
                for name, socket in (("eio3", eio3), ("eio4", eio4))
            ),
            OpenSocket(
                "frames of a Socket.IO client that is not let in",
                outside,
                Sender.OUTSIDE,
                _entries(random_of(seed, "outside"), world),
                (f"427{nobodys}", '437[{"ok":false,"outcome":"forbidden"'),
            ),
        ]


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
                headers.append(("authorization", _printable(f"Bearer {token}")))
            case 3:
                good = unsigned_token(world.stranger, world.project)
                claimed = f"x{odd_text(random, world.marker)}"
                query += [("token", good), ("userId", claimed[:200])]
            case 4:
                query += [("token", token), ("EIO", random.choice(("", "2", "5", "x", "\u0664")))]
                query += [("transport", random.choice(("polling", "websocket", "")))]
            case _:
                own = random.choice(("connection-id", "secret", "event-type", "request-time"))
                headers.append((f"unring-{own}", _printable(odd_text(random, world.marker)) or "x"))
        shown = "&".join(f"{name}={quote(value, errors='replace')}" for name, value in query)
        target = b"/dev" + (b"?" + shown.encode() if shown else b"")
        made = request(headers, method="GET", target=target, length=False)
        yield Case(made, made[:400], _refused_by_gateway)


async def turn_away(stack: Stack, world: World, random: Random) -> tuple[bytes, str | None]:
    """A Socket.IO client with a bad token is let connect, to be told why it is not let in.

    Gives the query, and a sentence if it is told anything else.
    """
    version = random.choice((3, 4))
    token = _printable(bad_token(random, world)[:_TOKEN_LIMIT])
    query = {"EIO": version, "transport": "websocket", "token": token}
    shown = urlencode(query, errors="replace")
    try:
        async with connect(f"{stack.websocket}?{shown}", compression=None) as socket:
            await _received(socket, "0{")
            if version == 4:
                await socket.send("40")
            async with asyncio.timeout(_PATIENCE_SECONDS):
                answer = str(await socket.recv())
    except (InvalidStatus, ConnectionClosed, TimeoutError) as error:
        return shown.encode(), f"is not told why: {error!r}"
    is_told = answer.startswith("44") and len(answer) > len('44{"message":""}')
    return shown.encode(), None if is_told else f"is told {answer[:80]!r}"


def _printable(text: str) -> str:
    """What of a text a header can carry: what is no HTTP is up to API Gateway."""
    return "".join(character for character in text if character.isprintable()).strip()


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
                {**whole, "data": {"callId": world.call, "reason": random.choice((7, [], {}))}},
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


def _socketio_texts(random: Random, world: World) -> Iterator[bytes]:
    return _texts(socketio_frames(random, world))


def _texts(frames: Iterator[bytes]) -> Iterator[bytes]:
    """As a WebSocket carries them."""
    return (frame[: _LONGEST // 3].decode(errors="replace").encode() for frame in frames)


def _registers_nobody(frame: bytes) -> bool:
    """A stranger may register a phone, and by chance some frame would."""
    return b"device:register" not in frame


def _asks_for_no_entry(frame: bytes) -> bool:
    """A CONNECT that is refused shuts a client out that was let in, as it should."""
    return b"device:register" not in frame and not frame.startswith(b"40")


async def _received(socket: ClientConnection, beginning: str) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not str(await socket.recv()).startswith(beginning):
            pass
