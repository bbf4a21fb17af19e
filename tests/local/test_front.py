"""The local stack's front: what it passes on to `api` and back, and what it says itself."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.requests import Request as Asked
from starlette.responses import Response as Answer
from starlette.routing import request_response

from infra.emulators.apigateway import ApiGateway
from infra.emulators.faults import Faults
from infra.emulators.http import serving
from infra.emulators.processes import reserved_port
from infra.local.front import Forwarder
from tests.support.pace import PATIENCE_SECONDS

Answering = Callable[[Asked], Awaitable[Answer]]


async def _teapot(_: Asked) -> Answer:
    headers = [
        *(("x-own", "mine"), ("set-cookie", "a=1"), ("set-cookie", "b=2")),
        *(("content-encoding", "gzip"), ("connection", "close")),
    ]
    answer = Answer(gzip.compress("grüße".encode()), 418)
    answer.raw_headers += [(name.encode(), value.encode()) for name, value in headers]
    return answer


class Api:
    """What plays the function: it notes each request with its body, and answers as it is told."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[tuple[Asked, bytes]] = asyncio.Queue()
        self.answering: Answering = _teapot
        self.url = ""

    async def handle(self, request: Asked) -> Answer:
        await self.asked.put((request, await request.body()))
        return await self.answering(request)

    async def next(self) -> tuple[Asked, bytes]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.asked.get()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    async with serving(request_response(api.handle), lifespan="off", proxy_headers=False) as url:
        api.url = url
        yield api


@asynccontextmanager
async def front(
    url: Callable[[], str], faults: Faults | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway beside which the front is."""
    async with (
        Forwarder(url, faults) as forwarder,
        ApiGateway({}, beside=forwarder) as gateway,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{gateway.port}", trust_env=False, timeout=PATIENCE_SECONDS
        ) as http,
    ):
        yield http


async def test_a_request_goes_on_as_it_came(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody listens
    target = "/socket.io/?EIO=4&transport=polling&a=%2F+{}%zz&sid="
    sent = [
        *(("x-twice", "1"), ("x-twice", "2"), ("x-forwarded-for", "203.0.113.9")),
        *(("connection", "x-hop, upgrade"), ("x-hop", "this one's"), ("te", "trailers")),
    ]
    async with front(lambda: api.url) as http:
        request = http.build_request("POST", "/", content=b"40{}", headers=sent)
        request.extensions["target"] = target.encode()
        await http.send(request)
        asked, body = await api.next()
        host = request.url.netloc.decode()
    assert (asked.method, body) == ("POST", b"40{}")
    path, _, query = target.partition("?")
    assert asked.scope["raw_path"].decode() == path
    assert asked.scope["query_string"].decode() == query
    assert asked.headers["host"] == host
    assert asked.headers.getlist("x-twice") == ["1", "2"]
    assert asked.headers["x-forwarded-for"] == "203.0.113.9, 127.0.0.1"
    assert not {"x-hop", "te", "upgrade"} & set(asked.headers)
    assert asked.headers["user-agent"].startswith("python-httpx")


async def test_a_client_that_says_little_is_given_no_words_of_ours(api: Api) -> None:
    async with front(lambda: api.url) as http:
        http.headers.clear()
        await http.get("/")
        asked, _ = await api.next()
    assert set(asked.headers) <= {"host", "x-forwarded-for", "connection"}


async def test_an_answer_comes_back_as_it_is(api: Api) -> None:
    async with front(lambda: api.url) as http:
        answer = await http.get("/health")
    assert (answer.status_code, answer.text) == (418, "grüße")
    assert answer.headers["x-own"] == "mine"
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers.get_list("content-length") == ["7"]
    assert "connection" not in answer.headers


async def test_before_the_function_is_there_it_is_unavailable() -> None:
    ready: dict[str, str] = {}
    async with front(lambda: ready["api"]) as http:
        answer = await http.get("/health")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {"message": "Service Unavailable"}


async def test_a_function_that_cannot_be_reached_is_a_bad_gateway() -> None:
    with reserved_port() as port:
        async with front(lambda: f"http://127.0.0.1:{port}") as http:
            assert (await http.get("/health")).status_code == 502


async def test_it_breaks_the_request_that_it_is_told_to(api: Api) -> None:
    faults = Faults()
    faults.fail("front.POST", "/v1/signals?x=1", "CALL_1")
    async with front(lambda: api.url, faults) as http:
        for call, status in (("CALL_2", 418), ("CALL_1", 502), ("CALL_1", 418)):
            assert (await http.post("/v1/signals?x=1", content=call)).status_code == status


async def test_a_client_that_hangs_up_ends_the_request_at_the_function(api: Api) -> None:
    gone = asyncio.Event()

    async def held(request: Asked) -> Answer:
        while (await request.receive())["type"] != "http.disconnect":
            continue
        gone.set()
        return Answer()

    api.answering = held
    async with front(lambda: api.url) as http:
        poll = asyncio.create_task(http.get("/socket.io/"))
        await api.next()
        poll.cancel()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await gone.wait()
