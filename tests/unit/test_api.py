"""`api`, as apps meet it: whose a request is, what it is answered, and what it costs."""

import asyncio
import json
from datetime import timedelta
from hashlib import sha256
from urllib.parse import quote

import pytest

from functions.calls.call import CallId, Status
from functions.calls.event import CallEvent
from functions.calls.ring import INITIATE
from functions.calls.transitions import SIGNALS
from functions.inbound.openapi import DESCRIPTION
from infra import ROOT
from tests.memory.others import TOKEN_PREFIX
from tests.memory.services import Services
from tests.memory.store import MemoryCalls
from tests.support.api import (
    CANCEL,
    KEY,
    ORIGIN,
    PREVIOUS_KEY,
    Client,
    function_of,
    make_unreadable,
    status_of,
)
from tests.support.loglines import logged
from tests.support.makers import CALL, CALLER, RECEIVER, connect, now


@pytest.fixture
def app(services: Services) -> Client:
    return Client(function_of(services, API_KEY=KEY, API_KEY_PREVIOUS=PREVIOUS_KEY), services)


# In an app's dialect


async def test_signals_are_taken_and_answered_in_the_apps_words(services: Services) -> None:
    path = ROOT / "docs/dialects/snake-case.toml"
    app = Client(function_of(services, DIALECT=str(path)), services)
    await services.world.ring(CallId("7"))
    cancel = {"event": "cancelCall", "data": {"call_id": 7}}
    answer = await app.signal(cancel)
    assert (answer.status_code, answer.json()) == (
        200,
        {"ok": True, "outcome": "cancelled", "call_id": 7},
    )
    ours = await app.signal({"event": "call:cancel", "data": {"callId": "7"}})
    assert (ours.status_code, ours.json()["message"][:28]) == (400, "event must be one of cancelC")
    described = await app.ask("GET", "/v1/calls/7")
    assert (described.json()["callId"], described.json()["status"]) == (7, "cancelled")


async def test_a_backend_asks_for_a_call_with_its_prefix_and_without(services: Services) -> None:
    path = ROOT / "docs/dialects/agora-app.toml"
    app = Client(function_of(services, API_KEY=KEY, DIALECT=str(path)), services)
    assert (await app.put("1")).json()["callId"] == "CALL_1"
    assert (await app.put("CALL_1")).json()["outcome"] == "already_ringing"
    assert (await app.ask("GET", "/v1/calls/1")).json()["callId"] == "CALL_1"
    answer = await app.on_behalf("cancel", "1")
    assert answer.json() == {"ok": True, "outcome": "cancelled", "callId": "CALL_1"}
    assert await status_of(services) is Status.CANCELLED
    assert (await app.put("CALL_")).status_code == 400
    assert (await app.ask("GET", "/v1/calls/CALL_")).status_code == 404


# Signals


async def test_a_cancel_does_and_costs_what_it_does_by_a_socket(
    app: Client, services: Services
) -> None:
    await connect(services.store, "phone=", RECEIVER)
    await services.world.ring()
    answer = await app.signal()
    assert (answer.status_code, answer.json()) == (
        200,
        {"ok": True, "outcome": "cancelled", "callId": CALL},
    )
    assert sorted(app.costs) == ["BatchGetDocuments", "Commit", "POST", "Publish", "RunQuery"]
    assert services.clients.posted_to("phone=")
    (made,) = services.published(CallEvent)
    assert (made.reason, made.served) == ("because", ("phone=",))
    again = await app.signal()
    assert (again.status_code, again.json()["outcome"]) == (200, "already_cancelled")


@pytest.mark.parametrize("signal", SIGNALS)
async def test_every_signal_may_come_so(app: Client, services: Services, signal: str) -> None:
    await services.world.ring()
    user = CALLER if signal in ("call:cancel", "call:end") else RECEIVER
    answer = await app.signal({"event": signal, "data": {"callId": CALL}}, user)
    assert answer.status_code == 200
    assert await status_of(services) is not Status.RINGING


async def test_the_verdict_says_its_status(app: Client, services: Services) -> None:
    await services.world.ring()
    assert (await app.signal(user=RECEIVER)).status_code == 403
    assert (await app.signal(user="USR_3")).status_code == 404
    unknown = {"event": "call:cancel", "data": {"callId": "CALL_9"}}
    assert (await app.signal(unknown)).json() == {
        "ok": False,
        "outcome": "not_found",
        "callId": "CALL_9",
    }
    accept = {"event": "call:accept", "data": {"callId": CALL}}
    assert (await app.signal(accept, RECEIVER)).status_code == 200
    late = await app.signal()
    assert (late.status_code, late.json()["outcome"]) == (409, "already_accepted")
    make_unreadable(services)
    assert (await app.signal()).status_code == 422


