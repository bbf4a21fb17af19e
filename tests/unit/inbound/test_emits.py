"""The old socket server's paths: what a backend is answered, who is told, and what it costs."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from functions.api import handler
from functions.calls.call import Status, UnreadableCall, UserId
from functions.calls.event import CallEvent
from functions.clients.connection import Wire
from functions.inbound.openapi import DESCRIPTION
from functions.settings import ApiSettings
from tests.memory.services import Services
from tests.support.loglines import logged
from tests.support.makers import CALL, CALLER, RECEIVER, connect, now
from tests.support.processes import settings_of

SECRET, PREVIOUS_SECRET, KEY = "internal", "another", "key"
CANCELLED = {"receiverId": RECEIVER, "callId": CALL, "reason": "because"}
ACCEPTED = {"callerId": CALLER, "callId": CALL, "receiverId": RECEIVER}
PATHS = ("/api/emit/call-cancelled", "/api/emit/call-accepted")
DONE = (200, {"success": True, "emitted": True})
SIGNAL_COSTS = ["BatchGetDocuments", "Commit", "POST", "Publish", "RunQuery"]


class Backend:
    """An app's backend, with its secret unless it says otherwise."""

    def __init__(self, services: Services, **settings: str) -> None:
        function = handler(
            settings_of(ApiSettings, REQUESTS_AT_ONCE="8", **settings),
            services.store,
            services.sockets,
            services.publisher,
            services.identity,
            now,
        )
        methods = ["GET", "POST", "PUT", "OPTIONS"]
        app = Starlette(routes=[Route("/{path:path}", function, methods=methods)])
        transport = httpx.ASGITransport(app=app)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://function")
        self._services = services

    async def ask(
        self, method: str, path: str, secret: str | None = SECRET, **more: Any
    ) -> httpx.Response:
        self._services.journal.clear()
        shown = {} if secret is None else {"X-Internal-Secret": secret}
        headers = {**shown, **more.pop("headers", {})}
        return await self._http.request(method, path, headers=headers, **more)

    async def cancelled(self, **changes: object) -> tuple[int, dict[str, object]]:
        return _read(await self.ask("POST", PATHS[0], json={**CANCELLED, **changes}))

    async def accepted(self, **changes: object) -> tuple[int, dict[str, object]]:
        return _read(await self.ask("POST", PATHS[1], json={**ACCEPTED, **changes}))

    @property
    def costs(self) -> list[str]:
        return sorted(self._services.journal.started)


def _read(answer: httpx.Response) -> tuple[int, dict[str, object]]:
    return answer.status_code, answer.json()


def not_emitted(reason: str) -> tuple[int, dict[str, object]]:
    return 200, {"success": True, "emitted": False, "reason": reason}


def failed(status: int, reason: str) -> tuple[int, dict[str, object]]:
    return status, {"success": False, "emitted": False, "reason": reason}


@pytest.fixture
def backend(services: Services) -> Backend:
    return Backend(
        services,
        API_KEY=KEY,
        INTERNAL_SECRET=SECRET,
        INTERNAL_SECRET_PREVIOUS=PREVIOUS_SECRET,
    )


async def status_of(services: Services) -> Status | None:
    call = await services.world.call()
    return call.status if call else None


# A call that we know


async def test_a_known_call_is_cancelled_for_its_caller(
    backend: Backend, services: Services
) -> None:
    await connect(services.store, "phone=", RECEIVER)
    await services.world.ring()
    assert await backend.cancelled() == DONE
    assert backend.costs == SIGNAL_COSTS
    assert await status_of(services) is Status.CANCELLED
    (made,) = services.published(CallEvent)
    assert (made.status, made.reason, made.served) == (Status.CANCELLED, "because", ("phone=",))
    assert len(services.clients.posted_to("phone=")) == 1


async def test_a_known_call_is_accepted_for_its_receiver(
    backend: Backend, services: Services
) -> None:
    await connect(services.store, "phone=", CALLER)
    await services.world.ring()
    assert await backend.accepted() == DONE
    assert backend.costs == SIGNAL_COSTS
    assert await status_of(services) is Status.ACCEPTED
    (text,) = services.clients.posted_to("phone=")
    assert json.loads(text)["event"] == "call:accepted"


