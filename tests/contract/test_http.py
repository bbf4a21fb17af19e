"""HTTP to AWS: sent as it is written, over connections that are kept and, in the end, closed."""

import asyncio
import gzip
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from functions.services.http import Answer, Http, NoAnswer
from tests.support.pace import PATIENCE_SECONDS
from tests.support.rawhttp import (
    Answering,
    closing,
    raw_server,
    resetting,
    saying,
    silence,
)

DONE = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


async def test_a_url_is_sent_as_it_is_written() -> None:
    target = "/dev/%40connections/a%2Fb%2B%3D?x=%2f&y=a+b"
    async with raw_server(saying(DONE)) as server:
        await Http(PATIENCE_SECONDS).send("POST", server.url + target, {}, b"x")
        assert server.targets == [target]


async def test_the_next_request_takes_the_same_connection_also_if_a_body_comes_late() -> None:
    http = Http(PATIENCE_SECONDS)
    async with raw_server(saying(HEAD, b"body")) as server:
        for _ in range(3):
            assert await http.send("POST", server.url, {}, b"x") == Answer(200, b"body")
        assert server.connections == 1


async def test_requests_at_the_same_time_do_not_wait_for_each_other() -> None:
    many = 150  # aiohttp by itself has 100 at a time
    all_are_there = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        if len(server.heads) == many:
            all_are_there.set()
        await all_are_there.wait()
        writer.write(DONE)

    http = Http(PATIENCE_SECONDS)
    async with raw_server(answer) as server:
        sent = (http.send("POST", server.url, {}, b"x") for _ in range(many))
        assert set(await asyncio.gather(*sent)) == {Answer(200, b"")}


async def test_a_redirect_is_not_followed() -> None:
    moved = b"HTTP/1.1 307 Moved\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    async with raw_server(saying(moved)) as server:
        answer = await Http(PATIENCE_SECONDS).send("POST", f"{server.url}/here", {}, b"x")
        assert (answer.status, server.targets) == (307, ["/here"])


async def test_no_compressed_answer_is_asked_for_and_none_is_expanded() -> None:
    bomb = gzip.compress(b"\0" * 1_000_000)
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    async with raw_server(saying(head + bomb)) as server:
        answer = await Http(PATIENCE_SECONDS).send("POST", server.url, {}, b"x")
        assert answer == Answer(200, bomb)
        assert b"accept-encoding" not in server.heads[0].lower()


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with raw_server(saying(DONE)) as server:
        assert await Http(PATIENCE_SECONDS).send("GET", server.url, {}) == Answer(200, b"")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(closing(b""), id="hangs up"),
        pytest.param(resetting(b""), id="resets"),
        pytest.param(resetting(b"HTTP/1.1 200 OK\r\nconte"), id="resets in the head"),
        pytest.param(resetting(HEAD + b"bo"), id="resets in the body"),
        pytest.param(closing(HEAD + b"bo"), id="hangs up in the body"),
        pytest.param(saying(b"SSH-2.0-OpenSSH_9.9\r\n"), id="no HTTP"),
        pytest.param(saying(b"HTTP/1.1 OK\r\n\r\n"), id="no status"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"), id="no length"),
        pytest.param(
            saying(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), id="no chunk"
        ),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 9_000), id="too many headers"),
    ],
)
async def test_what_is_no_whole_answer_is_none(answer: Answering) -> None:
    async with raw_server(answer) as server:
        with pytest.raises(NoAnswer):
            await Http(PATIENCE_SECONDS).send("POST", server.url, {}, b"x")


@pytest.mark.parametrize("answer", [silence, saying(HEAD)], ids=["nothing", "no body"])
async def test_what_takes_too_long_is_no_answer(answer: Answering) -> None:
    async with raw_server(answer) as server:
        with pytest.raises(NoAnswer):
            await Http(timeout_seconds=0.1).send("POST", server.url, {}, b"x")
        await server.closed.wait()


@pytest.mark.parametrize("size", [1024 * 1024, 1024 * 1024 + 1])
async def test_an_answer_of_more_than_a_megabyte_is_none(size: int) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size
    http = Http(PATIENCE_SECONDS)
    async with raw_server(saying(head, b"x" * size)) as server:
        if size <= 1024 * 1024:
            assert len((await http.send("GET", server.url, {})).body) == size
        else:
            with pytest.raises(NoAnswer):
                await http.send("GET", server.url, {})


@pytest.mark.parametrize("url", ["http://a:b@127.0.0.1/", "http://127.0.0.1:99999/", "keys", ""])
async def test_of_what_is_no_url_there_is_no_answer(url: str) -> None:
    with pytest.raises(NoAnswer):
        await Http(PATIENCE_SECONDS).send("GET", url, {"Authorization": "Bearer x"})


async def test_a_request_that_is_given_up_is_cancelled_and_its_connection_closed() -> None:
    asked = asyncio.Event()

    async def answer(_: asyncio.StreamWriter) -> None:
        asked.set()

    http = Http(PATIENCE_SECONDS)
    async with raw_server(answer) as server:
        sending = asyncio.create_task(http.send("POST", server.url, {}, b"x"))
        await asked.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await server.closed.wait()


async def test_connections_that_nobody_can_use_any_more_are_closed_without_a_word() -> None:
    errors: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    try:
        async with raw_server(saying(DONE)) as server:
            http = Http(PATIENCE_SECONDS)
            await http.send("POST", server.url, {}, b"x")
            assert not server.closed.is_set()
            del http
            await server.closed.wait()
    finally:
        loop.set_exception_handler(None)
    assert errors == []


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
async def test_an_event_loop_that_ends_leaves_nothing_open(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    errors: list[dict[str, Any]] = []

    def function(url: str) -> None:
        http = Http(PATIENCE_SECONDS)  # outside of the loop

        async def run() -> None:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, context: errors.append(context))
            await http.send("POST", url, {}, b"x")

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(run())

    async with raw_server(saying(DONE)) as server:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            await asyncio.to_thread(function, server.url)
        await server.closed.wait()
    assert (errors, [str(each.message) for each in warned]) == ([], [])
