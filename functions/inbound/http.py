"""Plain HTTP: a body that is limited in size and in time, and refusals."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

# API Gateway sends the body with the headers; a phone in a bad network may not. An instance that
# is busy may take seconds to read what has been there all the time.
_BODY_SECONDS = 20.0
_MAX_BODY_BYTES = 1024 * 1024  # API Gateway forwards 128 KB at most

Handler = Callable[[Request], Awaitable[Response]]


async def body_of(request: Request, most: int = _MAX_BODY_BYTES) -> bytes | Response:
    """The body, or the refusal of a request whose body is too slow, cut off, or too large: over
    `most` bytes."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    return refusal(413, "the request is too large")
    except TimeoutError:
        return refusal(408, "the request is too slow")
    except ClientDisconnect:
        return refusal(400, "the request is cut off")
    return bytes(body)


def refusal(status: int, message: str) -> Response:
    """A reply with an error's `status`, and `message` as JSON."""
    return JSONResponse({"message": message}, status_code=status)
