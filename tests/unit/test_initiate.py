"""`call:initiate`: a caller has his call ring; what that costs, and who is told what."""

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from functions.calls.call import Call, CallId, ConnectionId, Status, UserId
from functions.calls.event import CallEvent, unix_ms
from functions.clients.profile import Profile
from functions.gateway import handler
from functions.inbound.http import Handler
from functions.settings import GatewaySettings
from functions.wire.push import push_data
from tests.memory.services import Services
from tests.support.api import KEY, Client, function_of
from tests.support.asgi import call
from tests.support.loglines import logged
from tests.support.makers import CALL, CALLER, RECEIVER, SENDING, connect, now
from tests.support.processes import SECRET, settings_of

# As the app that asked for Unring sends it.
INITIATE = {
    "receiverId": RECEIVER,
    "callId": CALL,
    "callType": "AUDIO",
    "channelName": "room",
    "agoraToken": "007",
}
PASSED_ON = {"callType": "AUDIO", "channelName": "room", "agoraToken": "007"}


@dataclass
class Caller:
    """Who sends frames by `caller=`."""

    function: Handler
    services: Services

    @property
    def costs(self) -> list[str]:
        return self.services.journal.started

    async def send(self, event: str, data: object, connection: str = "caller=") -> dict[str, Any]:
        self.services.journal.clear()
        frame = json.dumps({"event": event, "data": data, "id": 1})
        headers = {
            "unring-secret": SECRET,
            "unring-connection-id": connection,
            "unring-event-type": "MESSAGE",
            "unring-request-time": str(unix_ms(now())),
        }
        answer = await call(self.function, frame.encode(), headers)
        replied: dict[str, Any] = json.loads(answer.text)
        verdict: dict[str, Any] = replied["data"]
        return verdict

    async def initiate(self, **changed: object) -> dict[str, Any]:
        data = {**INITIATE, **changed}
        return await self.send(
            "call:initiate", {name: value for name, value in data.items() if value is not None}
        )

    def told(self, connection: str) -> list[tuple[str, dict[str, Any]]]:
        frames = [json.loads(frame) for frame in self.services.clients.posted_to(connection)]
        return [(frame["event"], frame["data"]) for frame in frames]


def function(services: Services, **settings: str) -> Handler:
    return handler(
        settings_of(GatewaySettings, **settings),
        services.store,
        services.sockets,
        services.publisher,
        services.identity,
        now,
    )


@pytest_asyncio.fixture(loop_scope="function")
async def caller(services: Services) -> Caller:
    await connect(services.store, "phone=", RECEIVER)
    made = await connect(services.store, "caller=", CALLER)
    named = replace(made, profile=Profile("Anna"))
    services.database.put_connection(named)
    return Caller(function(services), services)


def other(services: Services, id: str, status: str, caller: UserId, receiver: UserId) -> None:
    """A call of the app's own."""
    services.database.put_call(Call(CallId(id), caller, receiver, Status(status)))


async def test_the_receiver_rings_and_hears_who_calls(caller: Caller, services: Services) -> None:
    verdict = await caller.initiate()
    stored = await services.world.call()
    assert stored
    assert stored.rings_until
    assert verdict == {
        "ok": True,
        "outcome": "ringing",
        "callId": CALL,
        "ringsUntil": unix_ms(stored.rings_until),
        "success": True,
        "message": "the receiver is being told",
    }
    (made,) = services.published(CallEvent)
    incoming = {
        **PASSED_ON,
        "callerName": "Anna",
        "callerId": CALLER,
        "callId": CALL,
        "ringsUntil": unix_ms(stored.rings_until),
        "timestamp": made.timestamp,
    }
    assert caller.told("phone=") == [("call:incoming", incoming)]
    (recipient,) = made.push_recipients
    pushed = {
        **PASSED_ON,
        "callerName": "Anna",
        "type": "incoming_call",
        "callId": CALL,
        "callerId": CALLER,
        "timestamp": str(made.timestamp),
    }
    assert push_data(made, recipient, SENDING).items() >= pushed.items()
    assert (stored.status, stored.caller, stored.receiver) == (Status.RINGING, CALLER, RECEIVER)