async def test_where_there_can_be_no_header_the_token_is_in_the_body(
    app: Client, services: Services
) -> None:
    # As `navigator.sendBeacon` sends a text.
    await services.world.ring()
    beacon = json.dumps({**CANCEL, "token": f"{TOKEN_PREFIX}{CALLER}"})
    answer = await app.ask(
        "POST", "/v1/signals", None, content=beacon, headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 200
    assert await status_of(services) is Status.CANCELLED


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ({}, "the token is missing"),
        ({"Authorization": ""}, "the token is missing"),
        ({"Authorization": "Bearer garbage"}, "the token is not valid"),
        ({"Authorization": "Basic dTpw"}, "the token is not valid: it must be shown as Bearer"),
        ({"Authorization": "Bearer " + "a." * 9000}, "the token is too long"),
    ],
)
async def test_who_shows_no_good_token_is_told_so(
    app: Client, services: Services, shown: dict[str, str], why: str
) -> None:
    await services.world.ring()
    for method, path in (("POST", "/v1/signals"), ("GET", f"/v1/calls/{CALL}")):
        content = json.dumps(CANCEL) if method == "POST" else None
        answer = await app.ask(method, path, None, headers=shown, content=content)
        assert (answer.status_code, answer.json()["message"]) == (401, why)
        assert answer.headers["www-authenticate"] == "Bearer"
    assert app.costs == []
    assert await status_of(services) is Status.RINGING


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b"\xff", "body"),
        (b"{" * 100_000, "body"),
        (b"{}", "event"),
        (b'{"event":"call:cancel"}', "data"),
        (b'{"event":"call:cancel","data":{}}', "callId"),
        (b'{"event":"call:cancel","data":{"callId":"a/b"}}', "callId"),
        (b'{"event":"device:register","data":{"token":"T","platform":"ios"}}', "event"),
    ],
)
async def test_what_is_malformed_is_told_and_costs_nothing(
    app: Client, content: bytes, field: str
) -> None:
    answer = await app.ask("POST", "/v1/signals", content=content)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert app.costs == []


async def test_an_event_that_is_none_of_these_is_told_which_there_are(app: Client) -> None:
    for event in ("nope", "device:register"):
        answer = await app.signal({"event": event, "data": {}})
        assert answer.json()["message"] == f"event must be one of {', '.join((*SIGNALS, INITIATE))}"


async def test_over_https_nothing_is_relayed(services: Services) -> None:
    path = ROOT / "docs/dialects/agora-app.toml"
    app = Client(function_of(services, DIALECT=str(path)), services)
    answer = await app.signal({"event": "call:upgrade", "data": {"callId": CALL}})
    assert answer.status_code == 400
    assert answer.json()["message"] == f"event must be one of {', '.join((*SIGNALS, INITIATE))}"
    assert app.costs == []


async def test_a_token_of_a_megabyte_is_not_looked_at(app: Client) -> None:
    answer = await app.signal({**CANCEL, "token": "a." * 400_000}, user=None)
    assert (answer.status_code, answer.json()["message"]) == (401, "the token is too long")
    assert app.costs == []


async def test_a_body_that_is_too_large_is_refused(app: Client) -> None:
    answer = await app.ask("POST", "/v1/signals", content=b"x" * (1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["outcome"]) == (413, "invalid")


# Whether it still rings


async def test_a_party_is_told_how_a_call_stands(app: Client, services: Services) -> None:
    ends = now() + timedelta(seconds=30)
    await services.world.ring(rings_until=ends)
    answer = await app.ask("GET", f"/v1/calls/{CALL}", RECEIVER)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "callId": CALL,
            "status": "ringing",
            "ringsUntil": int(ends.timestamp() * 1000),
            "serverTime": int(now().timestamp() * 1000),
        },
    )
    assert app.costs == ["BatchGetDocuments"]


@pytest.mark.parametrize("id", ["a?b", "a#b", "a%20b", "Anruf ü"])
async def test_a_call_whose_id_has_to_be_quoted_is_found(
    app: Client, services: Services, id: str
) -> None:
    await services.world.ring(CallId(id))
    answer = await app.ask("GET", f"/v1/calls/{quote(id, safe='')}")
    assert (answer.status_code, answer.json().get("callId")) == (200, id)


async def test_a_stranger_is_told_the_same_of_every_call(app: Client, services: Services) -> None:
    await services.world.ring()
    for id in (CALL, "CALL_9", "a/b", "..", "__x__", ""):
        answer = await app.ask("GET", f"/v1/calls/{id}", "USR_3")
        assert answer.status_code == 404, id
    make_unreadable(services)
    assert (await app.ask("GET", f"/v1/calls/{CALL}", "USR_3")).status_code == 404
    assert (await app.ask("GET", f"/v1/calls/{CALL}")).status_code == 422


# What a backend asks for


