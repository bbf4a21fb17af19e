"""One client's WebSocket life, from the accepted handshake until the TCP connection is gone."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Protocol, Side, State

from infra.emulators.apigateway.integration import Client
from infra.emulators.apigateway.options import Options

_READ_BYTES = 64 * 1024
_GOING_AWAY = "Going away"


class Session:
    """Reads the client's frames, enforces the limits on them, and writes messages to the client.

    `received` is called with the UTF-8 of every whole message, in order, and must not block.
    """

    def __init__(
        self,
        client: Client,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        options: Options,
        received: Callable[["Session", bytes], None],
    ) -> None:
        self.client = client
        self.last_active_at = client.connected_at
        # The handshake is over, so this is the protocol of an open connection.
        self._protocol = Protocol(
            Side.SERVER, max_size=(options.max_message_bytes, options.max_frame_bytes)
        )
        self._reader, self._writer = streams
        self._options = options
        self._received = received
        self._fragments = bytearray()
        self._ending = False
        self._loop = asyncio.get_running_loop()
        self._lifetime = self._loop.call_later(
            options.lifetime_seconds, self.close, options.lifetime_close_code, _GOING_AWAY
        )
        self._idle = self._idle_timer()
        self._abort: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._protocol.state is State.OPEN

    @property
    def is_congested(self) -> bool:
        """Whether the client reads so slowly that nothing more should be sent to it."""
        waiting = self._writer.transport.get_write_buffer_size()
        return waiting > self._options.client_buffer_bytes

    async def run(self, already_read: bytes) -> None:
        """Serve the client until its TCP connection has ended, whatever the reason."""
        data = already_read
        try:
            while True:
                self._receive(data)
                # A client that does not read is not read from, either.
                await self._writer.drain()
                data = await self._reader.read(_READ_BYTES)
                if not data:
                    break
        except ConnectionError:
            # Gone without a goodbye, which is an end like any other.
            pass
        finally:
            self._protocol.receive_eof()
            for timer in (self._lifetime, self._idle, self._abort):
                if timer is not None:
                    timer.cancel()
            self.abort()

    def send(self, message: bytes) -> None:
        """Send a text message of valid UTF-8, in frames of the size AWS uses.

        A client that is closing gets nothing more.
        """
        if not self.is_open:
            return
        size = self._options.max_frame_bytes
        frames = [message[i : i + size] for i in range(0, len(message), size)] or [b""]
        for number, frame in enumerate(frames, start=1):
            fin = number == len(frames)
            if number == 1:
                self._protocol.send_text(frame, fin)
            else:
                self._protocol.send_continuation(frame, fin)
        self._touch()
        self._flush()

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake; a client that does not answer is cut off."""
        self._ending = True
        if self.is_open:
            self._protocol.send_close(code, reason)
        self._flush()

    def abort(self) -> None:
        """Cut the TCP connection."""
        self._writer.transport.abort()

    def _idle_timer(self) -> asyncio.TimerHandle:
        options = self._options
        return self._loop.call_later(
            options.idle_seconds, self.close, options.idle_close_code, _GOING_AWAY
        )

    def _receive(self, data: bytes) -> None:
        # After EOF of its own making the protocol still discards, until the client closes.
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and not self._ending:
                self._receive_frame(event)
        self._flush()

    def _receive_frame(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.TEXT | Opcode.CONT:
                self._fragments += frame.data
                if frame.fin:
                    self._receive_message()
            case Opcode.BINARY:
                self._fail(CloseCode.UNSUPPORTED_DATA, "Binary frames are not supported")
            case Opcode.PING | Opcode.PONG:
                if self._options.pings_keep_alive:
                    self._touch()
            case Opcode.CLOSE:
                self._ending = True

    def _receive_message(self) -> None:
        message = bytes(self._fragments)
        self._fragments.clear()
        try:
            message.decode()
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, "Invalid UTF-8")
            return
        self._touch()
        self._received(self, message)

    def _fail(self, code: CloseCode, reason: str) -> None:
        self._ending = True
        self._protocol.fail(code, reason)

    def _touch(self) -> None:
        self.last_active_at = datetime.now(UTC)
        self._idle.cancel()
        self._idle = self._idle_timer()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)
            else:
                # The client may be gone already, which the reader is about to notice.
                with suppress(OSError):
                    self._writer.write_eof()
        if self._protocol.close_expected() and self._abort is None:
            self._abort = self._loop.call_later(self._options.close_seconds, self.abort)