async def test_it_costs_what_a_cancel_does(caller: Caller) -> None:
    await caller.initiate()
    assert caller.costs[0] == "BatchGetDocuments"
    assert sorted(caller.costs) == ["BatchGetDocuments", "Commit", "POST", "Publish", "RunQuery"]


async def test_a_name_that_the_app_says_counts_only_where_the_identity_has_none(
    caller: Caller, services: Services
) -> None:
    await caller.initiate(callerName="Her boss")
    assert caller.told("phone=")[0][1]["callerName"] == "Anna"
    nameless = services.database.connections[ConnectionId("caller=")]
    services.database.put_connection(replace(nameless, profile=Profile()))
    await caller.initiate(callId="CALL_2", callerName="Her boss")
    assert caller.told("phone=")[1][1]["callerName"] == "Her boss"
    await caller.initiate(callId="CALL_3")
    assert caller.told("phone=")[2][1]["callerName"] == ""  # an app may want it to be there


async def test_a_call_without_an_id_gets_one_that_callkit_takes(
    caller: Caller, services: Services
) -> None:
    verdict = await caller.initiate(callId=None)
    assert verdict["ok"]
    id = verdict["callId"]
    assert (id, id[14]) == (id.lower(), "4")
    assert len(id) == 36
    assert await services.world.call(CallId(id))
    assert caller.told("phone=")[0][1]["callId"] == id


async def test_the_same_again_is_safe_and_tells_nobody_twice(
    caller: Caller, services: Services
) -> None:
    first = await caller.initiate()
    (made,) = services.published(CallEvent)
    await services.store.outbox.note_served(made, (), now(), is_done=True)
    again = await caller.initiate(agoraToken="008")  # an app may have made another one meanwhile
    assert again == {**first, "outcome": "already_ringing"}
    assert len(caller.told("phone=")) == 1
    assert caller.costs == ["BatchGetDocuments", "BatchGetDocuments"]


async def test_an_id_that_is_another_call_is_refused_and_nothing_is_said_of_that(
    caller: Caller, services: Services
) -> None:
    other(services, CALL, "ringing", UserId("USR_8"), UserId("USR_9"))
    assert await caller.initiate() == {
        "ok": False,
        "outcome": "differs",
        "callId": CALL,
        "field": "callId",
        "message": "callId is another call's",
        "success": False,
        "error": "callId is another call's",
    }
    assert caller.told("phone=") == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"receiverId": None}, "receiverId"),
        ({"receiverId": ["USR_2"]}, "receiverId"),
        ({"callId": "a/b"}, "callId"),
        ({"ringSeconds": 4}, "ringSeconds"),
        ({"agoraToken": "x" * 3001}, "data"),
        ({"agoraToken": json.loads("[" * 200 + "]" * 200)}, "data"),
    ],
)
async def test_what_is_malformed_is_refused_and_costs_nothing(
    caller: Caller, changed: dict[str, object], field: str
) -> None:
    verdict = await caller.initiate(**changed)
    assert (verdict["ok"], verdict["outcome"], verdict["field"]) == (False, "invalid", field)
    assert (verdict["success"], verdict["error"]) == (False, verdict["message"])
    assert caller.costs == []


async def test_what_is_too_long_with_the_callers_name_is_refused_before_it_rings(
    caller: Caller, services: Services
) -> None:
    long = services.database.connections[ConnectionId("caller=")]
    services.database.put_connection(replace(long, profile=Profile("😀" * 200)))
    verdict = await caller.initiate(callId="C" * 128, agoraToken="x" * 2930)
    assert (verdict["outcome"], verdict["field"]) == ("invalid", "data")
    assert caller.costs == ["BatchGetDocuments"]


