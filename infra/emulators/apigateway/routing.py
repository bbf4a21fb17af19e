"""Which route a connect, a message or a disconnect takes, and what the client gets of it."""

import json
import time
from collections.abc import Mapping

from infra.emulators.apigateway.http1 import Request
from infra.emulators.apigateway.ids import new_id
from infra.emulators.apigateway.integration import (
    Client,
    Integration,
    IntegrationError,
    IntegrationTimeoutError,
    Reply,
)
from infra.emulators.apigateway.options import CONNECT, DEFAULT, DISCONNECT, Options, Route
from infra.emulators.apigateway.session import Session
from infra.emulators.apigateway.throttle import Bucket
from infra.emulators.faults import Faults

_INTERNAL_ERROR = "Internal server error"


class Routing:
    """The routes of the API, with `route_selection_expression = "$request.body.event"`."""

    def __init__(
        self, routes: Mapping[str, Route], options: Options, stage_bucket: Bucket, faults: Faults
    ) -> None:
        self._routes = routes
        self._options = options
        self._stage_bucket = stage_bucket
        self._integration = Integration(routes, options, faults)

    async def connect(self, client: Client, handshake: Request) -> Reply:
        """The reply that accepts the client (2xx) or is the answer to its handshake."""
        if CONNECT not in self._routes:
            return Reply(200, (), b"")
        try:
            return await self._integration.connect(client, handshake)
        except IntegrationTimeoutError:
            status = self._options.connect_timeout_status
        except IntegrationError:
            status = self._options.connect_unreachable_status
        body = _error_frame(_INTERNAL_ERROR, client, new_id())
        return Reply(status, (("content-type", "application/json"),), body)

    async def message(self, session: Session, message: bytes) -> None:
        """Take a message to its route and send the client what comes of it."""
        request_id = new_id()
        if not self._stage_bucket.take(time.monotonic()):
            session.send(_error_frame("Too Many Requests", session.client, request_id))
            return
        route_key = select_route(message, self._routes)
        if route_key is None:
            session.send(_error_frame("Forbidden", session.client, request_id))
            return
        try:
            reply = await self._integration.message(session.client, route_key, request_id, message)
        except IntegrationError:
            session.send(_error_frame(_INTERNAL_ERROR, session.client, request_id))
            return
        if not self._is_sendable(reply):
            session.send(_error_frame(_INTERNAL_ERROR, session.client, request_id))
        elif self._routes[route_key].route_response and self._is_wanted(reply):
            session.send(reply.body)

    async def disconnect(self, client: Client) -> None:
        """Tell the backend that a client is gone. Best effort: nobody hears of a failure."""
        if DISCONNECT not in self._routes:
            return
        try:
            await self._integration.disconnect(client)
        except IntegrationError:
            return

    async def close(self) -> None:
        await self._integration.close()

    def _is_sendable(self, reply: Reply) -> bool:
        if reply.status >= self._options.error_frame_from_status:
            return False
        return len(reply.body) <= self._options.max_message_bytes and _is_utf8(reply.body)

    def _is_wanted(self, reply: Reply) -> bool:
        return bool(reply.body) or self._options.empty_reply == "frame"


def select_route(message: bytes, routes: Mapping[str, Route]) -> str | None:
    """The key of the route a message goes to, or None when there is none for it."""
    try:
        content = json.loads(message)
    except (ValueError, RecursionError):
        content = None
    event = content.get("event") if isinstance(content, dict) else None
    # A client must not reach $connect or $disconnect by naming them.
    if isinstance(event, str) and event in routes and not event.startswith("$"):
        return event
    return DEFAULT if DEFAULT in routes else None


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _error_frame(message: str, client: Client, request_id: str) -> bytes:
    # Spaced as it was seen on AWS.
    return (
        f'{{"message": "{message}", "connectionId":"{client.connection_id}", '
        f'"requestId":"{request_id}"}}'
    ).encode()
