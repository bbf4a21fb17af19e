"""The handshake of a client: what $connect is sent, and what its answer does."""

import json
import socket
import time

import httpx
import pytest
from websockets.protocol import State

from infra.emulators.apigateway import ApiGateway, Options, Route, Throttle
from tests.emulators.apigateway.support import (
    Backend,
    answering,
    hanging_on,
    phone,
    refused,
    running_gateway,
)


async def test_connect_posts_the_handshake_with_an_empty_body(backend: Backend) -> None:
    headers = {"Authorization": "Bearer T", "X-Own": "mine", "X-Forwarded-For": "203.0.113.9"}
    async with (
        running_gateway(backend) as gateway,
        phone(gateway.websocket_url + "?token=a%20b&x=1", additional_headers=headers),
    ):
        seen = await backend.next()
    assert (seen.method, seen.body, seen.query) == ("POST", b"", "token=a%20b&x=1")
    assert seen.headers["authorization"] == "Bearer T"
    assert seen.headers["x-own"] == "mine"
    assert seen.headers["user-agent"].startswith("Python")
    assert seen.headers["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert (seen.event_type, seen.headers["test-route-key"]) == ("CONNECT", "$connect")
    assert abs(int(seen.headers["test-epoch"]) - time.time() * 1000) < 60_000
    for name in ("connection", "upgrade", "accept-encoding"):
        assert "ebsocket" not in seen.headers.get(name, "")
    # As AWS does, which some backends don't like.
    assert seen.headers["sec-websocket-version"] == "13"
    assert len(seen.headers["sec-websocket-key"]) == 24
    assert seen.headers["host"] in backend.url


async def test_connect_maps_what_the_route_declares(backend: Backend) -> None:
    route = Route(
        lambda: backend.url + "?fixed=1",
        {
            "integration.request.header.Test-Event-Type": "context.eventType",
            "integration.request.header.Test-Token": "route.request.querystring.token",
            "integration.request.header.Test-Absent": "route.request.querystring.absent",
            "integration.request.header.Test-Secret": "stageVariables.secret",
        },
        frozenset({"route.request.querystring.token", "route.request.querystring.absent"}),
    )
    options = Options(stage_variables={"secret": "s3cret"})
    async with (
        ApiGateway({"$connect": route}, options) as gateway,
        phone(gateway.websocket_url + "?token=T"),
    ):
        seen = await backend.next()
    assert seen.query == "fixed=1&token=T"
    assert (seen.headers["test-token"], seen.headers["test-secret"]) == ("T", "s3cret")
    assert "test-absent" not in seen.headers


@pytest.mark.parametrize(
    ("switch", "values"), [("replace", ["$connect"]), ("join", ["forged", "$connect"])]
)
async def test_a_client_that_sends_a_mapped_header_is_replaced_or_joined(
    backend: Backend, switch: str, values: list[str]
) -> None:
    options = Options(client_sent_mapped_header=switch)  # type: ignore[arg-type] # parametrized
    forged = {"test-route-key": "forged"}
    async with (
        running_gateway(backend, options) as gateway,
        phone(gateway.websocket_url, additional_headers=forged),
    ):
        seen = await backend.next()
    assert seen.headers.getlist("test-route-key") == values


def test_a_mapping_aws_would_refuse_is_refused_at_start() -> None:
    mapped = {"integration.request.header.X": "context.nonsense"}
    with pytest.raises(ValueError, match=r"context\.nonsense"):
        ApiGateway({"$default": Route("http://unused", mapped)})


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_any_2xx_accepts_the_client(backend: Backend, status: int) -> None:
    backend.answer = answering(status)
    async with running_gateway(backend) as gateway, phone(gateway.websocket_url) as client:
        assert client.state is State.OPEN


@pytest.mark.parametrize("status", [301, 401, 403, 503])
async def test_another_status_is_what_the_handshake_gets(backend: Backend, status: int) -> None:
    backend.answer = answering(status, "because", www_authenticate="Bearer")
    async with running_gateway(backend) as gateway:
        refusal = await refused(gateway.websocket_url)
    assert refusal.response.status_code == status
    assert refusal.response.body == b"because"
    assert refusal.response.headers["www-authenticate"] == "Bearer"


async def test_a_refused_client_has_no_disconnect(backend: Backend) -> None:
    backend.answer = answering(401)
    async with running_gateway(backend) as gateway:
        await refused(gateway.websocket_url)
    assert [(await backend.next()).event_type, backend.seen.empty()] == ["CONNECT", True]


async def test_a_backend_that_is_not_there_gives_502(backend: Backend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    async with ApiGateway({"$connect": Route(url)}) as gateway:
        refusal = await refused(gateway.websocket_url)
    assert refusal.response.status_code == 502
    assert json.loads(refusal.response.body)["message"] == "Internal server error"


@pytest.mark.parametrize("value", ["%20", "%00", "a%0Ab"])
async def test_what_no_header_can_carry_is_a_bad_request(backend: Backend, value: str) -> None:
    token = "route.request.querystring.token"
    route = Route(backend.url, {"integration.request.header.Token": token}, frozenset({token}))
    async with ApiGateway({"$connect": route}) as gateway:
        refusal = await refused(f"{gateway.websocket_url}?token={value}")
    assert refusal.response.status_code == 400
    assert backend.seen.empty()


async def test_a_backend_that_does_not_answer_gives_504(backend: Backend) -> None:
    backend.answer, release = hanging_on("CONNECT")
    options = Options(integration_timeout_seconds=0.1)
    async with running_gateway(backend, options) as gateway:
        refusal = await refused(gateway.websocket_url)
        release.set()
    assert refusal.response.status_code == 504


async def test_without_a_connect_route_every_client_is_accepted(backend: Backend) -> None:
    async with (
        running_gateway(backend, routes=("$default",)) as gateway,
        phone(gateway.websocket_url) as client,
    ):
        await client.send("hello")
        assert await client.recv() == "hello"
        assert (await backend.next()).event_type == "MESSAGE"


async def test_the_connect_integration_chooses_the_subprotocol(backend: Backend) -> None:
    backend.answer = answering(200, sec_websocket_protocol="second")
    async with (
        running_gateway(backend) as gateway,
        phone(gateway.websocket_url, subprotocols=["first", "second"]) as client,
    ):
        assert client.subprotocol == "second"
        assert (await backend.next()).headers["sec-websocket-protocol"] == "first, second"


async def test_whether_the_client_hears_of_the_chosen_subprotocol_is_a_switch(
    backend: Backend,
) -> None:
    backend.answer = answering(200, sec_websocket_protocol="second")
    options = Options(subprotocol_of_reply="left out")
    async with (
        running_gateway(backend, options) as gateway,
        phone(gateway.websocket_url, subprotocols=["first", "second"]) as client,
    ):
        assert client.subprotocol is None


async def test_only_the_base_paths_are_served_with_and_without_a_slash(backend: Backend) -> None:
    options = Options(base_paths=("/dev", "/socket.io"))
    async with running_gateway(backend, options) as gateway:
        origin = gateway.websocket_url.removesuffix("/dev")
        for path in ("/dev", "/dev/", "/socket.io", "/socket.io/?EIO=4&transport=websocket"):
            async with phone(origin + path) as client:
                assert client.state is State.OPEN
        for path in ("/", "/prod", "/dev/x", "/devious", "//dev"):
            refusal = await refused(origin + path)
            assert refusal.response.status_code == 403
            assert json.loads(refusal.response.body) == {"message": "Forbidden"}


async def test_a_plain_get_of_the_socket_path_is_forbidden(backend: Backend) -> None:
    async with running_gateway(backend) as gateway, httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(gateway.websocket_url.replace("ws:", "http:"))
    assert answer.status_code == 403


async def test_a_malformed_handshake_is_a_bad_request(backend: Backend) -> None:
    async with running_gateway(backend) as gateway, httpx.AsyncClient(trust_env=False) as http:
        url = gateway.websocket_url.replace("ws:", "http:")
        upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "8"}
        answer = await http.get(url, headers=upgrade)
    assert answer.status_code == 400
    assert backend.seen.empty()


async def test_a_url_over_4096_characters_is_too_long(backend: Backend) -> None:
    async with running_gateway(backend) as gateway:
        refusal = await refused(gateway.websocket_url + "?x=" + "x" * 4096)
    assert refusal.response.status_code == 414


@pytest.mark.parametrize(
    "options",
    [
        Options(new_connections=Throttle(rate=0, burst=1)),
        Options(stage_throttle=Throttle(rate=0, burst=1)),
    ],
)
async def test_too_many_new_connections_get_429(backend: Backend, options: Options) -> None:
    async with running_gateway(backend, options) as gateway, phone(gateway.websocket_url):
        assert (await refused(gateway.websocket_url)).response.status_code == 429
