"""The rings that a backend asks for, over HTTPS."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from functions.calls.call import Status
from functions.calls.event import CallEvent, unix_ms
from functions.clients.ringtoken import RingToken
from functions.wire.push import push_data
from tests.memory.services import Services
from tests.support.api import KEY, PREVIOUS_KEY, Client, function_of, make_unreadable, status_of
from tests.support.makers import CALL, CALLER, RECEIVER, RING_TOKENS, SENDING, connect, now

DATA = {"callType": "AUDIO", "channelName": "room", "uid": 7}


@pytest.fixture
def app(services: Services) -> Client:
    return Client(function_of(services, API_KEY=KEY, API_KEY_PREVIOUS=PREVIOUS_KEY), services)


async def test_a_ring_creates_the_call_and_tells_the_receiver(
    app: Client, services: Services
) -> None:
    await connect(services.store, "phone=", RECEIVER)
    answer = await app.put(data=DATA, ringSeconds=20)
    call = await services.world.call()
    assert call is not None
    assert call.rings_until is not None
    ends = unix_ms(call.rings_until)
    said = answer.json()
    assert RING_TOKENS.verify(said.pop("ringToken")) == RingToken(CALL, RECEIVER)
    assert unix_ms(now()) - 1000 < said.pop("sentAt") <= unix_ms(now())
    assert (answer.status_code, said) == (
        200,
        {"ok": True, "outcome": "ringing", "callId": CALL, "ringsUntil": ends, "expiresAt": ends},
    )
    assert sorted(app.costs) == ["Commit", "POST", "Publish", "RunQuery"]
    (made,) = services.published(CallEvent)
    (frame,) = services.clients.posted_to("phone=")
    assert json.loads(frame) == {
        "event": "call:incoming",
        "data": {
            **DATA,
            "callerId": CALLER,
            "callId": CALL,
            "ringsUntil": ends,
            "timestamp": made.timestamp,
        },
    }
    assert made.served == ("phone=",)
    assert made.expires_at == call.rings_until
    assert (call.status, call.signal_id) == (Status.RINGING, made.signal_id)


async def test_a_ring_is_pushed_with_what_the_app_passes_on(
    app: Client, services: Services
) -> None:
    await app.put(data=DATA)
    (made,) = services.published(CallEvent)
    (recipient,) = made.push_recipients
    assert push_data(made, recipient, SENDING) == {
        "callType": "AUDIO",
        "channelName": "room",
        "uid": "7",
        "type": "incoming_call",
        "callId": CALL,
        "callerId": CALLER,
        "timestamp": str(made.timestamp),
        "sentAt": str(SENDING.at_ms),
        "expiresAt": str(made.rings_until_ms),
        "ringToken": "ring.x",
    }


async def test_the_same_again_is_safe_and_tells_nobody_twice(
    app: Client, services: Services
) -> None:
    first = await app.put(data=DATA)
    (made,) = services.published(CallEvent)
    await services.store.outbox.note_served(made, (), now(), is_done=True)
    again = await app.put(data=DATA)
    assert (again.status_code, again.json()) == (
        200,
        {**first.json(), "outcome": "already_ringing"},
    )
    assert services.topic == []
    assert sorted(app.costs) == ["BatchGetDocuments", "BatchGetDocuments", "Commit", "RunQuery"]


async def test_another_ring_under_the_same_id_is_told_what_differs(
    app: Client, services: Services
) -> None:
    await app.put(data=DATA)
    answer = await app.put(data={**DATA, "channelName": "another"})
    assert (answer.status_code, answer.json()) == (
        409,
        {
            "ok": False,
            "outcome": "differs",
            "callId": CALL,
            "field": "data",
            "message": "the call is known with another data",
        },
    )


async def test_a_call_may_be_known_before_it_rings(app: Client, services: Services) -> None:
    await connect(services.store, "phone=", RECEIVER)
    known = await app.put(ring=False)
    assert (known.status_code, known.json()["outcome"]) == (200, "ringing")
    assert app.costs == ["Commit"]
    assert (services.topic, services.clients.posts) == ([], [])
    rung = await app.put(ring=True)
    assert (rung.status_code, rung.json()["outcome"]) == (200, "ringing")
    (made,) = services.published(CallEvent)
    assert [told.event for told in made.recipients] == ["call:incoming"]
    assert len(services.clients.posted_to("phone=")) == 1
    again = await app.put(ring=False)
    assert again.json()["outcome"] == "already_ringing"


async def test_a_call_that_is_only_known_can_be_cancelled(app: Client, services: Services) -> None:
    await app.put(ring=False)
    assert (await app.on_behalf("cancel")).status_code == 200
    late = await app.put(ring=True)
    assert (late.status_code, late.json()["outcome"]) == (409, "already_cancelled")
    (made,) = services.published(CallEvent)
    assert made.status is Status.CANCELLED


async def test_the_fields_of_what_is_passed_on_may_come_in_any_order(app: Client) -> None:
    await app.put(data={"a": 1, "b": {"c": 2, "d": 3}})
    again = await app.put(data={"b": {"d": 3, "c": 2.0}, "a": 1})
    assert (again.status_code, again.json()["outcome"]) == (200, "already_ringing")


async def test_a_document_that_the_app_sets_to_ring_again_is_told_again(
    app: Client, services: Services
) -> None:
    await services.world.ring()
    await app.put()
    await app.on_behalf("cancel")
    _, cancelled = services.published(CallEvent)
    await services.store.outbox.note_served(cancelled, (), now(), is_done=True)
    ended = await services.world.call()
    assert ended is not None
    services.database.put_call(replace(ended, status=Status.RINGING))
    answer = await app.put()
    assert (answer.status_code, answer.json()["outcome"]) == (200, "ringing")
    (made,) = services.published(CallEvent)
    assert made.status is Status.RINGING
    assert (await app.put()).json()["outcome"] == "already_ringing"


async def test_a_ring_that_was_told_long_ago_is_not_told_again(
    app: Client, services: Services
) -> None:
    await app.put()
    services.topic.clear()
    services.database.entries.clear()  # as TTL does
    assert (await app.put()).json()["outcome"] == "already_ringing"
    assert services.topic == []


async def test_ids_and_what_is_passed_on_must_fit_into_one_push(app: Client) -> None:
    answer = await app.put(data={"long": "x" * 2980}, callerId="\u263a" * 256, call="\u263a" * 128)
    assert (answer.status_code, answer.json()["field"]) == (400, "data")


async def test_what_the_app_passed_on_goes_when_the_ring_ends(
    app: Client, services: Services
) -> None:
    await app.put(data=DATA)
    ringing = await app.ask("GET", f"/v1/calls/{CALL}", RECEIVER)
    assert ringing.json()["data"] == DATA
    assert "cause" not in ringing.json()
    await app.on_behalf("cancel")
    over = await app.ask("GET", f"/v1/calls/{CALL}", RECEIVER)
    assert over.json()["cause"] == "caller_cancelled"
    assert {"data", "ringsUntil"}.isdisjoint(over.json())


async def test_a_ring_whose_commit_was_not_answered_is_told_all_the_same(
    app: Client, services: Services
) -> None:
    services.faults.lose_reply("firestore.Commit")
    answer = await app.put()
    assert (answer.status_code, answer.json()["outcome"]) == (200, "ringing")
    assert len(services.published(CallEvent)) == 1


async def test_a_ring_that_could_not_be_committed_leaves_nothing(
    app: Client, services: Services
) -> None:
    services.faults.fail("firestore.Commit", times=None)
    answer = await app.put()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert await status_of(services) is None
    assert services.topic == []


async def test_a_call_that_can_not_be_read_does_not_ring(app: Client, services: Services) -> None:
    make_unreadable(services)
    assert (await app.put()).status_code == 422


@pytest.mark.parametrize("key", [None, "wrong"])
async def test_nobody_but_the_backend_makes_a_call_ring(
    app: Client, services: Services, key: str | None
) -> None:
    assert (await app.put(key=key)).status_code == 401
    assert await status_of(services) is None


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"callerId": None}, "callerId"),
        ({"callerId": ""}, "callerId"),
        ({"receiverId": True}, "receiverId"),
        ({"receiverId": ["USR_2"]}, "receiverId"),
        ({"ringSeconds": 4}, "ringSeconds"),
        ({"ringSeconds": 121}, "ringSeconds"),
        ({"ringSeconds": 7.5}, "ringSeconds"),
        ({"ringSeconds": "20"}, "ringSeconds"),
        ({"ringSeconds": True}, "ringSeconds"),
        ({"ring": "yes"}, "ring"),
        ({"ring": 0}, "ring"),
        ({"data": "text"}, "data"),
        ({"data": []}, "data"),
        ({"data": {"from": "x"}}, "data"),
        ({"data": {"google.c": "x"}}, "data"),
        ({"data": {"": "x"}}, "data"),
        ({"data": {"long": "x" * 3000}}, "data"),
        ({"callerId": 2**63}, "callerId"),
    ],
)
async def test_a_ring_that_makes_no_sense_is_told_what_is_wrong_and_changes_nothing(
    app: Client, services: Services, content: dict[str, Any], field: str
) -> None:
    answer = await app.put(**content)
    assert (answer.status_code, answer.json()["outcome"]) == (400, "invalid")
    assert answer.json()["field"] == field
    assert await status_of(services) is None


@pytest.mark.parametrize("call", ["a/b", "__x__", "a" * 129])
async def test_a_call_needs_an_id_that_can_be_one(app: Client, call: str) -> None:
    answer = await app.put(call)
    assert (answer.status_code, answer.json()["field"]) == (400, "callId")


async def test_a_ring_is_no_longer_than_the_setting_says(app: Client, services: Services) -> None:
    await app.put(ringSeconds=120)
    call = await services.world.call()
    assert call is not None
    assert call.ring_seconds == 30


@pytest.mark.parametrize(
    ("passed_on", "pushed"),
    [
        ('"an \\u00e9 and half of one: \\ud83d"', "an é and half of one: ?"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("[[1.50,null]]", "[[1.5,null]]"),
        ("[[" * 200 + "]]" * 200, "[[" * 200 + "]]" * 200),
    ],
)
async def test_whatever_is_passed_on_arrives(
    app: Client, services: Services, passed_on: str, pushed: str
) -> None:
    await connect(services.store, "phone=", RECEIVER)
    body = f'{{"callerId":"{CALLER}","receiverId":"{RECEIVER}","data":{{"odd":{passed_on}}}}}'
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = await app.ask("PUT", f"/v1/calls/{CALL}", None, headers=headers, content=body)
    assert answer.status_code == 200
    (made,) = services.published(CallEvent)
    (frame,) = services.clients.posted_to("phone=")
    assert json.dumps(
        json.loads(frame)["data"]["odd"], ensure_ascii=False, separators=(",", ":")
    ) in (
        pushed,
        f'"{pushed}"',
    )
    assert push_data(made, made.recipients[0], SENDING)["odd"] == pushed
    described = await app.ask("GET", f"/v1/calls/{CALL}", RECEIVER)
    assert "odd" in described.json()["data"]


@pytest.mark.parametrize("number", ["1e999", "-1e999"])
async def test_a_number_that_nobody_can_read_is_not_passed_on(app: Client, number: str) -> None:
    body = f'{{"callerId":"{CALLER}","receiverId":"{RECEIVER}","data":{{"odd":{number}}}}}'
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = await app.ask("PUT", f"/v1/calls/{CALL}", None, headers=headers, content=body)
    assert (answer.status_code, answer.json()["field"]) == (400, "data")


async def test_a_numeric_id_counts_as_its_digits(app: Client, services: Services) -> None:
    await app.put(callerId=1, receiverId=2.0)
    call = await services.world.call()
    assert call is not None
    assert (call.caller, call.receiver) == ("1", "2")


async def test_a_ring_is_told_for_as_long_as_it_rings(app: Client, services: Services) -> None:
    await app.put(ringSeconds=5)
    (made,) = services.published(CallEvent)
    assert made.rings_until is not None
    # Never shorter than a phone takes to wake up.
    assert made.expires_at - made.decided_at == timedelta(seconds=20)
