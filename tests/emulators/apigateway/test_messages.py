"""Messages of a client: their routes, what the backend is sent, what comes back."""

import asyncio
import json
import socket

import pytest
from starlette.responses import Response

from infra.emulators.apigateway import ApiGateway, Options, Route, Throttle
from tests.emulators.apigateway.support import (
    Backend,
    Seen,
    answering,
    connected,
    hanging_on,
    management_client,
    phone,
    post,
    running_gateway,
)


async def test_a_message_reaches_the_backend_raw_without_client_headers(backend: Backend) -> None:
    async with (
        running_gateway(backend) as gateway,
        phone(gateway.websocket_url + "?token=T", additional_headers={"X-Own": "mine"}) as client,
    ):
        connection_id = (await backend.next()).connection_id
        await client.send('{"event": "x", "é": "\\u0000"}')
        seen = await backend.next()
    assert (seen.method, seen.query) == ("POST", "")
    assert seen.body == '{"event": "x", "é": "\\u0000"}'.encode()
    assert seen.headers["content-type"] == "application/json; charset=UTF-8"
    assert (seen.event_type, seen.connection_id) == ("MESSAGE", connection_id)
    assert "x-own" not in seen.headers
    assert "python" not in seen.headers["user-agent"].lower()


@pytest.mark.parametrize("message", ["2", "40", "not json", '42["call:cancel",{}]', "", "[]"])
async def test_what_names_no_event_goes_to_default_as_it_is(backend: Backend, message: str) -> None:
    async with running_gateway(backend) as gateway, connected(gateway, backend) as (client, _):
        await client.send(message)
        seen = await backend.next()
        assert await client.recv() == message
    assert (seen.headers["test-route-key"], seen.body) == ("$default", message.encode())


async def test_an_exact_route_key_takes_its_event(backend: Backend) -> None:
    async with (
        running_gateway(backend, routes=("$connect", "$default", "call:cancel")) as gateway,
        connected(gateway, backend) as (client, _),
    ):
        await client.send('{"event": "call:cancel"}')
        assert (await backend.next()).headers["test-route-key"] == "call:cancel"
        await client.send('{"event": "call:cancelled"}')
        assert (await backend.next()).headers["test-route-key"] == "$default"


async def test_without_a_matching_route_the_client_is_told_forbidden(backend: Backend) -> None:
    async with (
        running_gateway(backend, routes=("$connect",)) as gateway,
        connected(gateway, backend) as (client, connection_id),
    ):
        await client.send("{}")
        frame = json.loads(await client.recv())
    assert frame.keys() == {"message", "connectionId", "requestId"}
    assert (frame["message"], frame["connectionId"]) == ("Forbidden", connection_id)


async def test_a_fragmented_message_arrives_whole(backend: Backend) -> None:
    async with running_gateway(backend) as gateway, connected(gateway, backend) as (client, _):
        await client.send(["one ", "é ", "three"])
        assert (await backend.next()).body == "one é three".encode()


async def test_the_reply_of_a_one_way_route_is_not_sent(backend: Backend) -> None:
    async with (
        running_gateway(backend, two_way=False) as gateway,
        connected(gateway, backend) as (client, connection_id),
    ):
        await client.send("to nobody")
        await backend.next("MESSAGE")
        await post(management_client(gateway), connection_id, b"posted")
        assert await client.recv() == "posted"


@pytest.mark.parametrize(("switch", "first"), [("frame", ""), ("nothing", "body")])
async def test_an_empty_reply_is_an_empty_frame_or_nothing(
    backend: Backend, switch: str, first: str
) -> None:
    options = Options(empty_reply=switch)  # type: ignore[arg-type] # parametrized
    async with (
        running_gateway(backend, options) as gateway,
        connected(gateway, backend) as (client, _),
    ):
        backend.answer = answering(200)
        await client.send("{}")
        await backend.next("MESSAGE")
        # The reply to the empty one is on its way; a second exchange comes behind it.
        if switch == "frame":
            assert await client.recv() == first
        backend.answer = answering(200, "body")
        await client.send("{}")
        assert await client.recv() == "body"


@pytest.mark.parametrize("status", [500, 503, 504])
async def test_a_5xx_reply_becomes_the_error_frame(backend: Backend, status: int) -> None:
    async with (
        running_gateway(backend) as gateway,
        connected(gateway, backend) as (client, connection_id),
    ):
        backend.answer = answering(status, "not for the client")
        await client.send("{}")
        frame = json.loads(await client.recv())
    assert frame.keys() == {"message", "connectionId", "requestId"}
    assert (frame["message"], frame["connectionId"]) == ("Internal server error", connection_id)
    assert len(frame["requestId"]) == 16


@pytest.mark.parametrize(("threshold", "shown"), [(500, "no such call"), (400, None)])
async def test_a_4xx_reply_passes_as_it_is_unless_switched(
    backend: Backend, threshold: int, shown: str | None
) -> None:
    options = Options(error_frame_from_status=threshold)
    async with (
        running_gateway(backend, options) as gateway,
        connected(gateway, backend) as (client, _),
    ):
        backend.answer = answering(404, "no such call")
        await client.send("{}")
        frame = await client.recv()
    assert frame == shown if shown else json.loads(frame)["message"] == "Internal server error"


async def test_a_late_reply_becomes_the_error_frame(backend: Backend) -> None:
    options = Options(integration_timeout_seconds=0.1)
    # Without $connect, which on a busy machine may take longer.
    async with (
        running_gateway(backend, options, routes=("$default",)) as gateway,
        phone(gateway.websocket_url) as c,
    ):
        backend.answer, release = hanging_on("MESSAGE")
        await c.send("{}")
        assert json.loads(await c.recv())["message"] == "Internal server error"
        release.set()


async def test_a_backend_that_went_away_gives_the_error_frame(backend: Backend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    async with ApiGateway({"$default": Route(url)}) as gateway, phone(gateway.websocket_url) as c:
        await c.send("{}")
        assert json.loads(await c.recv())["message"] == "Internal server error"


async def test_a_reply_that_is_no_text_gives_the_error_frame(backend: Backend) -> None:
    async def binary(seen: Seen) -> Response:
        return Response(b"\xff\xfe")

    async with running_gateway(backend) as gateway, connected(gateway, backend) as (client, _):
        backend.answer = binary
        await client.send("{}")
        assert json.loads(await client.recv())["message"] == "Internal server error"


async def test_messages_of_one_connection_may_be_answered_out_of_order(backend: Backend) -> None:
    release = asyncio.Event()

    async def first_waits(seen: Seen) -> Response:
        if seen.body == b"first":
            await release.wait()
        return Response(seen.body)

    async with running_gateway(backend) as gateway, connected(gateway, backend) as (client, _):
        backend.answer = first_waits
        await client.send("first")
        await client.send("second")
        assert await client.recv() == "second"
        release.set()
        assert await client.recv() == "first"


async def test_a_throttled_message_is_answered_too_many_requests(backend: Backend) -> None:
    options = Options(stage_throttle=Throttle(rate=0, burst=2))
    async with running_gateway(backend, options) as gateway, connected(gateway, backend) as (c, _):
        await c.send("passes")
        assert await c.recv() == "passes"
        await c.send("does not")
        assert json.loads(await c.recv())["message"] == "Too Many Requests"
