"""Whoever watches is told of every call: as it begins, and as it has ended."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import httpx
import pytest
from google.api_core import exceptions
from google.cloud.firestore import AsyncClient
from starlette.responses import Response

from infra.client.calls import client_at
from infra.emulators.apigateway import ApiGateway
from infra.emulators.apigateway.http1 import json_response
from infra.emulators.faults import Fault, FaultyRpcs, Kind
from infra.emulators.firestore import FirestoreServer
from infra.emulators.watching import Answer, Seen, WatchedFaults


class Watcher:
    def __init__(self) -> None:
        self.told: list[Seen] = []
        ticks = itertools.count()
        self.faults = WatchedFaults(now=lambda: float(next(ticks)))
        self.faults.watcher = self.told.append

    async def ask(self, serve: Callable[[], Awaitable[Any]], call: str = "service.Call") -> None:
        try:
            await self.faults.around(call, lambda: "asked", serve)
        except Exception:
            return

    @property
    def last(self) -> Seen:
        return self.told[-1]


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


def giving(served: object) -> Callable[[], Awaitable[Any]]:
    async def serve() -> object:
        return served

    return serve


async def raising() -> None:
    raise ValueError("it could not be reached")


async def test_it_is_told_when_a_call_begins_and_when_it_has_ended(watcher: Watcher) -> None:
    began = asyncio.Event()
    goes_on = asyncio.Event()

    async def serve() -> int:
        began.set()
        await goes_on.wait()
        return 204

    asked = asyncio.create_task(watcher.ask(serve))
    await began.wait()
    (begun,) = watcher.told
    assert (begun.id, begun.call, begun.request) == (1, "service.Call", "asked")
    assert (begun.began, begun.ended, begun.answer) == (0.0, None, None)
    goes_on.set()
    await asked
    ended = watcher.last
    assert (ended.id, ended.call, ended.request) == (1, "service.Call", "asked")
    assert (ended.began, ended.ended, ended.answer) == (0.0, 1.0, Answer("204"))


@pytest.mark.parametrize(
    ("serve", "answer"),
    [
        (giving(None), Answer("no answer", is_error=True)),
        (giving(503), Answer("503", is_error=True)),
        (giving(json_response(410, {})), Answer("410", "{}", is_error=True)),
        (giving(Response("yes")), Answer("200", "yes")),
        (giving(httpx.Response(404, text="no")), Answer("404", "no", is_error=True)),
        (giving(["one", "two"]), Answer("OK", "one\ntwo")),
        (raising, Answer("no answer", "it could not be reached", is_error=True)),
    ],
)
async def test_it_is_told_what_came_of_a_call(
    watcher: Watcher, serve: Callable[[], Awaitable[Any]], answer: Answer
) -> None:
    await watcher.ask(serve)
    assert watcher.last.answer == answer


async def test_it_is_told_of_a_call_whose_caller_has_gone(watcher: Watcher) -> None:
    began = asyncio.Event()

    async def serve() -> None:
        began.set()
        await asyncio.Event().wait()

    asked = asyncio.create_task(watcher.ask(serve))
    await began.wait()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert watcher.last.answer == Answer("CANCELLED", is_error=True)


async def test_it_is_told_which_fault_broke_a_call_and_of_none_that_another_met(
    watcher: Watcher,
) -> None:
    fault = watcher.faults.arm(Fault(Kind.FAIL, "service.Call"))
    for _ in range(2):
        await watcher.ask(giving(200))
    broken, whole = (each for each in watcher.told if each.answer)
    assert (broken.fault, whole.fault) == (fault, None)
    assert broken.answer == Answer("UNAVAILABLE", "broken on demand: UNAVAILABLE", is_error=True)
    assert whole.answer == Answer("200")


async def test_without_a_watcher_no_request_becomes_text(watcher: Watcher) -> None:
    watcher.faults.watcher = None

    def text() -> str:
        raise AssertionError

    assert await watcher.faults.around("service.Call", text, giving(1)) == 1


# The services


@pytest.fixture
async def firestore(watcher: Watcher) -> AsyncIterator[AsyncClient]:
    interceptor = FaultyRpcs(watcher.faults, "firestore")
    async with FirestoreServer(interceptors=[interceptor]) as server:
        yield client_at(server.address, "test")


async def test_of_an_rpc_it_is_told_who_asks_and_what_is_answered(
    watcher: Watcher, firestore: AsyncClient
) -> None:
    await firestore.collection("calls").document("CALL_1").set({"status": "ringing"})
    begun, ended = watcher.told
    assert begun.call == "firestore.Commit"
    assert 'documents/calls/CALL_1"' in begun.request
    assert begun.peer
    assert begun.peer.rpartition(":")[2].isdecimal()
    assert ended.answer
    assert ended.answer.status == "OK"
    assert "write_results" in ended.answer.text


async def test_of_an_rpc_that_is_refused_it_is_told_the_code_and_why(
    watcher: Watcher, firestore: AsyncClient
) -> None:
    call = firestore.collection("calls").document("CALL_1")
    await call.create({})
    with pytest.raises(exceptions.AlreadyExists) as refused:
        await call.create({})
    assert watcher.last.answer
    assert watcher.last.answer.status == grpc.StatusCode.ALREADY_EXISTS.name
    assert watcher.last.answer.is_error
    assert watcher.last.answer.text in str(refused.value)
    assert watcher.last.answer.text


async def test_of_a_post_to_a_socket_it_is_told_the_port_that_it_came_from(
    watcher: Watcher,
) -> None:
    async with ApiGateway({}, faults=watcher.faults) as api, httpx.AsyncClient() as http:
        answer = await http.post(f"{api.connections_url}/aaaaaaaaaaaaaaa%3D", content="hello")
        own = answer.extensions["network_stream"].get_extra_info("client_addr")
    assert watcher.last.peer == f"{own[0]}:{own[1]}"
    assert watcher.last.answer
    assert watcher.last.answer.status == "410"
