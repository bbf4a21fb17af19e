"""Posting to sockets: signed as AWS asks, with credentials that are renewed, faults told apart."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route as HttpRoute
from websockets.asyncio.client import connect

from functions.calls.call import ConnectionId
from functions.ports.sockets import Gone, PostFailed, Refused
from functions.services import apigateway
from functions.services.apigateway import ApiGatewaySockets
from functions.services.awscredentials import RoleCredentials
from functions.services.http import Answer, Http
from functions.settings import SocketsSettings
from infra.emulators.apigateway import AccessKeys, ApiGateway, Route
from infra.emulators.aws import AwsCredentials, Trust
from infra.emulators.faults import Fault, Kind
from infra.emulators.http import serving
from tests.memory.services import Services
from tests.support.connections import ConnectionsServer
from tests.support.pace import PATIENCE_SECONDS
from tests.support.processes import settings_of
from tests.support.rawhttp import Answering, closing, raw_server, resetting, saying


class Asked(Http):
    """Notes the path of whatever is asked for."""

    def __init__(self) -> None:
        super().__init__(PATIENCE_SECONDS)
        self.paths: list[str] = []

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        self.paths.append(urlsplit(url).path)
        return await super().send(method, url, headers, body)


@dataclass
class Api:
    """An API that checks signatures, and what it takes to sign for it."""

    gateway: ApiGateway
    keys: AccessKeys
    connected: list[str]  # connection ids
    http: Asked

    def unsigned(self) -> ApiGatewaySockets:
        return ApiGatewaySockets(self.http, self.gateway.connections_url)

    async def sockets(
        self, aws: AwsCredentials, trust: Trust, *, to: str | None = None, **changes: str
    ) -> ApiGatewaySockets:
        credentials = RoleCredentials(
            self.http,
            **{
                "role_arn": trust.role_arn,
                "region": "us-east-1",
                "audience": trust.audience,
                "sts_url": aws.sts_url,
                "metadata_host": aws.metadata_host,
                **changes,
            },
        )
        url = to or self.gateway.connections_url
        return ApiGatewaySockets(self.http, url, "us-east-1", credentials)


@asynccontextmanager
async def api_of(keys: AccessKeys, checks_signatures: bool) -> AsyncIterator[Api]:
    connected: list[str] = []

    async def backend(request: Request) -> PlainTextResponse:
        connected.append(request.headers["x-connection"])
        return PlainTextResponse("ok")

    mapping = {"integration.request.header.X-Connection": "context.connectionId"}
    app = Starlette(routes=[HttpRoute("/", backend, methods=["POST"])])
    async with serving(app) as url:
        gateway = ApiGateway(
            {"$connect": Route(url, mapping)}, credentials=keys if checks_signatures else None
        )
        async with gateway:
            yield Api(gateway, keys, connected, Asked())


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with api_of(AccessKeys(), checks_signatures=True) as api:
        yield api


async def test_a_signed_post_reaches_the_socket(api: Api) -> None:
    trust = Trust()
    async with AwsCredentials(api.keys, trust) as aws, connect(api.gateway.websocket_url) as client:
        sockets = await api.sockets(aws, trust)
        await sockets.post(ConnectionId(api.connected[0]), '{"ring": "no more ☎"}')
        assert await client.recv() == '{"ring": "no more ☎"}'


async def test_a_function_posts_as_the_role_of_its_settings(api: Api) -> None:
    trust = Trust()
    async with AwsCredentials(api.keys, trust) as aws, connect(api.gateway.websocket_url) as client:
        settings = settings_of(
            SocketsSettings,
            CONNECTIONS_URL=api.gateway.connections_url,
            AWS_REGION="us-east-1",
            AWS_ROLE_ARN=trust.role_arn,
            AWS_TOKEN_AUDIENCE=trust.audience,
            AWS_ENDPOINT_URL_STS=aws.sts_url,
            GCE_METADATA_HOST=aws.metadata_host,
        )
        await apigateway.connect(settings).post(ConnectionId(api.connected[0]), "x")
        assert await client.recv() == "x"


async def test_a_function_without_a_role_signs_nothing(connections: ConnectionsServer) -> None:
    settings = settings_of(SocketsSettings, CONNECTIONS_URL=connections.url)
    await apigateway.connect(settings).post(ConnectionId("c="), "x")
    assert connections.posts == [("c=", "x")]
    (headers,) = connections.headers
    assert "authorization" not in headers


async def test_an_unsigned_post_is_refused_and_may_be_tried_again(api: Api) -> None:
    async with connect(api.gateway.websocket_url):
        sockets = api.unsigned()
        with pytest.raises(PostFailed) as failure:
            await sockets.post(ConnectionId(api.connected[0]), "x")
        assert failure.value.status == 403


async def test_a_post_to_a_closed_socket_is_gone(api: Api) -> None:
    trust = Trust()
    async with AwsCredentials(api.keys, trust) as aws:
        async with connect(api.gateway.websocket_url):
            pass
        sockets = await api.sockets(aws, trust)
        with pytest.raises(Gone):
            await sockets.post(ConnectionId(api.connected[0]), "x")


async def test_many_first_posts_ask_for_credentials_once(api: Api) -> None:
    trust = Trust()
    async with AwsCredentials(api.keys, trust) as aws, connect(api.gateway.websocket_url) as client:
        sockets = await api.sockets(aws, trust)
        connection = ConnectionId(api.connected[0])
        await asyncio.gather(*(sockets.post(connection, str(number)) for number in range(5)))
        assert {await client.recv() for _ in range(5)} == {"0", "1", "2", "3", "4"}
        assert api.keys.count() == 1


async def test_credentials_are_kept_for_the_posts_that_follow(api: Api) -> None:
    trust = Trust()
    async with AwsCredentials(api.keys, trust) as aws, connect(api.gateway.websocket_url) as client:
        sockets = await api.sockets(aws, trust)
        connection = ConnectionId(api.connected[0])
        await sockets.post(connection, "first")
        api.http.paths.clear()
        await sockets.post(connection, "second")
        assert [await client.recv(), await client.recv()] == ["first", "second"]
        assert api.http.paths == [f"/dev/%40connections/{quote(connection)}"]


async def test_credentials_about_to_expire_are_renewed_beside_the_post(api: Api) -> None:
    # Every credential is issued with less than the five minutes that make it due.
    trust = Trust(session_seconds=200)
    async with AwsCredentials(api.keys, trust) as aws, connect(api.gateway.websocket_url) as client:
        sockets = await api.sockets(aws, trust)
        connection = ConnectionId(api.connected[0])
        for number in range(3):
            await sockets.post(connection, str(number))
            assert await client.recv() == str(number)
        async with asyncio.timeout(10):
            while api.keys.count() < 2:  # noqa: ASYNC110 - nobody waits for the renewal, so it tells nobody
                await asyncio.sleep(0.01)


async def test_expired_credentials_are_not_used(api: Api) -> None:
    trust = Trust(session_seconds=2)
    async with AwsCredentials(api.keys, trust) as aws, connect(api.gateway.websocket_url) as client:
        sockets = await api.sockets(aws, trust)
        connection = ConnectionId(api.connected[0])
        await sockets.post(connection, "first")
        await asyncio.sleep(2.1)  # the time itself is what is tested
        await sockets.post(connection, "second")
        assert [await client.recv(), await client.recv()] == ["first", "second"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"role_arn": "arn:aws:iam::123456789012:role/another"},
        {"audience": "another"},
        {"sts_url": "http://127.0.0.1:9"},
        {"metadata_host": "127.0.0.1:9"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_without_credentials_nothing_is_posted(api: Api, wrong: dict[str, str]) -> None:
    trust = Trust()
    async with AwsCredentials(api.keys, trust) as aws, connect(api.gateway.websocket_url):
        sockets = await api.sockets(aws, trust, **wrong)
        with pytest.raises(PostFailed, match="no credentials"):
            await sockets.post(ConnectionId(api.connected[0]), "x")


_STS = "https://sts.amazonaws.com/doc/2011-06-15/"
_KEYS = "<AccessKeyId>A</AccessKeyId><SecretAccessKey>S</SecretAccessKey>"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("", id="empty"),
        pytest.param('{"Credentials": {}}', id="no XML"),
        pytest.param(f'<Answer xmlns="{_STS}"/>', id="no credentials"),
        pytest.param(f"<Answer><Credentials>{_KEYS}</Credentials></Answer>", id="no namespace"),
        pytest.param(
            f'<Answer xmlns="{_STS}"><Credentials>{_KEYS}</Credentials></Answer>', id="no expiry"
        ),
        pytest.param(
            f'<Answer xmlns="{_STS}"><Credentials>{_KEYS}<Expiration>soon</Expiration>'
            "</Credentials></Answer>",
            id="no moment",
        ),
    ],
)
async def test_an_answer_of_sts_that_nobody_can_read_gives_no_credentials(
    api: Api, answer: str
) -> None:
    async def sts(_: Request) -> PlainTextResponse:
        return PlainTextResponse(answer)

    trust = Trust()
    app = Starlette(routes=[HttpRoute("/", sts, methods=["POST"])])
    async with AwsCredentials(api.keys, trust) as aws, serving(app) as url:
        sockets = await api.sockets(aws, trust, sts_url=url)
        with pytest.raises(PostFailed, match="no credentials"):
            await sockets.post(ConnectionId("c="), "x")


async def test_a_function_that_ends_while_it_asks_for_credentials_ends_without_an_error() -> None:
    errors: list[dict[str, Any]] = []

    async def function() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context))
        asked = asyncio.Event()
        # It takes the connection and says nothing.
        server = await asyncio.start_server(lambda *_: asked.set(), "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        credentials = RoleCredentials(
            Http(PATIENCE_SECONDS),
            role_arn=Trust().role_arn,
            region="us-east-1",
            audience=Trust().audience,
            metadata_host=f"{host}:{port}",
        )
        asking = asyncio.create_task(credentials.get())
        await asked.wait()
        assert not asking.done()

    await asyncio.to_thread(lambda: asyncio.run(function()))  # a loop of its own, which ends
    assert errors == []


@pytest.mark.parametrize("is_signed", [True, False], ids=["signed", "unsigned"])
async def test_a_socket_that_is_closed_ends_for_its_client_and_is_gone(is_signed: bool) -> None:
    trust = Trust()
    async with api_of(AccessKeys(), is_signed) as api, AwsCredentials(api.keys, trust) as aws:
        sockets = await api.sockets(aws, trust) if is_signed else api.unsigned()
        async with connect(api.gateway.websocket_url) as client:
            connection = ConnectionId(api.connected[0])
            await sockets.post(connection, "goodbye")
            await sockets.close(connection)
            assert await client.recv() == "goodbye"
            await client.wait_closed()
        for call in (sockets.close(connection), sockets.post(connection, "x")):
            with pytest.raises(Gone):
                await call


async def test_a_socket_in_memory_is_closed_in_the_same_way() -> None:
    services, connection = Services(), ConnectionId("c=")
    await services.sockets.close(connection)
    for call in (services.sockets.close(connection), services.sockets.post(connection, "x")):
        with pytest.raises(Gone):
            await call
    assert services.journal.started == ["DELETE", "DELETE", "POST"]
    services.faults.arm(Fault(Kind.FAIL, "connections.DELETE"))
    with pytest.raises(PostFailed):
        await services.sockets.close(connection)


async def test_an_unsigned_close_is_refused_and_may_be_tried_again(api: Api) -> None:
    async with connect(api.gateway.websocket_url) as client:
        with pytest.raises(PostFailed) as failure:
            await api.unsigned().close(ConnectionId(api.connected[0]))
        assert failure.value.status == 403
        await (await client.ping())


async def test_a_close_that_is_answered_by_anything_else_or_not_at_all_has_failed() -> None:
    for answer, status in ((b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200), (b"", None)):
        async with raw_server(closing(answer)) as server:
            sockets = ApiGatewaySockets(Http(PATIENCE_SECONDS), f"{server.url}/dev/@connections")
            with pytest.raises(PostFailed) as failure:
                await sockets.close(ConnectionId("c="))
            assert failure.value.status == status
            assert server.heads[0].startswith(b"DELETE /dev/%40connections/c%3D HTTP/1.1\r\n")


async def test_a_post_is_sent_to_the_path_that_is_signed(api: Api) -> None:
    trust = Trust()
    async with (
        AwsCredentials(api.keys, trust) as aws,
        raw_server(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as server,
    ):
        sockets = await api.sockets(aws, trust, to=f"{server.url}/dev/@connections")
        await sockets.post(ConnectionId("VNRU+eld/wMCIRQ="), "x")
        assert server.targets == ["/dev/%40connections/VNRU%2Beld%2FwMCIRQ%3D"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(closing(b""), id="none"),
        pytest.param(resetting(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbo"), id="half"),
        pytest.param(saying(b"SSH-2.0-OpenSSH_9.9\r\n"), id="no HTTP"),
    ],
)
async def test_an_answer_that_can_not_be_read_is_a_failure(answer: Answering) -> None:
    async with raw_server(answer) as server:
        sockets = ApiGatewaySockets(Http(PATIENCE_SECONDS), f"{server.url}/dev/@connections")
        with pytest.raises(PostFailed) as failure:
            await sockets.post(ConnectionId("c="), "x")
        assert failure.value.status is None


async def test_a_post_that_is_given_up_is_cancelled() -> None:
    asked = asyncio.Event()

    async def answer(_: asyncio.StreamWriter) -> None:
        asked.set()

    async with raw_server(answer) as server:
        sockets = ApiGatewaySockets(Http(PATIENCE_SECONDS), f"{server.url}/dev/@connections")
        posting = asyncio.create_task(sockets.post(ConnectionId("c="), "x"))
        await asked.wait()
        posting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await posting


@pytest.mark.parametrize("status", [400, 413])
async def test_what_will_never_be_taken_is_refused(
    connections: ConnectionsServer, status: int
) -> None:
    connections.answers["c="] = [status]
    sockets = ApiGatewaySockets(Http(PATIENCE_SECONDS), connections.url)
    with pytest.raises(Refused):
        await sockets.post(ConnectionId("c="), "x")


async def test_warming_up_fetches_credentials_and_posts_to_nobody(api: Api) -> None:
    trust = Trust()
    async with AwsCredentials(api.keys, trust) as aws:
        await (await api.sockets(aws, trust)).warm_up()
    assert api.keys.count() == 1


async def test_warming_up_fails_where_api_gateway_is_not_reached_or_does_not_know_us(
    api: Api,
) -> None:
    for url in (api.gateway.connections_url, "http://127.0.0.1:9/dev/@connections"):
        with pytest.raises(PostFailed):
            await ApiGatewaySockets(api.http, url).warm_up()


@pytest.mark.parametrize("status", [403, 429, 500, 503])
async def test_any_other_status_is_a_failure(connections: ConnectionsServer, status: int) -> None:
    connections.answers["c="] = [status]
    sockets = ApiGatewaySockets(Http(PATIENCE_SECONDS), connections.url)
    with pytest.raises(PostFailed) as failure:
        await sockets.post(ConnectionId("c="), "x")
    assert failure.value.status == status


async def test_no_answer_and_no_endpoint_are_failures(connections: ConnectionsServer) -> None:
    connections.answers["c="] = [0]
    http = Http(timeout_seconds=0.1)
    for url in (connections.url, "http://127.0.0.1:9/dev/@connections"):
        with pytest.raises(PostFailed) as failure:
            await ApiGatewaySockets(http, url).post(ConnectionId("c="), "x")
        assert failure.value.status is None