async def test_whatever_comes_many_times_at_once_is_done_once_without_an_idempotency_key(
    app: Client, services: Services
) -> None:
    await services.world.ring()
    answers = await asyncio.gather(
        app.signal(), app.signal(), app.on_behalf(), app.on_behalf(reason="another")
    )
    assert {answer.status_code for answer in answers} == {200}
    outcomes = sorted(answer.json()["outcome"] for answer in answers)
    assert outcomes == [*["already_cancelled"] * 3, "cancelled"]
    # The repeats publish it again for as long as it is not known to have arrived.
    assert len({made.signal_id for made in services.published(CallEvent)}) == 1


async def test_a_backend_may_name_the_device_that_answered(app: Client) -> None:
    await app.services.world.ring()
    assert (await app.on_behalf("accept", userId=RECEIVER, deviceId="phone")).status_code == 200
    again = await app.on_behalf("accept", userId=RECEIVER, deviceId="phone")
    assert (again.status_code, again.json()["ok"]) == (200, True)
    other = await app.on_behalf("accept", userId=RECEIVER, deviceId="tablet")
    assert (other.status_code, other.json()["outcome"]) == (409, "already_accepted")


@pytest.mark.parametrize("device", [7, "", "x" * 129, ["phone"], "a\u0000"])
async def test_no_signal_is_refused_for_its_device(app: Client, device: object) -> None:
    await app.services.world.ring()
    assert (await app.on_behalf(deviceId=device)).status_code == 200


async def test_a_backend_cancels_on_behalf_of_the_caller(app: Client, services: Services) -> None:
    await connect(services.store, "phone=", RECEIVER)
    await services.world.ring()
    answer = await app.on_behalf(reason="because")
    assert (answer.status_code, answer.json()) == (
        200,
        {"ok": True, "outcome": "cancelled", "callId": CALL},
    )
    assert sorted(app.costs) == ["BatchGetDocuments", "Commit", "POST", "Publish", "RunQuery"]
    assert services.clients.posted_to("phone=")
    (made,) = services.published(CallEvent)
    assert (made.reason, made.served) == ("because", ("phone=",))
    again = await app.on_behalf(key=PREVIOUS_KEY)
    assert (again.status_code, again.json()["outcome"]) == (200, "already_cancelled")


@pytest.mark.parametrize("signal", SIGNALS)
async def test_a_backend_may_send_every_signal(
    app: Client, services: Services, signal: str
) -> None:
    call = CallId("CALL 1?")
    await services.world.ring(call)
    user = CALLER if signal in ("call:cancel", "call:end") else RECEIVER
    answer = await app.on_behalf(signal.removeprefix("call:"), call, userId=user, callId="CALL_9")
    assert (answer.status_code, answer.json()["callId"]) == (200, call)


async def test_a_backend_may_do_no_more_than_its_user(app: Client, services: Services) -> None:
    await services.world.ring()
    assert (await app.on_behalf(userId=RECEIVER)).status_code == 403
    assert (await app.on_behalf(userId="USR_3")).status_code == 404
    for number in (17, 17.0, 1e3):
        assert (await app.on_behalf(userId=number)).status_code == 404
    assert (await app.on_behalf("accept", userId=RECEIVER)).status_code == 200
    assert (await app.on_behalf()).status_code == 409


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (None, "the API key is missing"),
        ("", "the API key is missing"),
        ("wrong", "the API key is not valid"),
        (f"{TOKEN_PREFIX}{CALLER}", "the API key is not valid"),
    ],
)
async def test_without_the_key_nobody_is_a_backend(
    app: Client, services: Services, key: str | None, why: str
) -> None:
    await services.world.ring()
    shown = {} if key is None else {"Authorization": f"Bearer {key}"}
    # Nor is the body waited for.
    answer = await app.ask(
        "POST", f"/v1/calls/{CALL}/cancel", None, headers=shown, content=b"x" * 2_000_000
    )
    assert (answer.status_code, answer.json()["message"]) == (401, why)
    assert app.costs == []
    # And the key is no user's token.
    as_user = {"Authorization": f"Bearer {KEY}"}
    assert (await app.ask("GET", f"/v1/calls/{CALL}", None, headers=as_user)).status_code == 401


async def test_where_no_key_is_set_nobody_is_a_backend(services: Services) -> None:
    app = Client(function_of(services), services)
    for key in (KEY, "None", ""):
        assert (await app.on_behalf(key=key)).status_code == 401


