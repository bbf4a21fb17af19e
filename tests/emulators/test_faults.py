"""Faults on demand: each kind, and on each service the single request that it befalls."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any

import grpc
import httpx
import pytest
from google.api_core import exceptions
from google.cloud.firestore import AsyncClient
from google.cloud.firestore_v1.types import WriteRequest
from google.pubsub_v1 import PublisherAsyncClient, PubsubMessage
from google.pubsub_v1.services.publisher.transports import PublisherGrpcAsyncIOTransport
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import request_response
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from infra.client.calls import client_at
from infra.emulators.apigateway import ApiGateway, Route
from infra.emulators.auth.keys import TokenKeys
from infra.emulators.faults import Broken, Fault, Faults, FaultyRpcs, Kind
from infra.emulators.fcm import FcmServer
from infra.emulators.firestore import FirestoreServer
from infra.emulators.http import serving
from infra.emulators.pubsub import PubSubServer
from infra.emulators.scheduler import Scheduler
from tests.support.pace import PATIENCE_SECONDS

CALL = "service.Call"


@pytest.fixture
def faults() -> Faults:
    return Faults()


class Service:
    """One that notes what it has done, and can be asked by way of the faults."""

    def __init__(self, faults: Faults) -> None:
        self.done: list[str] = []
        self._faults = faults

    async def ask(self, text: str, call: str = CALL) -> str:
        async def serve() -> str:
            self.done.append(text)
            return f"{text} is done"

        return await self._faults.around(call, lambda: text, serve)


@pytest.fixture
def service(faults: Faults) -> Service:
    return Service(faults)


async def test_a_call_that_fails_is_not_done(faults: Faults, service: Service) -> None:
    fault = faults.fail(CALL, code=grpc.StatusCode.ABORTED)
    with pytest.raises(Broken) as broken:
        await service.ask("it")
    assert broken.value.code is grpc.StatusCode.ABORTED
    assert fault.reached.is_set()
    assert service.done == []
    assert await service.ask("it") == "it is done"


async def test_a_call_whose_reply_is_lost_is_done(faults: Faults, service: Service) -> None:
    faults.lose_reply(CALL)
    with pytest.raises(Broken):
        await service.ask("it")
    assert service.done == ["it"]


@pytest.mark.parametrize(("kind", "done"), [(Kind.HOLD, []), (Kind.HOLD_REPLY, ["it"])])
async def test_a_call_that_is_held_goes_on_when_it_is_released(
    faults: Faults, service: Service, kind: Kind, done: list[str]
) -> None:
    fault = faults.arm(Fault(kind, CALL))
    asked = asyncio.create_task(service.ask("it"))
    await fault.reached.wait()
    assert service.done == done
    assert not asked.done()
    fault.release()
    assert await asked == "it is done"
    assert service.done == ["it"]


@pytest.mark.parametrize(("kind", "done"), [(Kind.HOLD, []), (Kind.HOLD_REPLY, ["it"])])
async def test_a_call_that_is_dropped_stays_as_it_was_when_its_caller_died(
    faults: Faults, service: Service, kind: Kind, done: list[str]
) -> None:
    fault = faults.arm(Fault(kind, CALL))
    asked = asyncio.create_task(service.ask("it"))
    await fault.reached.wait()
    fault.drop()
    with pytest.raises(Broken):
        await asked
    assert service.done == done


async def test_a_call_that_is_delayed_is_done_even_if_its_caller_has_gone(
    faults: Faults, service: Service
) -> None:
    fault = faults.arm(Fault(Kind.DELAY, CALL, seconds=0.01))
    asked = asyncio.create_task(service.ask("it"))
    await fault.reached.wait()
    asked.cancel()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not service.done:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
    assert service.done == ["it"]


async def test_a_call_that_is_repeated_is_done_twice(faults: Faults, service: Service) -> None:
    faults.arm(Fault(Kind.REPEAT, CALL))
    assert await service.ask("it") == "it is done"
    assert service.done == ["it", "it"]


async def test_a_call_that_is_overtaken_is_done_after_the_other(
    faults: Faults, service: Service
) -> None:
    fault = faults.arm(Fault(Kind.OVERTAKE, CALL, ("first",), overtaken_by="second"))
    first = asyncio.create_task(service.ask("first"))
    await fault.reached.wait()
    await service.ask("another")
    await service.ask("second")
    await first
    assert service.done == ["another", "second", "first"]


async def test_a_fault_befalls_what_it_is_about_and_no_more_often_than_said(
    faults: Faults, service: Service
) -> None:
    faults.fail(CALL, "CALL_1", "USR_1", skip=1, times=2)
    outcomes = []
    for text, call in [
        ("CALL_1 of USR_1", CALL),  # spared
        ("CALL_1 of USR_2", CALL),
        ("CALL_1 of USR_1", "service.Other"),
        *[("CALL_1 of USR_1", CALL)] * 3,
    ]:
        try:
            await service.ask(text, call)
            outcomes.append("done")
        except Broken:
            outcomes.append("broken")
    assert outcomes == ["done", "done", "done", "broken", "broken", "done"]


async def test_faults_last_as_long_as_their_block(faults: Faults, service: Service) -> None:
    with faults.during(Fault(Kind.HOLD, CALL), Fault(Kind.FAIL, CALL, times=None)) as _:
        held = asyncio.create_task(service.ask("held"))
        await asyncio.sleep(0)
        with pytest.raises(Broken):
            await service.ask("failed")
    assert await held == "held is done"
    assert await service.ask("it") == "it is done"


# The services


@pytest.fixture
async def firestore(faults: Faults) -> AsyncIterator[AsyncClient]:
    async with FirestoreServer(interceptors=[FaultyRpcs(faults, "firestore")]) as server:
        yield client_at(server.address, "unring-test")


async def _ask_firestore(client: AsyncClient) -> None:
    await client.collection("calls").document("CALL_1").set({"status": "ringing"}, retry=None)


async def test_firestore_breaks_the_rpc_that_it_is_told_to(
    faults: Faults, firestore: AsyncClient
) -> None:
    call = firestore.collection("calls").document("CALL_1")
    faults.fail("firestore.Commit", "calls/CALL_1")
    with pytest.raises(exceptions.ServiceUnavailable):
        await _ask_firestore(firestore)
    assert not (await call.get()).exists
    faults.lose_reply("firestore.Commit", "calls/CALL_1")
    with pytest.raises(exceptions.ServiceUnavailable):
        await _ask_firestore(firestore)
    assert (await call.get()).exists
    faults.fail("firestore.BatchGetDocuments", code=grpc.StatusCode.RESOURCE_EXHAUSTED)
    with pytest.raises(exceptions.ResourceExhausted):
        await call.get()
    fault = faults.hold("firestore.RunQuery", "calls")
    asked = asyncio.create_task(firestore.collection("calls").get(retry=None))
    await fault.reached.wait()
    assert not asked.done()
    fault.release()
    assert [found.id for found in await asked] == ["CALL_1"]


async def test_a_stream_of_requests_is_left_alone(faults: Faults, firestore: AsyncClient) -> None:
    async def handshake() -> AsyncIterator[WriteRequest]:
        yield WriteRequest(database=firestore._database_string)

    faults.fail("firestore.Write")
    stream = await firestore._firestore_api.write(requests=handshake())
    assert [bool(response.stream_token) async for response in stream] == [True]


async def test_a_server_beside_firestore_has_its_documents_and_none_of_its_faults(
    faults: Faults,
) -> None:
    async with (
        FirestoreServer() as documents,
        FirestoreServer(beside=documents, interceptors=[FaultyRpcs(faults, "firestore")]) as faulty,
    ):
        faults.fail("firestore.Commit", times=None)
        await _ask_firestore(client_at(documents.address, "unring-test"))
        read = client_at(faulty.address, "unring-test").collection("calls").document("CALL_1")
        assert (await read.get()).exists


async def test_pubsub_breaks_a_publish_that_it_is_told_to(faults: Faults) -> None:
    async with (
        PubSubServer(interceptors=[FaultyRpcs(faults, "pubsub")]) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        publisher = PublisherAsyncClient(transport=PublisherGrpcAsyncIOTransport(channel=channel))
        topic = "projects/unring-test/topics/events"
        await publisher.create_topic(name=topic)
        faults.fail("pubsub.Publish", "CALL_1")
        for data, answer in ((b"CALL_2", None), (b"CALL_1", exceptions.ServiceUnavailable)):
            publish = publisher.publish(
                topic=topic, messages=[PubsubMessage(data=data)], retry=None
            )
            if answer is None:
                await publish
            else:
                with pytest.raises(answer):
                    await publish


Ask = Callable[[httpx.AsyncClient], Coroutine[Any, Any, httpx.Response]]


@pytest.fixture(params=["connections.POST", "fcm.send", "keys.GET"])
async def asked(request: pytest.FixtureRequest, faults: Faults) -> AsyncIterator[tuple[str, Ask]]:
    """A service by HTTP: the name of its call, and what makes it."""
    if request.param == "connections.POST":
        async with ApiGateway({}, faults=faults) as api:
            url = f"{api.connections_url}/aaaaaaaaaaaaaaa%3D"
            yield request.param, lambda http: http.post(url, content="CALL_1")
    elif request.param == "fcm.send":
        async with FcmServer(faults=faults) as fcm:
            send = {"message": {"token": "T", "data": {"callId": "CALL_1"}}}
            bearer = {"Authorization": "Bearer any"}
            url = f"{fcm.url}/v1/projects/unring-test/messages:send"
            yield request.param, lambda http: http.post(url, json=send, headers=bearer)
    else:
        async with TokenKeys("unring-test", faults=faults) as keys:
            yield request.param, lambda http: http.get(keys.url)


async def test_a_service_by_http_breaks_the_call_that_it_is_told_to(
    faults: Faults, asked: tuple[str, Ask]
) -> None:
    call, ask = asked
    async with httpx.AsyncClient() as http:
        usual = (await ask(http)).status_code
        assert usual < 500
        faults.fail(call)
        assert (await ask(http)).status_code in (500, 503)
        faults.lose_reply(call)
        assert (await ask(http)).status_code in (500, 503)
        fault = faults.hold(call)
        held = asyncio.create_task(ask(http))
        await fault.reached.wait()
        assert not held.done()
        fault.release()
        assert (await held).status_code == usual


@pytest.fixture
async def target() -> AsyncIterator[str]:
    """Where what is called by services answers 200."""

    async def answer(_: Request) -> Response:
        return Response("{}")

    async with serving(request_response(answer), lifespan="off") as url:
        yield url


async def test_api_gateway_breaks_what_it_calls_its_backend_with(
    faults: Faults, target: str
) -> None:
    routes = {key: Route(target, route_response=True) for key in ("$connect", "$default")}
    async with ApiGateway(routes, faults=faults) as api:
        fault = faults.fail("integration.$connect")
        with pytest.raises(InvalidStatus) as refused:
            await connect(api.websocket_url).__aenter__()
        assert refused.value.response.status_code == 502
        assert fault.met == 1
        async with connect(api.websocket_url) as socket:
            faults.fail("integration.$default", "CALL_1")
            await socket.send("CALL_2")
            assert await socket.recv() == "{}"
            await socket.send("CALL_1")
            assert "Internal server error" in str(await socket.recv())


async def test_cloud_scheduler_breaks_the_job_that_it_is_told_to(
    faults: Faults, target: str
) -> None:
    hour = timedelta(hours=1)
    scheduler = Scheduler(target, hour, lambda: {}, job="sweep", faults=faults)
    other = faults.fail("job.other")
    fault = faults.fail("job.sweep", target)
    await scheduler.run_now()
    await scheduler.run_now()
    assert (fault.met, other.met) == (1, 0)


async def test_fcm_that_is_overrun_says_so(faults: Faults) -> None:
    async with FcmServer(faults=faults) as fcm, httpx.AsyncClient() as http:
        faults.fail("fcm.send", code=grpc.StatusCode.RESOURCE_EXHAUSTED)
        answer = await http.post(
            f"{fcm.url}/v1/projects/unring-test/messages:send",
            json={"message": {"token": "T"}},
            headers={"Authorization": "Bearer any"},
        )
    assert answer.status_code == 429