async def test_what_fcm_takes_no_message_with_is_told_by_sockets_alone(
    caller: Caller, services: Services
) -> None:
    await caller.initiate(**{"from": CALLER, "google.x": "y"})
    told = caller.told("phone=")[0][1]
    assert (told["from"], told["google.x"]) == (CALLER, "y")
    (made,) = services.published(CallEvent)
    assert {"from", "google.x"}.isdisjoint(push_data(made, made.push_recipients[0], SENDING))


async def test_a_call_may_ask_for_a_shorter_ring_and_not_for_a_longer_one(
    caller: Caller, services: Services
) -> None:
    for id, asked, seconds in (("CALL_1", 10, 10), ("CALL_2", 120, 30), ("CALL_3", None, 30)):
        await caller.initiate(callId=id, ringSeconds=asked)
        stored = await services.world.call(CallId(id))
        assert stored
        assert stored.ring_seconds == seconds


async def test_who_calls_too_often_is_told_so_and_rings_nobody(services: Services) -> None:
    await connect(services.store, "caller=", CALLER)
    caller = Caller(function(services, CALLS_PER_MINUTE="2"), services)
    outcomes = [(await caller.initiate(callId=f"CALL_{number}"))["outcome"] for number in range(3)]
    assert outcomes == ["ringing", "ringing", "limited"]
    assert (await caller.initiate(callId="CALL_0"))["outcome"] == "already_ringing"
    assert await services.world.call(CallId("CALL_2")) is None


async def test_where_callers_may_begin_no_calls_only_those_ring_that_the_backend_has_announced(
    services: Services,
) -> None:
    await connect(services.store, "caller=", CALLER)
    await connect(services.store, "phone=", RECEIVER)
    none = {"CALLS_PER_MINUTE": "0"}
    caller = Caller(function(services, **none), services)
    verdict = await caller.initiate()
    assert (verdict["outcome"], verdict["error"]) == ("forbidden", verdict["message"])
    assert caller.costs == ["BatchGetDocuments"]
    assert await services.world.call() is None
    backend = Client(function_of(services, API_KEY=KEY, **none), services)
    await backend.put(ring=False)
    assert (await caller.initiate())["outcome"] == "ringing"
    # A ring of the backend's own is not its caller's.
    assert (await backend.put("CALL_2")).json()["outcome"] == "ringing"
    assert [event for event, _ in caller.told("phone=")] == ["call:incoming"] * 2


@pytest.mark.parametrize(
    ("limit", "outcome"), [("0", "forbidden"), ("1", "limited"), ("30", "differs")]
)
async def test_who_may_not_call_finds_out_by_no_ring_which_calls_there_are(
    services: Services, limit: str, outcome: str
) -> None:
    await connect(services.store, "caller=", UserId("STRANGER"))
    await services.world.ring()
    stranger = Caller(function(services, CALLS_PER_MINUTE=limit), services)
    await stranger.initiate(callId="HIS_OWN")
    verdict = await stranger.initiate()
    assert verdict["outcome"] == outcome
    assert stranger.costs == ["BatchGetDocuments"]
    if outcome != "differs":
        nobodys = await stranger.initiate(callId="NOBODYS")
        assert (nobodys, stranger.costs) == ({**verdict, "callId": "NOBODYS"}, stranger.costs)
        assert stranger.costs == ["BatchGetDocuments"]


async def test_what_callers_may_not_begin_is_logged_by_no_words_of_theirs(
    services: Services,
) -> None:
    await connect(services.store, "caller=", CALLER)
    with logged() as lines:
        await Caller(function(services, CALLS_PER_MINUTE="0"), services).initiate(
            callId="HIS_WORDS"
        )
    assert "HIS_WORDS" not in json.dumps(lines())


async def test_nobody_initiates_without_having_been_let_in(services: Services) -> None:
    caller = Caller(function(services), services)
    verdict = await caller.initiate()
    assert (verdict["outcome"], verdict["success"]) == ("invalid", False)
    assert await services.world.call() is None


# Cancel and ring, in the wrong order