async def test_a_repeat_is_emitted_and_tells_nobody_twice(
    backend: Backend, services: Services
) -> None:
    await connect(services.store, "phone=", RECEIVER)
    await services.world.ring()
    assert [await backend.cancelled() for _ in range(3)] == [DONE] * 3
    assert len(services.clients.posted_to("phone=")) == 1
    # The first is still pending here, as nobody delivers what is published.
    assert backend.costs == [*["BatchGetDocuments"] * 3, "Publish"]


async def test_a_call_that_got_another_answer_first_is_not_emitted(
    backend: Backend, services: Services
) -> None:
    await services.world.ring()
    assert await backend.accepted() == DONE
    assert await backend.cancelled() == not_emitted("already_accepted")
    assert backend.costs == ["BatchGetDocuments"]
    assert await status_of(services) is Status.ACCEPTED


@pytest.mark.parametrize(
    "named",
    [
        lambda backend: backend.cancelled(receiverId="USR_3"),
        lambda backend: backend.cancelled(receiverId=CALLER),
        lambda backend: backend.cancelled(callerId="USR_3"),
        lambda backend: backend.accepted(callerId="USR_3"),
        lambda backend: backend.accepted(receiverId="USR_3"),
        lambda backend: backend.accepted(callerId=RECEIVER, receiverId=CALLER),
    ],
)
async def test_nobody_elses_ring_ends_by_a_wrong_id(
    backend: Backend, services: Services, named: Callable[[Backend], Any]
) -> None:
    for user in (CALLER, RECEIVER, "USR_3"):
        await connect(services.store, f"{user}=", UserId(user))
    await services.world.ring()
    assert await named(backend) == not_emitted("not_found")
    assert backend.costs == ["BatchGetDocuments"]
    assert await status_of(services) is Status.RINGING
    assert services.clients.posts == []


async def test_who_acts_need_not_be_named(backend: Backend, services: Services) -> None:
    await services.world.ring()
    assert await backend.accepted(receiverId=None) == DONE
    assert await status_of(services) is Status.ACCEPTED


async def test_one_who_calls_himself_may_be_cancelled(backend: Backend, services: Services) -> None:
    await services.world.ring()
    call = await services.world.call()
    assert call is not None
    services.database.put_call(replace(call, caller=RECEIVER))
    assert await backend.cancelled() == DONE


async def test_what_the_backend_has_written_by_itself_is_told_to_the_sockets(
    backend: Backend, services: Services
) -> None:
    await connect(services.store, "caller=", CALLER)
    await connect(services.store, "receiver=", RECEIVER)
    await services.world.ring(status=Status.CANCELLED)
    assert await backend.cancelled() == DONE
    assert backend.costs == ["BatchGetDocuments", "POST", "RunQuery"]
    await services.world.ring(status=Status.ACCEPTED)
    assert await backend.accepted() == DONE
    told = [(id, json.loads(text)["event"]) for id, text in services.clients.posts]
    assert told == [("receiver=", "call:cancelled"), ("caller=", "call:accepted")]
    await services.world.ring(status=Status.ENDED)
    assert await backend.cancelled() == not_emitted("already_ended")


async def test_what_the_backend_has_written_over_a_ring_of_ours_is_told_too(
    backend: Backend, services: Services
) -> None:
    await connect(services.store, "phone=", RECEIVER)
    rung = await backend.ask(
        "PUT",
        f"/v1/calls/{CALL}",
        None,
        json={"callerId": CALLER, "receiverId": RECEIVER},
        headers={"Authorization": f"Bearer {KEY}"},
    )
    assert rung.status_code == 200
    call = await services.world.call()
    assert call is not None
    services.database.put_call(replace(call, status=Status.CANCELLED))
    assert await backend.cancelled() == DONE
    assert backend.costs == [*["BatchGetDocuments"] * 2, "POST", "RunQuery"]
    events = [json.loads(text)["event"] for text in services.clients.posted_to("phone=")]
    assert events == ["call:incoming", "call:cancelled"]


