"""`$connect` and `$disconnect` as API Gateway forwards them: the replies, and what is logged."""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from functions.calls.call import ConnectionId
from functions.inbound.apigateway import NotMapped, NotSupported, handshake_in
from functions.inbound.http import refusal
from functions.ports.identity import IdentityUnavailable, NotAuthenticated
from functions.ports.publisher import PublishFailed
from functions.ports.store import StoreUnavailable
from functions.sessions.accept import Acceptance, ClientGone
from functions.sessions.close import Closing
from functions.telemetry import Log

log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Sessions:
    """Begins and ends sessions as API Gateway asks, and replies to it."""

    acceptance: Acceptance
    closing: Closing

    async def connect(self, id: ConnectionId, headers: Headers) -> Response:
        """200 accepts the socket; with another status API Gateway refuses the handshake."""
        try:
            await self.acceptance.accept(id, handshake_in(headers))
        except (NotSupported, NotMapped) as error:
            log.info("connect", outcome="invalid")
            return refusal(400, str(error))
        except NotAuthenticated as error:
            log.info("connect", outcome="unauthenticated")
            return refusal(401, str(error))
        except ClientGone as error:
            log.info("connect", outcome="gone")
            return refusal(410, str(error))
        except (IdentityUnavailable, StoreUnavailable, PublishFailed) as error:
            log.error("connect", outcome="unavailable", error=str(error))
            return refusal(503, "unavailable")
        except Exception:  # whatever failed, the client may try again
            log.exception("connect", outcome="unavailable")
            return refusal(503, "unavailable")
        log.info("connect", outcome="connected")
        return JSONResponse({"message": "connected"})

    async def disconnect(self, id: ConnectionId) -> Response:
        """Notes that the socket is closed. API Gateway does not try again if this fails: then the
        connection stays until it expires, or until a POST to it gets a 410."""
        try:
            await self.closing.close(id)
        except StoreUnavailable as error:
            log.error("disconnect", outcome="unavailable", error=str(error))
            return refusal(503, "unavailable")
        except Exception:
            log.exception("disconnect", outcome="unavailable")
            return refusal(503, "unavailable")
        log.info("disconnect", outcome="disconnected")
        return JSONResponse({"message": "disconnected"})