async def test_a_call_that_was_cancelled_before_it_came_rings_nobody(
    caller: Caller, services: Services
) -> None:
    assert (await caller.send("call:cancel", {"callId": CALL}))["outcome"] == "not_found"
    assert caller.costs == ["BatchGetDocuments", "Commit"]
    verdict = await caller.initiate()
    assert (verdict["ok"], verdict["outcome"]) == (False, "already_cancelled")
    assert (caller.told("phone="), services.topic) == ([], [])
    stored = await services.world.call()
    assert stored
    assert stored.status is Status.CANCELLED
    assert (await caller.initiate())["outcome"] == "already_cancelled"
    assert (await caller.send("call:cancel", {"callId": CALL}))["outcome"] == "already_cancelled"


async def test_a_backends_ring_that_was_cancelled_before_rings_nobody(
    caller: Caller, services: Services
) -> None:
    await caller.send("call:cancel", {"callId": CALL})
    backend = Client(function_of(services, API_KEY=KEY), services)
    answer = await backend.put()
    assert (answer.status_code, answer.json()["outcome"]) == (409, "already_cancelled")
    known = await backend.put(ring=False)
    assert (known.status_code, known.json()["outcome"]) == (409, "already_cancelled")
    assert services.topic == []


async def test_a_cancel_of_somebody_else_forestalls_nothing(
    caller: Caller, services: Services
) -> None:
    await connect(services.store, "stranger=", UserId("USR_3"))
    data = {"callId": CALL}
    assert (await caller.send("call:cancel", data, "stranger="))["outcome"] == "not_found"
    assert (await caller.initiate())["outcome"] == "ringing"


async def test_a_cancel_counts_for_a_minute(caller: Caller, services: Services) -> None:
    await caller.send("call:cancel", {"callId": CALL})
    ((key, birth),) = services.database.births.items()
    services.database.births[key] = replace(birth, expires_at=now() - timedelta(seconds=1))
    assert (await caller.initiate())["outcome"] == "ringing"


async def test_of_a_cancel_and_its_ring_at_once_one_wins_and_nobody_rings_on(
    caller: Caller, services: Services
) -> None:
    for number in range(20):
        id = f"CALL_{number}"
        tasks = [caller.send("call:cancel", {"callId": id}), caller.initiate(callId=id)]
        if number % 2:
            tasks.reverse()
        await asyncio.gather(*tasks)
        stored = await services.world.call(CallId(id))
        assert stored
        told = [event for event, data in caller.told("phone=") if data["callId"] == id]
        if stored.status is Status.RINGING:  # the cancel found nothing, and said so, too late
            pytest.fail(f"{id} rings on: {told}")
        assert told in ([], ["call:incoming", "call:cancelled"], ["call:cancelled"])


async def test_a_backend_that_has_announced_the_call_has_its_ring_as_short_as_it_asked(
    caller: Caller, services: Services
) -> None:
    backend = Client(function_of(services, API_KEY=KEY), services)
    await backend.put(ring=False, ringSeconds=5, data={"a": 1})
    assert (await caller.initiate())["outcome"] == "ringing"
    stored = await services.world.call()
    assert stored
    assert (stored.ring_seconds, json.loads(stored.data or "")["channelName"]) == (5, "room")
    assert stored.changed_at
    assert stored.changed_at <= now()
    # It may announce it too late: then it is known already.
    known = await backend.put(ring=False, ringSeconds=5, data={"a": 1})
    assert (known.status_code, known.json()["outcome"]) == (200, "already_ringing")


async def test_a_repeat_of_the_ring_of_a_document_of_the_apps_own_says_until_when_it_rings(
    services: Services,
) -> None:
    backend = Client(function_of(services, API_KEY=KEY), services)
    await services.world.ring(rings_until=now() + timedelta(minutes=9))
    first = (await backend.put()).json()
    assert first["ringsUntil"] < unix_ms(now() + timedelta(seconds=31))
    again = (await backend.put()).json()
    assert (again["outcome"], again["ringsUntil"]) == ("already_ringing", first["ringsUntil"])


# Busy


