"""A bare HTTP client: the bytes of a request out, the answer in, over connections that are kept.

Nothing that is more polite would send what these tests send, or be fast enough to send so much.
"""

import asyncio
import re
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from tests.proof.bad_input.case import Answer

_PATIENCE_SECONDS = 30.0
_TRIES = 5
# Longer headers are refused unless they come in one piece, which is up to the kernel: what one
# function takes, another may never see. The server hangs up on the rest, by which the refusal may
# get lost.
_LONG = 16 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_SWITCHED = 101
_NO_BODY = (_SWITCHED, 204)


class HttpClient:
    """One connection to the server of `url`, opened when it is needed, and again once closed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()

    async def ask(self, request: bytes) -> Answer:
        """The answer to `request`; status 0 when the server hung up or stayed silent.

        What the server hangs up on may have got an answer all the same, or may not have been read.
        It is sent again, which may be done to what does nothing.
        """
        for _ in range(_TRIES):
            was_open = self._streams is not None
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    return await self._exchange(request)
            except (ConnectionError, asyncio.IncompleteReadError):
                self._close()
                # A kept connection may end between two requests.
                if not was_open and len(request) < _LONG:
                    break
            except TimeoutError:
                self._close()
                break
        return Answer(0)

    async def ask_and_leave(self, part: bytes) -> None:
        """Sends the beginning of a request, hangs up, and waits until the server has noticed."""
        self._close()
        reader, writer = await self._open()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                writer.write(part)
                writer.write_eof()
                await reader.read()
        self._close()

    async def _exchange(self, request: bytes) -> Answer:
        reader, writer = self._streams or await self._open()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        while head.startswith(b"HTTP/1.1 1") and not head.startswith(b"HTTP/1.1 101"):
            head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        body = b""
        if not request.startswith(b"HEAD ") and status not in _NO_BODY:
            body = await _body(reader, head)
        if status == _SWITCHED or _CLOSES.search(head):
            self._close()
        return Answer(status, body)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._streams = await asyncio.open_connection(*self._address)
        return self._streams

    def _close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if length := _LENGTH.search(head):
        return await reader.readexactly(int(length[1]))
    if not _CHUNKED.search(head):
        return await reader.read()
    body = bytearray()
    while size := int(await reader.readline(), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return bytes(body)
