"""Who may ask the console anything: pages of its own, and programs of this machine.

A page of another site can send requests to this machine, and by a name that it makes lead here
(DNS rebinding) also read the answers. So a request must be for the console's own address, and come
from no other page.
"""

from collections.abc import Iterable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HOSTS = ("127.0.0.1", "localhost")
_FOREIGN = ("cross-site", "same-site")  # another port of this machine is of the same site
_READING = ("GET", "HEAD")
_JSON = "application/json"
MAX_BODY_BYTES = 16 * 1024  # what the page sends is far less


def policy(*endpoints: str) -> str:
    """The Content-Security-Policy of a page that may also connect to these `endpoints`."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            " ".join(("connect-src 'self'", *endpoints)),
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


class Guard:
    """Passes on to `app` what it may be asked, and has every answer say what a browser may do
    with it."""

    def __init__(self, app: ASGIApp, endpoints: Iterable[str]) -> None:
        """The page may connect to these `endpoints`, "ws://127.0.0.1:8080", too."""
        self._app = app
        self._said = {
            "Content-Security-Policy": policy(*endpoints),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Where every request enters."""
        if scope["type"] != "http":  # a WebSocket, of which there is none here
            await send({"type": "websocket.close"})
            return

        async def saying(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._said)
            await send(message)

        port: int = scope["server"][1]
        refusal = _refusal(scope["method"], Headers(scope=scope), port)
        await (refusal or self._app)(scope, receive, saying)


def _refusal(method: str, headers: Headers, port: int) -> JSONResponse | None:
    """Why a request is not passed on, or None. `port` is the console's own."""
    hosts = headers.getlist("host")
    if len(hosts) != 1 or hosts[0] not in {f"{host}:{port}" for host in _HOSTS}:
        return refused(HTTPStatus.FORBIDDEN, "This is not the console's address.")
    origins = headers.getlist("origin")
    is_foreign = any(origin != f"http://{hosts[0]}" for origin in origins)
    if is_foreign or headers.get("sec-fetch-site") in _FOREIGN:
        return refused(HTTPStatus.FORBIDDEN, "The console answers no page but its own.")
    if method in _READING:
        return None
    # A form can't send this type, and a script of another page must ask first, which we refuse.
    if headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        return refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The content type must be {_JSON}.")
    return None


def refused(status: HTTPStatus, sentence: str) -> JSONResponse:
    """An error, as every one of the console looks."""
    return JSONResponse({"error": sentence}, status_code=status)