async def test_of_a_call_that_makes_no_sense_nobody_is_told(
    backend: Backend, services: Services
) -> None:
    await connect(services.store, "phone=", RECEIVER)
    users = frozenset({CALLER, RECEIVER})
    services.database.unreadable_calls[CALL] = UnreadableCall(CALL, users)
    assert await backend.cancelled() == not_emitted("unreadable")
    assert backend.costs == ["BatchGetDocuments"]
    assert services.clients.posts == []


# A call that we don't know


async def test_of_an_unknown_call_the_named_users_sockets_are_told_on_their_wires(
    backend: Backend, services: Services
) -> None:
    await connect(services.store, "json=", RECEIVER)
    await connect(services.store, "eio4=", RECEIVER, wire=Wire.EIO4)
    await connect(services.store, "caller=", CALLER)
    assert await backend.cancelled() == DONE
    assert backend.costs == ["BatchGetDocuments", "POST", "POST", "RunQuery"]
    (text,) = services.clients.posted_to("json=")
    (packet,) = services.clients.posted_to("eio4=")
    name, data = json.loads(packet.removeprefix("42"))
    assert json.loads(text) == {"event": name, "data": data}
    assert (name, data["callId"], data["reason"]) == ("call:cancelled", CALL, "because")
    assert abs(data["timestamp"] - now().timestamp() * 1000) < 1000
    assert services.clients.posted_to("caller=") == []
    # Nothing is stored, and nothing published.
    assert (services.database.calls, services.database.entries) == ({}, {})
    assert services.published_of_any_kind() == []


@pytest.mark.parametrize("receiver", [RECEIVER, None, CALLER])
async def test_of_an_unknown_accept_the_caller_is_told(
    backend: Backend, services: Services, receiver: str | None
) -> None:
    await connect(services.store, "caller=", CALLER)
    await connect(services.store, "receiver=", RECEIVER)
    assert await backend.accepted(receiverId=receiver) == DONE
    (text,) = services.clients.posted_to("caller=")
    told = json.loads(text)
    assert (told["event"], told["data"]["callId"]) == ("call:accepted", CALL)
    assert services.clients.posted_to("receiver=") == []


async def test_it_is_emitted_if_one_socket_took_it(backend: Backend, services: Services) -> None:
    for id, answers in (("good=", []), ("gone=", [410]), ("bad=", [500]), ("never=", [413])):
        await connect(services.store, id, RECEIVER)
        services.clients.answers[id] = answers
    assert await backend.cancelled() == DONE


async def test_it_is_not_emitted_if_no_socket_is_open(backend: Backend, services: Services) -> None:
    assert await backend.cancelled() == not_emitted("not_connected")
    assert backend.costs == ["BatchGetDocuments", "RunQuery"]
    await connect(services.store, "gone=", RECEIVER)
    await connect(services.store, "opening=", RECEIVER, wire=Wire.EIO4, is_open=False)
    services.clients.answers["gone="] = [410]
    assert await backend.cancelled() == not_emitted("not_connected")


async def test_a_socket_that_was_not_reached_is_to_be_tried_again(
    backend: Backend, services: Services
) -> None:
    await connect(services.store, "phone=", RECEIVER)
    services.clients.answers["phone="] = [500]
    assert await backend.cancelled() == failed(503, "unavailable")
    assert await backend.cancelled() == DONE


# Bodies


async def test_an_id_that_is_a_number_counts_as_its_digits(
    backend: Backend, services: Services
) -> None:
    await connect(services.store, "phone=", UserId("17"))
    assert await backend.cancelled(receiverId=17, callId=4.0) == DONE
    (text,) = services.clients.posted_to("phone=")
    assert json.loads(text)["data"]["callId"] == "4"


