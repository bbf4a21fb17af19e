"""API Gateway's @connections API: posts frames to open sockets, signed with SigV4."""

import asyncio
from contextlib import suppress
from urllib.parse import quote

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from functions.calls.call import ConnectionId
from functions.ports.sockets import Gone, PostFailed, Refused
from functions.services.awscredentials import CredentialsUnavailable, RoleCredentials
from functions.settings import SocketsSettings

_TIMEOUT_SECONDS = 5.0  # a POST takes 10 ms; well within the ack deadline of `deliver`
# By default httpx closes a connection that is idle for 5 s, so most posts would need a handshake.
_KEPT_SECONDS = 60.0
_NOBODY = ConnectionId("d2FybS11cA=")  # no connection has this id


class ApiGatewaySockets:
    """The clients' open sockets, by connection id."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        connections_url: str,
        region: str | None = None,
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
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                request = await self._request(to, text.encode())
                response = await self._http.send(request)
        except CredentialsUnavailable as error:
            raise PostFailed(f"no credentials: {error}") from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise PostFailed(f"{type(error).__name__}: {error}") from error
        # Only the status is read: the body of a 410 is not always JSON.
        match response.status_code:
            case httpx.codes.OK:
                return
            case httpx.codes.GONE:
                raise Gone(to)
            case httpx.codes.BAD_REQUEST | httpx.codes.REQUEST_ENTITY_TOO_LARGE as status:
                raise Refused(f"HTTP {status}")
            case status:
                raise PostFailed(f"HTTP {status}", status)

    async def close(self, to: ConnectionId) -> None:
        response = await self._http.delete(f"{self._url}/{quote(to, safe='')}")
        if response.status_code == 410:
            raise Gone(to)

    async def warm_up(self) -> None:
        """1 POST to an id that no connection has: fetches credentials, opens an HTTP connection.

        Raises PostFailed when API Gateway can't be reached, or rejects our signature.
        """
        with suppress(Gone, Refused):
            await self.post(_NOBODY, "{}")

    async def _request(self, connection: ConnectionId, body: bytes) -> httpx.Request:
        url = f"{self._url}/{quote(connection, safe='')}"
        headers = {"Content-Type": "application/octet-stream"}
        if self._credentials:
            keys = await self._credentials.get()
            unsigned = AWSRequest("POST", url, headers, data=body)
            SigV4Auth(keys, "execute-api", self._region).add_auth(unsigned)
            headers = dict(unsigned.headers.items())
        return self._http.build_request("POST", url, headers=headers, content=body)


def connect(settings: SocketsSettings) -> ApiGatewaySockets:
    """The sockets of the API at CONNECTIONS_URL."""
    limits = httpx.Limits(keepalive_expiry=_KEPT_SECONDS)
    http = httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, limits=limits)
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
    return ApiGatewaySockets(http, settings.connections_url, settings.aws_region, credentials)