@pytest.mark.parametrize("mode", ["in-call", "ringing"])
async def test_who_is_in_another_call_is_not_rung(services: Services, mode: str) -> None:
    await connect(services.store, "phone=", RECEIVER)
    await connect(services.store, "caller=", CALLER)
    other(services, "OTHER", "accepted", RECEIVER, UserId("X"))
    caller = Caller(function(services, BUSY=mode), services)
    assert await caller.initiate() == {
        "ok": False,
        "outcome": "busy",
        "callId": CALL,
        "message": "the receiver is in another call",
        "success": False,
        "error": "the receiver is in another call",
        "busy": True,
    }
    assert sorted(caller.costs) == ["BatchGetDocuments", "POST", "RunQuery"]
    assert caller.told("caller=") == [("call:busy", {"callId": CALL})]
    assert caller.told("phone=") == []
    assert await services.world.call() is None


@pytest.mark.parametrize(
    ("mode", "status", "outcome"),
    [
        ("in-call", "ringing", "ringing"),
        ("ringing", "ringing", "busy"),
        ("ringing", "ended", "ringing"),
        ("off", "accepted", "ringing"),
    ],
)
async def test_what_makes_him_busy_is_chosen(
    services: Services, mode: str, status: str, outcome: str
) -> None:
    await connect(services.store, "caller=", CALLER)
    other(services, "OTHER", status, UserId("X"), RECEIVER)
    caller = Caller(function(services, BUSY=mode), services)
    assert (await caller.initiate())["outcome"] == outcome
    backend = Client(function_of(services, API_KEY=KEY, BUSY=mode), services)
    answer = await backend.put(call="CALL_7")
    assert (answer.status_code, answer.json()["outcome"]) == (
        (409, "busy") if outcome == "busy" else (200, "ringing")
    )


# Over HTTPS


async def test_a_call_may_be_initiated_over_https(services: Services) -> None:
    await connect(services.store, "phone=", RECEIVER)
    app = Client(function_of(services), services)
    answer = await app.signal({"event": "call:initiate", "data": {**INITIATE, "callId": None}})
    said = answer.json()
    assert (answer.status_code, said["outcome"], said["success"]) == (200, "ringing", True)
    assert said["callId"]
    assert sorted(app.costs) == ["BatchGetDocuments", "Commit", "POST", "Publish", "RunQuery"]
    refused = await app.signal({"event": "call:initiate", "data": {}})
    assert (refused.status_code, refused.json()) == (
        400,
        {
            "ok": False,
            "outcome": "invalid",
            "field": "receiverId",
            "message": "receiverId is missing",
            "success": False,
            "error": "receiverId is missing",
        },
    )


async def test_what_fails_over_https_says_by_which_id_to_ask_again(services: Services) -> None:
    await connect(services.store, "phone=", RECEIVER)
    app = Client(function_of(services), services)
    data = {name: value for name, value in INITIATE.items() if name != "callId"}
    services.faults.fail("pubsub.Publish")
    failed = await app.signal({"event": "call:initiate", "data": data})
    said = failed.json()
    assert (failed.status_code, said["outcome"], said["success"]) == (503, "unavailable", False)
    again = await app.signal({"event": "call:initiate", "data": {**data, "callId": said["callId"]}})
    assert again.json()["outcome"] == "already_ringing"
    assert len(services.published(CallEvent)) == 1


async def test_who_is_not_let_in_over_https_reads_that_as_any_refusal(services: Services) -> None:
    app = Client(function_of(services), services)
    refused = await app.signal({"event": "call:initiate", "data": INITIATE}, user=None)
    said = refused.json()
    assert (refused.status_code, said["success"], said["callId"]) == (401, False, CALL)
    assert said["error"] == said["message"]


async def test_a_repeat_over_https_is_not_one_call_too_many(services: Services) -> None:
    app = Client(function_of(services, CALLS_PER_MINUTE="1"), services)
    asked = {"event": "call:initiate", "data": INITIATE}
    outcomes = [(await app.signal(asked)).json()["outcome"] for _ in range(2)]
    assert outcomes == ["ringing", "already_ringing"]