@pytest.mark.parametrize("reason", [None, "", 7, ["x"], "x" * 9000])
async def test_no_cancel_is_refused_for_its_reason(
    backend: Backend, services: Services, reason: object
) -> None:
    await services.world.ring()
    assert await backend.cancelled(reason=reason) == DONE


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        (PATHS[0], b"", "the body must be a JSON object"),
        (PATHS[0], b"[]", "the body must be a JSON object"),
        (PATHS[0], b"{}", "callId is missing"),
        (PATHS[0], b'{"callId":"CALL_1"}', "receiverId is missing"),
        (PATHS[1], b'{"callId":"CALL_1","receiverId":"USR_2"}', "callerId is missing"),
        (PATHS[0], b'{"callId":"a/b","receiverId":"USR_2"}', None),
        (PATHS[0], b'{"callId":true,"receiverId":"USR_2"}', None),
        (PATHS[0], b'{"callId":"CALL_1","receiverId":""}', "receiverId must not be empty"),
        (PATHS[0], b'{"callId":"CALL_1","receiverId":{}}', None),
        (PATHS[1], b'{"callId":"CALL_1","callerId":"USR_1","receiverId":1.5}', None),
    ],
)
async def test_what_is_malformed_is_told_and_costs_nothing(
    backend: Backend, services: Services, path: str, content: bytes, reason: str | None
) -> None:
    await services.world.ring()
    status, said = _read(await backend.ask("POST", path, content=content))
    assert (status, said) == failed(400, reason or str(said["reason"]))
    assert backend.costs == []


async def test_a_body_that_is_too_large_is_refused(backend: Backend) -> None:
    answer = await backend.ask("POST", PATHS[0], content=b"x" * (1024 * 1024 + 1))
    assert _read(answer) == failed(413, "the body is too large, too slow or cut off")


# The secret


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (None, "X-Internal-Secret is missing"),
        ("", "X-Internal-Secret is missing"),
        ("wrong", "X-Internal-Secret is not valid"),
        (KEY, "X-Internal-Secret is not valid"),
    ],
)
async def test_without_the_secret_nothing_is_emitted_and_the_body_not_waited_for(
    services: Services, path: str, secret: str | None, why: str
) -> None:
    backend = Backend(services, INTERNAL_SECRET=SECRET, API_KEY=KEY)
    await services.world.ring()
    read: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(json.dumps({**CANCELLED, **ACCEPTED}).encode())
        yield read[-1]

    answer = await backend.ask("POST", path, secret, content=body())
    assert _read(answer) == failed(401, why)
    assert read == []
    assert backend.costs == []
    assert await status_of(services) is Status.RINGING


async def test_the_previous_secret_is_accepted_too(backend: Backend, services: Services) -> None:
    await services.world.ring()
    answer = await backend.ask("POST", PATHS[0], PREVIOUS_SECRET, json=CANCELLED)
    assert _read(answer) == DONE


@pytest.mark.parametrize("settings", [{}, {"INTERNAL_SECRET_PREVIOUS": SECRET}])
async def test_where_no_secret_is_set_there_are_no_such_paths(
    services: Services, settings: dict[str, str]
) -> None:
    backend = Backend(services, API_KEY=SECRET, **settings)
    asked = [("POST", path) for path in PATHS] + [("GET", "/health")]
    unknown = await backend.ask("POST", "/api/emit/call-nothing", json=CANCELLED)
    for method, path in asked:
        for secret in (SECRET, "", None):
            answer = await backend.ask(method, path, secret, json=CANCELLED)
            assert _read(answer) == (404, unknown.json())


async def test_the_description_is_without_them_and_other_methods_are_not_allowed(
    backend: Backend,
) -> None:
    assert set(DESCRIPTION["paths"]).isdisjoint({*PATHS, "/health"})
    answer = await backend.ask("GET", PATHS[0])
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert (await backend.ask("POST", "/api/emit/call-nothing")).status_code == 404


# Health, failures and load


async def test_health_asks_for_no_secret_and_costs_nothing(backend: Backend) -> None:
    answer = await backend.ask("GET", "/health", None)
    assert _read(answer) == (200, {"status": "ok"})
    assert backend.costs == []


