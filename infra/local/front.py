"""The local stack's front: what is plain HTTP on the WebSocket endpoint's port goes to `api`.

So one host has both transports of a Socket.IO client, as behind the front of a deployment
(docs/one-host.md).
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Self

import httpx

from infra.emulators.apigateway.http1 import Request, Response, json_response
from infra.emulators.faults import Broken, Faults
from infra.emulators.hops import NOT_PASSED_BACK, passed_on

_PATIENCE_SECONDS = 60.0  # longer than `api` takes for anything, a poll that it holds too


class Forwarder:
    """Passes requests on to the function at a URL, which is asked for at each of them.

    Until there is one, which a LookupError says, the answer is 503; if it can't be reached, 502.
    An async context; cancelling a call ends the request at the function, too. `faults` sees each
    as the call "front.POST", or whatever its method is, by its target and its body.
    """

    def __init__(self, url: Callable[[], str], faults: Faults | None = None) -> None:
        self._url = url
        self._faults = faults or Faults()
        self._life = AsyncExitStack()

    async def __aenter__(self) -> Self:
        # An idle connection is dropped before any server would do so under a request.
        limits = httpx.Limits(max_connections=None, keepalive_expiry=1.0)
        client = httpx.AsyncClient(timeout=_PATIENCE_SECONDS, limits=limits, trust_env=False)
        self._http = await self._life.enter_async_context(client)
        for name in list(client.headers):  # what httpx says of itself is not the client's word
            del client.headers[name]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._life.aclose()

    async def __call__(self, request: Request, source_ip: str) -> Response:
        """The function's answer to a client at `source_ip`."""
        try:
            return await self._faults.around(
                f"front.{request.method}",
                lambda: f"{request.target} {request.body.decode(errors='replace')}",
                lambda: self._forward(request, source_ip),
            )
        except Broken:
            return _fault(HTTPStatus.BAD_GATEWAY)

    async def _forward(self, request: Request, source_ip: str) -> Response:
        try:
            url = self._url()
        except LookupError:
            return _fault(HTTPStatus.SERVICE_UNAVAILABLE, ("retry-after", "1"))
        headers = passed_on(request.headers, source_ip)
        try:
            answer = await self._http.request(
                request.method,
                url,
                headers=[(name.encode("ascii"), v.encode("latin-1")) for name, v in headers],
                content=request.body,
                # As it came, to the byte.
                extensions={"target": request.target.encode("ascii")},
            )
        except httpx.TimeoutException:
            return _fault(HTTPStatus.GATEWAY_TIMEOUT)
        except httpx.TransportError:
            return _fault(HTTPStatus.BAD_GATEWAY)
        named = ((n.decode("ascii").lower(), v.decode("latin-1")) for n, v in answer.headers.raw)
        passed_back = tuple((name, value) for name, value in named if name not in NOT_PASSED_BACK)
        return Response(answer.status_code, passed_back, answer.content)


def _fault(status: HTTPStatus, *headers: tuple[str, str]) -> Response:
    return json_response(status, {"message": status.phrase}, *headers)
