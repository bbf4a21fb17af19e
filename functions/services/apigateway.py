"""API Gateway's @connections API: posts to open sockets and closes them, signed with SigV4."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import quote

from functions.calls.call import ConnectionId
from functions.ports.sockets import Gone, PostFailed, Refused
from functions.services.awscredentials import CredentialsUnavailable, RoleCredentials
from functions.services.http import Http, NoAnswer
from functions.services.sigv4 import signed
from functions.settings import SocketsSettings

_TIMEOUT_SECONDS = 5.0  # a POST takes 10 ms; well within the ack deadline of `deliver`
_NOBODY = ConnectionId("d2FybS11cA=")  # no connection has this id


class ApiGatewaySockets:
    """The clients' open sockets, by connection id."""

    def __init__(
        self,
        http: Http,
        connections_url: str,
        region: str = "",
        credentials: RoleCredentials | None = None,
    ) -> None:
        """`connections_url` ends in `/@connections`; without `credentials` nothing is signed."""
        self._http = http
        # The path is signed as it is sent, so it must be percent-encoded here, not on the way.
        self._url = connections_url.replace("/@connections", "/%40connections")
        self._region = region
        self._credentials = credentials

    async def post(self, to: ConnectionId, text: str) -> None:
        """1 POST. HTTP 410 is Gone, 400 and 413 are Refused, all other failures PostFailed."""
        match await self._request("POST", to, text.encode()):
            case HTTPStatus.OK:
                return
            case HTTPStatus.GONE:
                raise Gone(to)
            case HTTPStatus.BAD_REQUEST | HTTPStatus.REQUEST_ENTITY_TOO_LARGE as status:
                raise Refused(f"HTTP {status}")
            case status:
                raise PostFailed(f"HTTP {status}", status)

    async def close(self, to: ConnectionId) -> None:
        """1 DELETE, and another if the HTTP connection breaks. 410 is Gone, which it may also be
        after the first; all other failures are PostFailed.
        """
        match await self._request("DELETE", to):
            case HTTPStatus.NO_CONTENT:
                return
            case HTTPStatus.GONE:
                raise Gone(to)
            case status:
                raise PostFailed(f"HTTP {status}", status)

    async def warm_up(self) -> None:
        """1 POST to an id that no connection has: fetches credentials, opens an HTTP connection.

        Raises PostFailed when API Gateway can't be reached, or rejects our signature.
        """
        with suppress(Gone, Refused):
            await self.post(_NOBODY, "{}")

    async def _request(self, method: str, connection: ConnectionId, body: bytes = b"") -> int:
        """The status alone: the body of a 410 is not always JSON. Raises PostFailed."""
        url = f"{self._url}/{quote(connection, safe='')}"
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                headers = await self._headers(method, url, body)
                return (await self._http.send(method, url, headers, body)).status
        except CredentialsUnavailable as error:
            raise PostFailed(f"no credentials: {error}") from error
        except (NoAnswer, TimeoutError) as error:
            raise PostFailed(str(error) or "not answered in time") from error

    async def _headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/octet-stream"}
        if self._credentials is None:
            return headers
        return signed(
            method,
            url,
            headers,
            body,
            keys=await self._credentials.get(),
            region=self._region,
            service="execute-api",
            now=datetime.now(UTC),
        )


def connect(settings: SocketsSettings) -> ApiGatewaySockets:
    """The sockets of the API at CONNECTIONS_URL."""
    http = Http(_TIMEOUT_SECONDS)
    credentials = None
    if settings.aws_role_arn and settings.aws_region:
        credentials = RoleCredentials(
            http,
            role_arn=settings.aws_role_arn,
            region=settings.aws_region,
            audience=settings.aws_token_audience,
            sts_url=settings.sts_url,
            metadata_host=settings.metadata_host,
        )
    return ApiGatewaySockets(http, settings.connections_url, settings.aws_region or "", credentials)
