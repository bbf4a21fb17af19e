"""What a woken phone does by its ring token over HTTPS: it reads the one call, and declines it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from functions.calls.call import Call, CallId, Status, UserId
from functions.calls.event import CallEvent, unix_ms
from functions.clients.ringtoken import GOOD_FOR, RingToken
from functions.ports.store import StoredCall
from tests.memory.services import Services
from tests.support.api import KEY, Client, function_of, make_unreadable, status_of
from tests.support.makers import CALL, CALLER, RECEIVER, RING_TOKENS, connect, now

OVER = "the call of the ring token is over"
PATH = f"/v1/calls/{CALL}"


@pytest.fixture
def app(services: Services) -> Client:
    return Client(function_of(services, API_KEY=KEY), services)


def token(
    call: CallId = CALL,
    user: UserId = RECEIVER,
    device: str | None = None,
    registration: str | None = None,
    at: datetime | None = None,
) -> str:
    signed = RING_TOKENS.sign(RingToken(call, user, device, registration), at or now())
    assert signed is not None
    return signed


async def ask(
    app: Client, method: str = "GET", path: str = PATH, shown: str | None = None, **more: Any
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {shown or token()}"}
    return await app.ask(method, path, None, headers=headers, **more)


async def declined(app: Client, shown: str | None = None, **more: Any) -> httpx.Response:
    return await ask(app, "POST", f"{PATH}/reject", shown, **more)


def ended(services: Services, ago: timedelta, **more: Any) -> None:
    """The call was cancelled that long ago, as its document says it unless that has `ended_at`."""
    call = Call(CALL, CALLER, RECEIVER, Status.CANCELLED, ended_at=now() - ago)
    services.database.calls[CALL] = StoredCall(replace(call, **more), now() - ago)


# It reads


async def test_a_ring_token_reads_its_call_and_no_provider_is_shown_it(
    app: Client, services: Services
) -> None:
    await app.put()
    answer = await ask(app)
    assert (answer.status_code, answer.json()["status"]) == (200, "ringing")
    assert app.costs == ["BatchGetDocuments"]
    assert services.identity.verified == []


async def test_a_ring_token_reads_no_other_call_and_costs_nothing_there(
    app: Client, services: Services
) -> None:
    await services.world.ring(CallId("CALL_2"))
    answer = await ask(app, path="/v1/calls/CALL_2")
    assert (answer.status_code, answer.json()) == (404, {"ok": False, "outcome": "not_found"})
    assert app.costs == []


@pytest.mark.parametrize("status", ["ringing", "accepted"])
async def test_a_call_that_goes_on_is_read_as_long_as_the_token_is_good(
    app: Client, services: Services, status: str
) -> None:
    await services.world.ring(status=status)
    old = token(at=now() - GOOD_FOR + timedelta(seconds=10))
    assert (await ask(app, shown=old)).json()["status"] == status
    expired = await ask(app, shown=token(at=now() - GOOD_FOR - timedelta(seconds=10)))
    assert (expired.status_code, expired.json()["message"]) == (401, "the token has expired")


@pytest.mark.parametrize("said", [{}, {"ended_at": None}])
async def test_a_call_is_read_until_ten_minutes_after_its_end(
    app: Client, services: Services, said: dict[str, Any]
) -> None:
    ended(services, timedelta(minutes=10, seconds=-2), **said)
    assert (await ask(app)).json()["status"] == "cancelled"
    ended(services, timedelta(minutes=10, seconds=2), **said)
    answer = await ask(app)
    assert answer.status_code == 401
    assert answer.json() == {"ok": False, "outcome": "unauthenticated", "message": OVER}
    # A user's own token reads it as ever.
    assert (await app.ask("GET", PATH, RECEIVER)).json()["status"] == "cancelled"


async def test_who_is_no_party_any_more_reads_nothing(app: Client, services: Services) -> None:
    await services.world.ring()
    answer = await ask(app, shown=token(user=UserId("USR_9")))
    assert answer.status_code == 404
    make_unreadable(services)
    assert (await ask(app)).status_code == 422
    await services.world.ring(CallId("CALL_2"))
    missing = await ask(app, path="/v1/calls/CALL_3", shown=token(CallId("CALL_3")))
    assert missing.status_code == 404


async def test_a_forged_ring_token_is_refused_and_no_provider_is_shown_it(
    app: Client, services: Services
) -> None:
    await services.world.ring()
    for answer in (await ask(app, shown="ring.x"), await declined(app, "ring.x")):
        assert (answer.status_code, answer.json()["message"]) == (
            401,
            "the ring token is not valid",
        )
        assert answer.headers["www-authenticate"] == "Bearer"
    assert app.costs == services.identity.verified == []


async def test_a_ring_token_is_no_users_token_and_no_key(app: Client, services: Services) -> None:
    await services.world.ring()
    content = {"event": "call:reject", "data": {"callId": CALL}}
    for answer in (
        await ask(app, "POST", "/v1/signals", json=content),
        await app.ask("POST", "/v1/signals", None, json={**content, "token": token()}),
        await ask(app, "PUT", json={"callerId": CALLER, "receiverId": RECEIVER}),
        await ask(app, path=f"/v1/users/{RECEIVER}/connections"),
    ):
        assert answer.status_code == 401
    assert await status_of(services) is Status.RINGING
    assert services.identity.verified == []


async def test_who_asks_too_often_is_limited(services: Services) -> None:
    app = Client(function_of(services, API_KEY=KEY, FRAMES_PER_SECOND="1"), services)
    await services.world.ring()
    statuses = [(await ask(app)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


# It declines


@pytest.mark.parametrize("body", [{}, {"json": {}}, {"json": {"reason": "busy"}}])
async def test_a_ring_token_declines_while_it_rings(
    app: Client, services: Services, body: dict[str, Any]
) -> None:
    await services.world.ring()
    await connect(services.store, "caller=", CALLER)
    answer = await declined(app, **body)
    assert (answer.status_code, answer.json()) == (
        200,
        {"ok": True, "outcome": "rejected", "callId": CALL},
    )
    assert sorted(app.costs) == ["BatchGetDocuments", "Commit", "POST", "Publish", "RunQuery"]
    (made,) = services.published(CallEvent)
    assert (made.by, made.status) == (RECEIVER, Status.REJECTED)
    assert made.reason == ("busy" if body.get("json") else "User declined")
    assert len(services.clients.posted_to("caller=")) == 1
    again = await declined(app, **body)
    assert again.json()["outcome"] == "already_rejected"


@pytest.mark.parametrize(
    ("known", "said", "acting"),
    [
        ("phone 1", None, "phone 1"),
        ("phone 1", "phone 2", "phone 1"),
        (None, "phone 2", "phone 2"),
        (None, None, None),
    ],
)
async def test_the_device_of_the_token_is_the_one_that_declines(
    app: Client, services: Services, known: str | None, said: str | None, acting: str | None
) -> None:
    await services.world.ring()
    await declined(app, token(device=known, registration="r"), json={"deviceId": said})
    (made,) = services.published(CallEvent)
    assert (made.on_device, made.on_registration) == (acting, "r")


async def test_what_has_ended_is_not_declined(app: Client, services: Services) -> None:
    await services.world.ring(status="cancelled")
    answer = await declined(app)
    assert (answer.status_code, answer.json()["outcome"]) == (409, "already_cancelled")
    assert services.topic == []


@pytest.mark.parametrize("step", ["accept", "cancel", "end"])
async def test_any_other_step_is_forbidden(app: Client, services: Services, step: str) -> None:
    await services.world.ring()
    answer = await ask(app, "POST", f"{PATH}/{step}", json={"userId": RECEIVER})
    assert (answer.status_code, answer.json()) == (
        403,
        {"ok": False, "outcome": "forbidden", "message": "a ring token may only reject"},
    )
    assert app.costs == []
    assert await status_of(services) is Status.RINGING


async def test_a_call_that_is_long_over_is_not_declined(app: Client, services: Services) -> None:
    over = Call(CALL, CALLER, RECEIVER, Status.CANCELLED, ended_at=now() - timedelta(hours=1))
    services.database.put_call(over)
    answer = await declined(app)
    assert (answer.status_code, app.costs) == (401, ["BatchGetDocuments"])


async def test_a_ring_token_declines_no_other_call(app: Client, services: Services) -> None:
    await services.world.ring(CallId("CALL_2"))
    answer = await ask(app, "POST", "/v1/calls/CALL_2/reject")
    assert (answer.status_code, app.costs) == (404, [])


async def test_a_ring_token_speaks_for_nobody_else(app: Client, services: Services) -> None:
    await services.world.ring()
    other = await declined(app, json={"userId": CALLER})
    assert (other.status_code, other.json()["message"]) == (401, "userId is not the token's")
    assert await status_of(services) is Status.RINGING
    assert (await declined(app, json={"userId": RECEIVER})).status_code == 200


@pytest.mark.parametrize("body", [b"no JSON", b"[]", b"7"])
async def test_a_body_that_is_no_object_is_refused(
    app: Client, services: Services, body: bytes
) -> None:
    await services.world.ring()
    answer = await declined(app, content=body)
    assert (answer.status_code, answer.json()["field"]) == (400, "body")
    assert await status_of(services) is Status.RINGING


async def test_a_backend_still_has_to_send_an_object(app: Client, services: Services) -> None:
    await services.world.ring()
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = await app.ask("POST", f"{PATH}/reject", None, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (400, "body")


# What the backend is given for a phone that it wakes by itself


async def test_a_repeated_ring_is_answered_with_a_token_too(
    app: Client, services: Services
) -> None:
    first = (await app.put()).json()
    again = (await app.put()).json()
    assert again["outcome"] == "already_ringing"
    assert again["expiresAt"] == first["expiresAt"] == first["ringsUntil"]
    assert RING_TOKENS.verify(again["ringToken"]) == RingToken(CALL, RECEIVER)
    assert abs(again["sentAt"] - unix_ms(now())) < 2000
    assert "ringToken" not in (await app.put(receiverId="USR_9")).json()


async def test_without_a_secret_there_are_no_ring_tokens(services: Services) -> None:
    app = Client(function_of(services, API_KEY=KEY, RING_TOKEN_SECRET=""), services)
    said = (await app.put()).json()
    assert said["sentAt"]
    assert "ringToken" not in said
    assert (await ask(app)).status_code == 401
    assert (await declined(app)).status_code == 401
