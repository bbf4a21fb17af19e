"""How the embedded services serve HTTP inside a loop that is not theirs."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from infra.emulators.http import serving


async def hello(_: Request) -> Response:
    return Response("hello")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def left_since(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """What runs that did not run before. Other servers of this loop may have begun something."""
    return {each for each in asyncio.all_tasks() - before if "grpc" not in repr(each)}


async def test_it_listens_as_long_as_the_block_lasts_and_installs_no_signal_handler() -> None:
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    before = asyncio.all_tasks()
    async with serving(Starlette(routes=[Route("/", hello)])) as url:
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
        async with httpx.AsyncClient() as http:
            assert (await http.get(url)).text == "hello"
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(url)
    assert left_since(before) == set()


async def test_a_request_that_outlasts_the_grace_period_is_cancelled_and_waited_for() -> None:
    entered, unwound = asyncio.Event(), asyncio.Event()

    async def hang(_: Request) -> Response:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            unwound.set()
        return Response()

    before = asyncio.all_tasks()
    async with httpx.AsyncClient() as http:
        async with serving(Starlette(routes=[Route("/", hang)]), grace=0) as url:
            request = asyncio.create_task(http.get(url))
            await entered.wait()
        assert unwound.is_set()
        with contextlib.suppress(httpx.HTTPError):
            await request
    assert left_since(before) == set()


async def test_a_taken_port_is_an_error_of_the_caller() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            async with serving(Starlette(), port=port):
                pass


async def test_an_application_that_does_not_start_is_an_error_and_frees_its_port() -> None:
    @contextlib.asynccontextmanager
    async def broken(_: Starlette) -> AsyncIterator[None]:
        raise ValueError("no database")
        yield

    port = free_port()
    with pytest.raises(RuntimeError, match="lifespan"):
        async with serving(Starlette(lifespan=broken), port=port):
            pass
    async with serving(Starlette(routes=[Route("/", hello)]), port=port) as url:
        assert url == f"http://127.0.0.1:{port}"


async def test_connections_send_at_once_what_they_have_to_send() -> None:
    # With Nagle's algorithm, a body that follows its head waits for a delayed acknowledgement.
    delays: list[int] = []

    class Watched(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            accepted = transport.get_extra_info("socket")
            delays.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            super().connection_made(transport)

    app = Starlette(routes=[Route("/", hello)])
    async with serving(app, http=Watched) as url, httpx.AsyncClient() as http:
        assert (await http.get(url)).text == "hello"
    assert delays == [1]
