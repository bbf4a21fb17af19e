"""`$connect` and `$disconnect` as API Gateway forwards them: the replies, and what is logged."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from functions.calls.call import ConnectionId
from functions.clients.connection import Wire
from functions.inbound.apigateway import NotMapped, NotSupported, handshake_in, subprotocol_for
from functions.inbound.http import refusal
from functions.inbound.load import Load, Overloaded, Urgency
from functions.ports.identity import IdentityUnavailable, NotAuthenticated
from functions.ports.publisher import PublishFailed
from functions.ports.store import StoreUnavailable
from functions.sessions.accept import Acceptance, ClientGone
from functions.sessions.close import Closing
from functions.sessions.session import UnknownSession
from functions.sessions.upgrade import Upgrades
from functions.telemetry import Log

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Sessions:
    """Begins and ends sessions as API Gateway asks, and replies to it."""

    acceptance: Acceptance
    closing: Closing
    upgrades: Upgrades
    load: Load
    tell_closed: Callable[[ConnectionId], Awaitable[None]] | None  # None: nobody wants to know

    async def connect(self, id: ConnectionId, headers: Headers) -> Response:
        """200 accepts the socket; with another status API Gateway refuses the handshake."""
        return await _or_unavailable("connect", self._connect(id, headers))

    async def disconnect(self, id: ConnectionId) -> Response:
        """Notes that the socket is closed. API Gateway does not try again if this fails: then the
        connection stays until it expires, or until a POST to it gets a 410."""
        return await _or_unavailable("disconnect", self._disconnect(id))

    async def _connect(self, id: ConnectionId, headers: Headers) -> Response:
        try:
            subprotocol = subprotocol_for(headers)
            handshake = handshake_in(headers)
            with self.load.carrying_out(Urgency.LATER):
                if handshake.sid is None or handshake.wire is Wire.JSON:
                    await self.acceptance.accept(id, handshake)
                else:
                    await self.upgrades.begin(id, handshake)
        except UnknownSession:
            log.info("connect", outcome="unknown_session")
            return refusal(400, "Session ID unknown")
        except (NotSupported, NotMapped) as error:
            log.info("connect", outcome="invalid")
            return refusal(400, str(error))
        except NotAuthenticated as error:
            log.info("connect", outcome="unauthenticated")
            return refusal(401, str(error))
        except ClientGone as error:
            log.info("connect", outcome="gone")
            return refusal(410, str(error))
        except Overloaded as error:
            log.warning("overloaded", error=str(error))
            return refusal(503, "unavailable")
        log.info("connect", outcome="connected")
        chosen = {"Sec-WebSocket-Protocol": subprotocol} if subprotocol else None
        return JSONResponse({"message": "connected"}, headers=chosen)

    async def _disconnect(self, id: ConnectionId) -> Response:
        with self.load.carrying_out(Urgency.ALWAYS):
            await self.closing.close(id)
            if self.tell_closed:
                await self.tell_closed(id)
        log.info("disconnect", outcome="disconnected")
        return JSONResponse({"message": "disconnected"})


async def _or_unavailable(name: str, reply: Awaitable[Response]) -> Response:
    """The `reply`, or 503 if it fails, which is logged under `name`."""
    try:
        return await reply
    except (IdentityUnavailable, StoreUnavailable, PublishFailed) as error:
        log.error(name, outcome="unavailable", error=str(error))
    except Exception:  # whatever failed, the client may try again
        log.exception(name, outcome="unavailable")
    return refusal(503, "unavailable")
