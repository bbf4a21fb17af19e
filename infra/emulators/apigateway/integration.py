"""The calls to the HTTP backend: one POST for a connect, a message or a disconnect."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from infra.emulators.apigateway import mapping
from infra.emulators.apigateway.http1 import Request
from infra.emulators.apigateway.ids import new_id
from infra.emulators.apigateway.options import CONNECT, DISCONNECT, Options, Route
from infra.emulators.faults import Broken, Faults
from infra.emulators.hops import NOT_PASSED_BACK, Headers, passed_on

_NOT_PASSED_BACK = NOT_PASSED_BACK | {"date", "server"}
_JSON = "application/json; charset=UTF-8"


class IntegrationError(Exception):
    """The backend could not be reached, or spoke no HTTP."""


class IntegrationTimeoutError(IntegrationError):
    """The backend did not answer within the integration's time-out."""


@dataclass(frozen=True)
class Client:
    """What is known of a client from its handshake on."""

    connection_id: str
    connected_at: datetime
    source_ip: str
    user_agent: str
    domain_name: str


@dataclass(frozen=True)
class Reply:
    """What the backend answered; header names in lower case, hop-by-hop ones left out."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Integration:
    """Calls the backends of a set of routes.

    Raises ValueError for a mapping AWS would refuse. The calls raise IntegrationError; `faults`
    sees each as "integration.R" of the route R, by the client's connection id and the body.
    """

    def __init__(self, routes: Mapping[str, Route], options: Options, faults: Faults) -> None:
        self._routes = dict(routes)
        self._options = options
        self._faults = faults
        self._mappings = {key: mapping.parse_mappings(key, route) for key, route in routes.items()}
        # An idle connection is dropped before any server would do so under a request.
        limits = httpx.Limits(max_connections=None, keepalive_expiry=1.0)
        self._http = httpx.AsyncClient(timeout=None, limits=limits, trust_env=False)  # noqa: S113 # _post keeps the time
        # What httpx says of itself must not look like something API Gateway sends.
        for name in ("accept", "accept-encoding", "user-agent"):
            del self._http.headers[name]

    async def connect(self, client: Client, handshake: Request) -> Reply:
        """POST the client's handshake to $connect: its headers and query string, no body."""
        context = self._context(client, CONNECT, "CONNECT")
        passed = passed_on(handshake.headers, client.source_ip, but={"host"})
        mapped = self._mapped_headers(CONNECT, context, handshake)
        headers = self._merge(passed, mapped)
        query = mapping.merged_query(
            handshake.query,
            self._mapped_query(CONNECT, context, handshake),
            replace=self._options.client_sent_mapped_header == "replace",
        )
        return await self._call(client, CONNECT, headers, b"", query)

    async def message(self, client: Client, route_key: str, request_id: str, body: bytes) -> Reply:
        """POST one message of the client to its route."""
        context = self._context(client, route_key, "MESSAGE") | {
            "messageId": new_id(),
            "requestId": request_id,
            "extendedRequestId": request_id,
        }
        headers = self._merge(
            [("content-type", _JSON), ("user-agent", self._user_agent())],
            self._mapped_headers(route_key, context, None),
        )
        return await self._call(client, route_key, headers, body)

    async def disconnect(self, client: Client) -> Reply:
        """POST an empty body to $disconnect."""
        context = self._context(client, DISCONNECT, "DISCONNECT")
        mapped = self._mapped_headers(DISCONNECT, context, None)
        headers = self._merge([("user-agent", self._user_agent())], mapped)
        return await self._call(client, DISCONNECT, headers, b"")

    async def close(self) -> None:
        await self._http.aclose()

    def _user_agent(self) -> str:
        return f"AmazonAPIGateway_{self._options.api_id}"

    def _context(self, client: Client, route_key: str, event_type: str) -> dict[str, str]:
        now = datetime.now(UTC)
        request_id = new_id()
        return {
            "apiId": self._options.api_id,
            "connectedAt": str(_milliseconds(client.connected_at)),
            "connectionId": client.connection_id,
            "domainName": client.domain_name,
            "eventType": event_type,
            "extendedRequestId": request_id,
            "identity.sourceIp": client.source_ip,
            "identity.userAgent": client.user_agent,
            "requestId": request_id,
            "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S %z"),
            "requestTimeEpoch": str(_milliseconds(now)),
            "routeKey": route_key,
            "stage": self._options.stage,
        }

    def _mapped_headers(
        self, route_key: str, context: Mapping[str, str], handshake: Request | None
    ) -> Headers:
        variables = self._options.stage_variables
        return mapping.evaluate(self._mappings[route_key], context, variables, handshake)

    def _mapped_query(
        self, route_key: str, context: Mapping[str, str], handshake: Request
    ) -> list[tuple[str, str]]:
        variables = self._options.stage_variables
        mappings = self._mappings[route_key]
        return mapping.evaluate(mappings, context, variables, handshake, in_query=True)

    def _merge(self, headers: Headers, mapped: Headers) -> Headers:
        if self._options.client_sent_mapped_header == "join":
            return [*headers, *mapped]
        replaced = {name.lower() for name, _ in mapped}
        return [*((n, v) for n, v in headers if n.lower() not in replaced), *mapped]

    def _url(self, route_key: str) -> str:
        url = self._routes[route_key].integration_url
        try:
            return url if isinstance(url, str) else url()
        except LookupError as error:
            raise IntegrationError(f"{route_key}: there is no backend yet") from error

    async def _call(
        self, client: Client, route_key: str, headers: Headers, body: bytes, query: str = ""
    ) -> Reply:
        try:
            return await self._faults.around(
                f"integration.{route_key}",
                lambda: f"{client.connection_id} {body.decode(errors='replace')}",
                lambda: self._post(route_key, headers, body, query),
            )
        except Broken as broken:
            raise IntegrationError(f"{route_key}: {broken}") from broken

    async def _post(self, route_key: str, headers: Headers, body: bytes, query: str) -> Reply:
        url = httpx.URL(self._url(route_key))
        if query:
            joined = b"&".join(part for part in (url.query, query.encode("ascii")) if part)
            url = url.copy_with(query=joined)
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        try:
            async with asyncio.timeout(self._options.integration_timeout_seconds):
                response = await self._http.post(url, headers=raw, content=body)
        except TimeoutError as error:
            raise IntegrationTimeoutError(f"{route_key}: no answer in time") from error
        except httpx.LocalProtocolError:
            # What no header can carry.
            bad_request = b'{"message": "Bad Request"}'
            return Reply(400, (("content-type", "application/json"),), bad_request)
        except httpx.RequestError as error:
            raise IntegrationError(f"{route_key}: {error!r}") from error
        return Reply(response.status_code, _passed_back(response.headers), response.content)


def _passed_back(headers: httpx.Headers) -> tuple[tuple[str, str], ...]:
    named = ((name.decode("ascii").lower(), value.decode("latin-1")) for name, value in headers.raw)
    return tuple((name, value) for name, value in named if name not in _NOT_PASSED_BACK)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