@pytest.mark.parametrize(
    "fault", ["firestore.BatchGetDocuments", "firestore.Commit", "pubsub.Publish"]
)
async def test_what_could_not_be_done_is_to_be_tried_again(
    backend: Backend, services: Services, fault: str
) -> None:
    await services.world.ring()
    services.faults.fail(fault, times=3)
    answer = await backend.ask("POST", PATHS[0], json=CANCELLED)
    assert _read(answer) == failed(503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    services.faults.heal()
    assert await backend.cancelled() == DONE


async def test_without_the_connections_nobody_is_told_of_an_unknown_call(
    backend: Backend, services: Services
) -> None:
    services.faults.fail("firestore.RunQuery")
    assert await backend.cancelled() == failed(503, "unavailable")


async def test_an_instance_that_is_full_takes_cancels_last_and_refuses_at_once(
    backend: Backend, services: Services
) -> None:
    await services.world.ring()
    reads = [services.faults.hold("firestore.BatchGetDocuments") for _ in range(8)]
    under_way = [asyncio.create_task(backend.cancelled()) for _ in range(7)]
    for read in reads[:7]:
        await read.reached.wait()
    assert await backend.accepted() == failed(503, "unavailable")
    assert backend.costs == []
    under_way.append(asyncio.create_task(backend.cancelled()))
    await reads[7].reached.wait()
    assert await backend.cancelled() == failed(503, "unavailable")
    assert (await backend.ask("GET", "/health")).status_code == 200
    for read in reads:
        read.release()
    assert await asyncio.gather(*under_way) == [DONE] * 8


async def test_the_log_names_a_known_call_and_has_only_a_hash_of_another(
    backend: Backend, services: Services
) -> None:
    hashed = sha256(CALL.encode()).hexdigest()[:16]
    await connect(services.store, "phone=", RECEIVER)
    with logged() as lines:
        await backend.cancelled()
        services.clients.answers["phone="] = [410]
        await backend.cancelled()
        await services.world.ring()
        await backend.cancelled()
    verdicts = [line for line in lines() if line["message"] == "verdict"]
    assert [line["outcome"] for line in verdicts] == ["told", "not_connected", "cancelled"]
    assert [line.get("callId") for line in verdicts] == [None, None, CALL]
    assert {line["callHash"] for line in verdicts} == {hashed}
    with logged() as lines:
        await backend.ask("POST", PATHS[0], "wrong", json=CANCELLED)
    (line,) = lines()
    assert (line["severity"], line["message"]) == ("WARNING", "wrong internal secret")
    assert "wrong" not in {str(value) for value in line.values()}


async def test_the_time_until_a_socket_has_it_is_not_limited_as_it_is_for_a_signal(
    backend: Backend, services: Services
) -> None:
    """Nothing comes after the posts that would tell who was not reached in time."""
    await connect(services.store, "phone=", RECEIVER)
    post = services.faults.hold("connections.POST")
    asking = asyncio.create_task(backend.cancelled())
    await post.reached.wait()
    await asyncio.sleep(timedelta(seconds=2).total_seconds())  # of played time
    post.release()
    assert await asking == DONE


async def test_in_the_apps_dialect_a_call_is_found_without_its_prefix_and_told_by_its_words(
    services: Services,
) -> None:
    words = '[ids]\ncall_prefix = "CALL_"\n[events.out]\n"call:cancelled" = "callCancelled"'
    backend = Backend(services, INTERNAL_SECRET=SECRET, DIALECT=words)
    await connect(services.store, "phone=", RECEIVER)
    await services.world.ring()
    assert await backend.cancelled(callId=CALL.removeprefix("CALL_")) == DONE
    assert await backend.cancelled(callId=404) == DONE  # which we don't know
    frames = map(json.loads, services.clients.posted_to("phone="))
    told = [(frame["event"], frame["data"]["callId"]) for frame in frames]
    assert told == [("callCancelled", CALL), ("callCancelled", "CALL_404")]
