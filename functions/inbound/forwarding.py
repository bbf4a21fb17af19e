"""What API Gateway forwards: checked, read, and handed on as a frame, a handshake or an end."""

from collections.abc import Collection
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from functions import telemetry
from functions.inbound.apigateway import Forwarded, NotMapped, is_from_api_gateway
from functions.inbound.frames import Frames
from functions.inbound.http import body_of, refusal
from functions.inbound.sessions import Sessions
from functions.telemetry import Log

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Hands on the requests that carry one of the accepted `secrets`, and replies to all."""

    secrets: Collection[str]
    frames: Frames
    sessions: Sessions

    async def reply(self, request: Request) -> Response:
        """The reply to a frame goes to the client; of the others API Gateway reads the status."""
        if not is_from_api_gateway(request.headers, self.secrets):
            log.warning("wrong gateway secret", outcome="forbidden")
            return refusal(403, "Forbidden")
        body = await body_of(request)
        if isinstance(body, Response):
            log.warning("body refused", outcome="invalid", status=body.status_code)
            return body
        try:
            forwarded = Forwarded.read(request.headers)
        except NotMapped as error:
            log.error("not mapped as expected", outcome="invalid", error=str(error))
            return refusal(400, str(error))
        telemetry.bind(connectionId=forwarded.connection)
        match forwarded.event_type:
            case "MESSAGE":
                reply = await self.frames.reply(forwarded.connection, forwarded.received_at, body)
                return Response(reply, media_type="application/json")
            case "CONNECT":
                return await self.sessions.connect(forwarded.connection, request.headers)
            case "DISCONNECT":
                return await self.sessions.disconnect(forwarded.connection)
            case other:
                return refusal(400, f"event type {other!r} is not known")