@pytest.mark.parametrize(
    ("user", "why"),
    [
        (None, "userId is missing"),
        ("", "userId must not be empty"),
        (True, "userId must be a string or a whole number of 64 bits"),
        (1.5, "userId must be a string or a whole number of 64 bits"),
        ({"id": CALLER}, "userId must be a string or a whole number of 64 bits"),
        (10**300, "userId must be a string or a whole number of 64 bits"),
        ("x" * 257, "userId must have at most 256 characters"),
        ("a\0", "userId must not contain control characters"),
    ],
)
async def test_a_backend_names_its_user(app: Client, user: object, why: str) -> None:
    answer = await app.on_behalf(userId=user)
    assert (answer.status_code, answer.json()["field"], answer.json()["message"]) == (
        400,
        "userId",
        why,
    )
    assert app.costs == []


# When others fail, or there is too much to do


@pytest.mark.parametrize("fault", ["firestore.BatchGetDocuments", "pubsub.Publish"])
async def test_what_could_not_be_done_is_to_be_tried_again(
    app: Client, services: Services, fault: str
) -> None:
    await services.world.ring()
    services.faults.fail(fault, times=3)
    answer = await app.signal()
    assert (answer.status_code, answer.json()["outcome"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    services.faults.heal()
    assert (await app.signal()).status_code == 200


async def test_without_the_identitys_keys_nobody_is_refused(
    app: Client, services: Services
) -> None:
    services.identity.is_down = True
    assert (await app.signal()).status_code == 503


async def test_what_failed_is_logged_with_the_call_that_it_was_about(
    app: Client, services: Services
) -> None:
    with logged() as lines:
        services.faults.fail("firestore.BatchGetDocuments")
        await app.signal()
        services.faults.fail("firestore.BatchGetDocuments")
        await app.on_behalf()
    first, second = lines()
    hashed = sha256(CALL.encode()).hexdigest()[:16]
    for line in (first, second):
        assert (line["message"], line["request"]) == ("request failed", "call:cancel")
        assert line["callHash"] == hashed


async def test_what_nobody_foresaw_is_answered_too(
    app: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("nobody foresaw it")

    monkeypatch.setattr(MemoryCalls, "get", broken)
    assert (await app.signal()).status_code == 503
    assert (await app.ask("GET", f"/v1/calls/{CALL}")).status_code == 503


async def test_an_instance_that_can_carry_out_no_more_refuses_at_once(
    app: Client, services: Services
) -> None:
    await services.world.ring()
    reads = [services.faults.hold("firestore.BatchGetDocuments") for _ in range(4)]
    under_way = [asyncio.create_task(app.signal()) for _ in range(4)]
    for read in reads:
        await read.reached.wait()
    assert (await app.signal()).status_code == 503
    assert app.costs == []
    for read in reads:
        read.release()
    assert {answer.status_code for answer in await asyncio.gather(*under_way)} == {200}


# Pages of other origins, and what is no request of ours


async def test_a_page_of_a_known_origin_may_ask(app: Client) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    preflight = await app.ask("OPTIONS", "/v1/signals", None, headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    answer = await app.ask("GET", f"/v1/calls/{CALL}", headers={"Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-expose-headers"] == "Retry-After"
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("path", ["/v1/signals", "/socket.io/"])
async def test_a_page_of_a_known_origin_may_send_headers_of_its_own(app: Client, path: str) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Headers": "authorization,x-app-version"}
    preflight = await app.ask("OPTIONS", path, None, headers=asked)
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert preflight.headers["access-control-allow-headers"] == "authorization,x-app-version"


@pytest.mark.parametrize("origin", ["https://app.example.evil", "http://app.example", "null", "*"])
async def test_a_page_of_another_origin_may_not_read_the_answer(app: Client, origin: str) -> None:
    for method in ("OPTIONS", "GET"):
        answer = await app.ask(method, f"/v1/calls/{CALL}", headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers


async def test_another_path_is_not_found_and_another_method_not_allowed(app: Client) -> None:
    for path in ("/v2/signals", f"/v1/calls/{CALL}/ring", "/v1/calls/a/b/cancel/", "/v1/calls/"):
        answer = await app.ask("POST", path)
        assert (answer.status_code, answer.json()["outcome"]) == (404, "not_found"), path
    answer = await app.ask("PUT", "/v1/signals")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
    assert (answer.json()["outcome"], answer.json()["field"]) == ("invalid", "method")
    assert (await app.ask("POST", f"/v1/calls/{CALL}")).status_code == 405


async def test_it_describes_itself_and_warms_up(app: Client) -> None:
    assert (await app.ask("GET", "/v1/openapi.json", None)).json() == DESCRIPTION
    assert (await app.ask("GET", "/", None)).json() == {"message": "warm"}


async def test_a_ring_that_the_backend_pushes_itself_is_not_ours(services: Services) -> None:
    app = Client(function_of(services, API_KEY=KEY, PUSH_INCOMING="backend"), services)
    assert (await app.put()).status_code == 200
    (made,) = services.published(CallEvent)
    assert [each.user_id for each in made.backend_recipients] == [RECEIVER]
    assert made.push_recipients == ()
