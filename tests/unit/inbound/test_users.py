"""`/v1/users/…`, as an app's backend meets it: who is online, devices, sign-out and erasure."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import blake2b, sha256
from urllib.parse import quote

import pytest

from functions.calls.call import Call, CallId, ConnectionId, Status, UnreadableCall, UserId
from functions.calls.event import CallEvent
from functions.calls.transitions import Push
from functions.clients.connection import Connection, Wire
from functions.clients.device import FcmToken, device_id
from functions.delivery.deliver import Deliverer
from functions.delivery.push import Pusher
from functions.ports.identity import Identified
from infra.emulators.faults import Fault, Kind
from tests.memory.services import Services
from tests.memory.store import MemoryCalls, MemoryConnections
from tests.support.api import CANCEL, KEY, PREVIOUS_KEY, Client, function_of
from tests.support.loglines import logged
from tests.support.makers import CALL, CALLER, FIRST, RECEIVER, RING_TOKENS, connect, now, register
from tests.support.makers import event as made_event
from tests.support.polls import SOCKET, begin, found, moved, waiting
from tests.support.world import committed

_Erased = tuple[int, dict[str, object]]  # the answer's status, and what it says

TOKEN = "abcd" + "0" * 100 + "wxyz"


@pytest.fixture
def app(services: Services) -> Client:
    more = {"API_KEY": KEY, "API_KEY_PREVIOUS": PREVIOUS_KEY, "DEVICES_PER_USER": "2"}
    return Client(function_of(services, **more), services)


EVERY = [
    ("GET", "/connections"),
    ("DELETE", "/connections"),
    ("GET", "/devices"),
    ("PUT", "/devices"),
    ("DELETE", "/devices"),
    ("DELETE", f"/devices/{device_id(FcmToken('T'))}"),
    ("DELETE", ""),
]
every_request = pytest.mark.parametrize(("method", "rest"), EVERY)


# Whoever asks


@every_request
async def test_without_the_key_nothing_is_told_and_no_body_waited_for(
    app: Client, services: Services, method: str, rest: str
) -> None:
    await connect(services.store, "1=", CALLER)
    await register(services.store, "T", CALLER)
    for key, why in ((None, "the API key is missing"), ("wrong", "the API key is not valid")):
        answer = await app.manage(method, CALLER, rest, key, content=b"x" * 2_000_000)
        assert (answer.status_code, answer.json()["message"]) == (401, why)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert app.costs == []
    assert (await app.ask(method, f"/v1/users/{CALLER}{rest}", CALLER)).status_code == 401


@every_request
@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("x" * 257, "userId must have at most 256 characters"),
        ("a\0", "userId must not contain control characters"),
        ("a\x7f", "userId must not contain control characters"),
    ],
)
async def test_a_user_that_can_be_nobodys_id_is_refused(
    app: Client, method: str, rest: str, user: str, why: str
) -> None:
    answer = await app.manage(method, user, rest, json={})
    said = answer.json()
    assert (answer.status_code, said["field"], said["message"]) == (400, "userId", why)
    assert app.costs == []


@pytest.mark.parametrize("user", ["a/b", "17", "Ü ?#%", "x" * 256, "%2F", "connections"])
async def test_a_user_is_whoever_the_path_names_once_it_is_decoded(
    app: Client, services: Services, user: str
) -> None:
    await connect(services.store, "1=", UserId(user))
    answer = await app.manage("GET", user, "/connections")
    assert (answer.json()["userId"], answer.json()["online"]) == (user, True)


async def test_what_is_no_path_of_a_user_is_not_found(app: Client) -> None:
    for path in ("/v1/users", "/v1/users/", "/v1/users//connections", f"/v1/users/{CALLER}/calls"):
        answer = await app.ask("GET", path, None, headers={"Authorization": f"Bearer {KEY}"})
        assert (answer.status_code, answer.json()["outcome"]) == (404, "not_found"), path
    answer = await app.manage("POST", CALLER, "/devices")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, PUT, DELETE, OPTIONS")


@every_request
async def test_what_could_not_be_done_is_to_be_repeated(
    app: Client, services: Services, method: str, rest: str
) -> None:
    for call in ("RunQuery", "BatchGetDocuments", "Commit"):
        services.faults.fail(f"firestore.{call}", times=9)
    body = {"token": TOKEN, "platform": "ios"}
    answer = await app.manage(method, CALLER, rest, json=body)
    assert (answer.status_code, answer.json()["outcome"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    services.faults.heal()
    assert (await app.manage(method, CALLER, rest, json=body)).status_code in (200, 404)


@every_request
async def test_a_busy_instance_refuses_it_before_it_begins(
    app: Client, services: Services, method: str, rest: str
) -> None:
    await services.world.ring()
    reads = [services.faults.hold("firestore.BatchGetDocuments") for _ in range(4)]
    under_way = [asyncio.create_task(app.signal()) for _ in range(4)]
    for read in reads:
        await read.reached.wait()
    body = {"token": TOKEN, "platform": "ios"}
    assert (await app.manage(method, CALLER, rest, json=body)).status_code == 503
    assert app.costs == []
    for read in reads:
        read.release()
    await asyncio.gather(*under_way)


# Connections


async def test_who_has_a_connection_is_online(app: Client, services: Services) -> None:
    at = now() - timedelta(minutes=5)
    await connect(services.store, "2=", CALLER, wire=Wire.EIO4)
    await connect(services.store, "1=", CALLER, connected=at)
    await connect(services.store, "3=", RECEIVER)
    answer = await app.manage("GET", CALLER, "/connections")
    described = answer.json()
    first, second = described["connections"]
    assert answer.status_code == 200
    assert (described["userId"], described["online"]) == (CALLER, True)
    assert first == {"wire": "json", "connectedAt": int(at.timestamp() * 1000), "isOpen": True}
    assert second["wire"] == "eio4"
    assert "1=" not in answer.text  # nobody needs to know by which ids sockets are posted to
    assert app.costs == ["RunQuery"]


async def test_a_ring_token_makes_nobody_online(app: Client, services: Services) -> None:
    await connect(services.store, "ring=", CALLER, only_call=CALL)
    answer = (await app.manage("GET", CALLER, "/connections")).json()
    assert answer == {"userId": CALLER, "online": False, "connections": []}
    signed_out = (await app.manage("DELETE", CALLER, "/connections")).json()
    assert (signed_out["closed"], services.clients.closed) == (1, ["ring="])
    await app.manage("DELETE", CALLER)
    assert "ring=" not in services.database.connections


async def test_nobody_is_online_before_his_session_is_open_nor_without_one(
    app: Client, services: Services
) -> None:
    unknown = await app.manage("GET", CALLER, "/connections")
    assert unknown.json() == {"userId": CALLER, "online": False, "connections": []}
    await connect(services.store, "1=", CALLER, wire=Wire.EIO3, is_open=False)
    waiting = (await app.manage("GET", CALLER, "/connections")).json()
    assert (waiting["online"], waiting["connections"][0]["isOpen"]) == (False, False)
    await services.store.connections.close(ConnectionId("1="), now())
    assert (await app.manage("GET", CALLER, "/connections")).json() == unknown.json()


# Signing out


async def test_who_is_signed_out_everywhere_does_not_come_back_by_himself(
    app: Client, services: Services
) -> None:
    await connect(services.store, "1=", CALLER)
    await connect(services.store, "2=", CALLER, wire=Wire.EIO4)
    await connect(services.store, "3=", RECEIVER)
    with logged() as lines:
        answer = await app.manage("DELETE", CALLER, "/connections")
    assert answer.json() == {"ok": True, "outcome": "signed_out", "closed": 2}
    assert answer.status_code == 200
    assert sorted(app.costs) == ["Commit", "Commit", "DELETE", "DELETE", "POST", "RunQuery"]
    assert services.clients.posts == [("2=", "41")]
    assert sorted(services.clients.closed) == ["1=", "2="]
    found = [await services.store.connections.get(ConnectionId(id), now()) for id in ("1=", "2=")]
    assert [(each.user, bool(each.closed_at)) for each in found if each] == [(None, True)] * 2
    assert not (await app.manage("GET", CALLER, "/connections")).json()["online"]
    assert (await app.manage("GET", RECEIVER, "/connections")).json()["online"]
    (line,) = lines()
    assert (line["message"], line["closed"], line["unreached"]) == ("signed out", 2, 0)
    again = await app.manage("DELETE", CALLER, "/connections")
    assert (again.status_code, again.json()["closed"]) == (200, 0)
    assert app.costs == ["RunQuery"]


async def test_a_socket_whose_session_is_over_or_has_not_begun_is_closed_too(
    app: Client, services: Services
) -> None:
    await connect(services.store, "left=", CALLER, wire=Wire.EIO4)
    left = await services.store.connections.get(ConnectionId("left="), now())
    assert left
    assert await services.store.connections.leave(left, now(), now())
    for id in ("shown=", "another's="):
        await connect(services.store, id, None, wire=Wire.EIO4, shown=CALLER)
    another = await services.store.connections.get(ConnectionId("another's="), now())
    assert another
    admitted = Identified(RECEIVER)
    assert await services.store.connections.admit(another, admitted, now(), another.expires_at)
    answer = await app.manage("DELETE", CALLER, "/connections")
    assert answer.json()["closed"] == 2
    assert sorted(services.clients.closed) == ["left=", "shown="]


async def test_a_socket_that_can_not_be_reached_is_left_to_a_repeat(
    app: Client, services: Services
) -> None:
    for id in ("1=", "2=", "3="):
        await connect(services.store, id, CALLER, wire=Wire.EIO4)
    services.clients.answers["2="] = [500]
    answer = await app.manage("DELETE", CALLER, "/connections")
    assert (answer.status_code, answer.json()["outcome"]) == (503, "unavailable")
    assert "repeat" in answer.json()["message"]
    assert answer.headers["retry-after"] == "1"
    assert sorted(services.clients.closed) == ["1=", "3="]
    assert (await app.manage("GET", CALLER, "/connections")).json()["online"]
    answer = await app.manage("DELETE", CALLER, "/connections")
    assert (answer.status_code, answer.json()["closed"]) == (200, 1)
    assert sorted(services.clients.closed) == ["1=", "2=", "3="]


async def test_a_client_that_closes_its_socket_by_itself_when_it_is_sent_away_is_signed_out(
    app: Client, services: Services
) -> None:
    await connect(services.store, "1=", CALLER, now(), wire=Wire.EIO4)
    close = services.faults.hold("connections.DELETE")
    signing_out = asyncio.create_task(app.manage("DELETE", CALLER, "/connections"))
    await close.reached.wait()
    services.clients.close(ConnectionId("1="))
    close.release()
    answer = await signing_out
    assert (answer.status_code, answer.json()["closed"]) == (200, 1)
    assert not (await app.manage("GET", CALLER, "/connections")).json()["online"]


async def test_a_socket_that_has_gone_is_done_with_unless_it_may_be_in_its_handshake(
    app: Client, services: Services
) -> None:
    for id, age in (("old=", 60), ("new=", 5)):
        await connect(services.store, id, CALLER, now() - timedelta(seconds=age))
        services.clients.closed.append(id)
    assert (await app.manage("DELETE", CALLER, "/connections")).status_code == 503
    (left,) = await services.store.connections.of([CALLER], now())
    assert left.id == "new="
    await asyncio.sleep(30)
    answer = await app.manage("DELETE", CALLER, "/connections")
    assert (answer.status_code, answer.json()["closed"]) == (200, 0)


# Devices


async def test_a_backend_registers_a_device_and_sees_what_there_is(
    app: Client, services: Services
) -> None:
    body = {"token": TOKEN, "platform": "ios", "deviceId": "phone 1"}
    answer = await app.manage("PUT", CALLER, "/devices", json=body)
    id = sha256(TOKEN.encode()).hexdigest()
    assert (answer.status_code, answer.json()) == (
        200,
        {"ok": True, "outcome": "registered", "id": id},
    )
    assert app.costs == ["Commit", "RunQuery"]
    at = int(now().timestamp() * 1000)
    (device,) = (await app.manage("GET", CALLER, "/devices")).json()["devices"]
    assert app.costs == ["RunQuery"]
    assert abs(device.pop("registeredAt") - at) < 1000
    assert device.pop("expiresAt") > at
    named = {"id": id, "token": "abcd…wxyz", "platform": "ios", "deviceId": "phone 1"}
    assert device == named
    again = await app.manage("PUT", CALLER, "/devices", json=body)
    assert again.json() == answer.json()
    (device,) = (await app.manage("GET", CALLER, "/devices")).json()["devices"]
    assert device["id"] == id


async def test_a_short_address_is_not_shown_at_all(app: Client) -> None:
    body = {"fid": "d" * 15, "platform": "web"}
    assert (await app.manage("PUT", CALLER, "/devices", json=body)).status_code == 200
    (device,) = (await app.manage("GET", CALLER, "/devices")).json()["devices"]
    assert device["fid"] == "…"
    assert "token" not in device
    assert "deviceId" not in device


async def test_a_token_that_another_had_moves(app: Client, services: Services) -> None:
    await register(services.store, TOKEN, RECEIVER)
    body = {"token": TOKEN, "platform": "android"}
    assert (await app.manage("PUT", CALLER, "/devices", json=body)).status_code == 200
    listed = {
        user: (await app.manage("GET", user, "/devices")).json()["devices"]
        for user in (CALLER, RECEIVER)
    }
    assert (len(listed[CALLER]), listed[RECEIVER]) == (1, [])


async def test_of_too_many_devices_the_one_that_registered_longest_ago_goes(app: Client) -> None:
    for number in range(3):
        body = {"token": f"{TOKEN}{number}", "platform": "android"}
        await app.manage("PUT", CALLER, "/devices", json=body)
    devices = (await app.manage("GET", CALLER, "/devices")).json()["devices"]
    assert [each["token"] for each in devices] == ["abcd…xyz1", "abcd…xyz2"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b"{}", "token"),
        (b'{"token":"T"}', "platform"),
        (b'{"token":"T","platform":"amiga"}', "platform"),
        (b'{"token":"T","fid":"F","platform":"ios"}', "fid"),
        (b'{"token":7,"platform":"ios"}', "token"),
        (b'{"token":"T","platform":"ios","deviceId":7}', "deviceId"),
        (b'{"token":"T","platform":"ios","deviceId":""}', "deviceId"),
        (b'{"token":"T","platform":"ios","deviceId":"%s"}' % (b"x" * 129), "deviceId"),
    ],
)
async def test_what_is_no_device_is_refused_and_costs_nothing(
    app: Client, body: bytes, field: str
) -> None:
    answer = await app.manage("PUT", CALLER, "/devices", content=body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert app.costs == []


async def test_a_device_is_removed_if_it_is_this_users(app: Client, services: Services) -> None:
    await register(services.store, "T", CALLER)
    id = device_id(FcmToken("T"))
    for other in (f"/devices/{id[:-1]}", f"/devices/{id}0", "/devices/a%2Fb", "/devices/T"):
        answer = await app.manage("DELETE", CALLER, other)
        assert (answer.status_code, app.costs) == (404, []), other
    assert (await app.manage("DELETE", RECEIVER, f"/devices/{id}")).status_code == 404
    answer = await app.manage("DELETE", CALLER, f"/devices/{id}")
    assert answer.json() == {"ok": True, "outcome": "unregistered", "devices": 1}
    assert app.costs == ["BatchGetDocuments", "Commit"]
    assert (await app.manage("DELETE", CALLER, f"/devices/{id}")).status_code == 404


async def test_all_devices_of_a_user_are_removed_at_once(app: Client, services: Services) -> None:
    for token, user in (("1", CALLER), ("2", CALLER), ("3", RECEIVER)):
        await register(services.store, token, user)
    for count in (2, 0):
        answer = await app.manage("DELETE", CALLER, "/devices")
        assert (answer.status_code, answer.json()) == (
            200,
            {"ok": True, "outcome": "unregistered", "devices": count},
        )
    assert await services.world.ids_in("devices") == {device_id(FcmToken("3"))}


# Erasure


async def erase(app: Client, user: str = CALLER) -> _Erased:
    answer = await app.manage("DELETE", user)
    return answer.status_code, answer.json()


ZEROS = {"ok": True, "outcome": "erased", "connections": 0, "devices": 0, "calls": 0}


async def test_of_who_is_erased_nothing_is_left(app: Client, services: Services) -> None:
    for id, user in (("1=", CALLER), ("2=", CALLER), ("3=", RECEIVER)):
        await connect(services.store, id, user)
    for token, user in (("1", CALLER), ("3", RECEIVER)):
        await register(services.store, token, user)
    for number in range(3):
        await services.world.ring(CallId(f"CALL_{number}"), "ended")
    rejected = made_event("call:reject", call=CallId("CALL_9"))
    await committed(services.world, rejected.only_for(rejected.recipients[:1]))
    with logged() as lines:
        status, said = await erase(app)
    assert (status, said) == (200, {**ZEROS, "connections": 2, "devices": 1, "calls": 4})
    assert sorted(services.clients.closed) == ["1=", "2="]
    assert CALLER not in repr(services.database)
    assert await services.world.ids_in("connections") == {"3="}
    assert await services.world.ids_in("devices") == {device_id(FcmToken("3"))}
    assert await services.world.ids_in("outbox") == set()  # it was for him alone
    callers = {stored.call.caller for stored in services.database.calls.values()}
    (pseudonym,) = callers
    assert pseudonym.startswith("erased-")
    receivers = {stored.call.receiver for stored in services.database.calls.values()}
    assert receivers == {RECEIVER}
    line = lines()[-1]
    assert (line["message"], line["outcome"], line["calls"]) == ("erased", "erased", 4)
    assert CALLER not in repr(lines())
    assert await erase(app) == (200, ZEROS)
    assert app.costs == ["RunQuery"] * 6


async def test_of_who_is_erased_while_he_polls_or_has_upgraded_nothing_is_left(
    app: Client, services: Services
) -> None:
    polling, upgraded, others = map(ConnectionId, ("poll-1", "poll-2", "poll-3"))
    for id, user in ((polling, CALLER), (upgraded, CALLER), (others, RECEIVER)):
        await begin(services.store, f"for {user}", user=user, id=id)
    await moved(services.store, await found(services.store, upgraded))
    assert await erase(app) == (200, {**ZEROS, "connections": 3})
    assert services.clients.closed == [SOCKET]
    assert CALLER not in repr(services.database)
    for collection in ("connections", "polls"):
        assert await services.world.ids_in(collection) == {others}
    assert await waiting(services.store, others) == [f"for {RECEIVER}"]


async def test_no_two_erasures_share_a_pseudonym(app: Client, services: Services) -> None:
    await services.world.ring(status="ended")
    await erase(app)
    await services.world.ring(CallId("CALL_2"), "ended")
    await erase(app)
    assert len({stored.call.caller for stored in services.database.calls.values()}) == 2


@pytest.mark.parametrize(
    ("user", "other", "status", "told"),
    [
        (CALLER, RECEIVER, Status.RINGING, "call:cancelled"),
        (CALLER, RECEIVER, Status.ACCEPTED, "call:ended"),
        (RECEIVER, CALLER, Status.ACCEPTED, "call:ended"),
    ],
)
async def test_nobody_rings_for_who_is_erased(
    app: Client, services: Services, user: UserId, other: UserId, status: Status, told: str
) -> None:
    await connect(services.store, "other=", other)
    await services.world.ring(status=status)
    assert await erase(app, user) == (200, {**ZEROS, "calls": 1})
    (frame,) = services.clients.posted_to("other=")
    assert json.loads(frame)["event"] == told
    (made,) = services.published(CallEvent)
    assert made.users == (other,)
    call = await services.world.call()
    assert call
    assert call.status is made.status
    assert not call.parties(user)
    # The entry is the other's, who may still have to be told.
    assert await services.store.outbox.entry(CALL, made.signal_id)


async def erasing_who_is_rung(app: Client, services: Services) -> asyncio.Task[_Erased]:
    """The erasure of the receiver, whose phone rings, as soon as his call has ended."""
    for id, user in (("his=", RECEIVER), ("other=", CALLER)):
        await connect(services.store, id, user)
    await register(services.store, "T", RECEIVER)
    await services.world.ring()
    publish = services.faults.hold("pubsub.Publish")
    erasing = asyncio.create_task(erase(app, RECEIVER))
    await publish.reached.wait()
    publish.release()
    return erasing


async def test_the_phones_of_who_is_erased_while_he_is_rung_stop_ringing_too(
    app: Client, services: Services, deliverer: Deliverer
) -> None:
    erasing = await erasing_who_is_rung(app, services)
    began = now()
    await asyncio.sleep(0.5)
    # His sockets are told before they are closed.
    told = [json.loads(services.clients.posted_to(id)[-1])["event"] for id in ("his=", "other=")]
    assert told == ["call:cancelled", "call:rejected"]
    assert services.clients.closed == ["his="]
    # `push` comes last, and finds his devices all the same.
    (made,) = services.published(CallEvent)
    await deliverer.deliver(made, FIRST)
    await asyncio.sleep(3)
    await Pusher(
        services.store, services.sender, services.publisher, RING_TOKENS, now, devices_per_user=20
    ).push(made, FIRST)
    (message,) = services.phones.messages
    assert (message.token, message.recipient.push) == ("T", Push("call_cancelled"))
    assert await erasing == (200, {**ZEROS, "connections": 1, "devices": 1, "calls": 1})
    assert now() - began < timedelta(seconds=7)
    assert await services.world.ids_in("devices") == set()
    call = await services.world.call()
    assert call
    assert (call.status, call.parties(RECEIVER)) == (Status.REJECTED, set())
    assert await erase(app, RECEIVER) == (200, ZEROS)
    assert app.costs == ["RunQuery"] * 6


async def test_the_devices_of_who_is_rung_stay_until_it_is_known_that_they_are_pushed(
    app: Client, services: Services
) -> None:
    erasing = await erasing_who_is_rung(app, services)
    status, said = await erasing
    (made,) = services.published(CallEvent)
    assert (status, said["outcome"]) == (503, "unavailable")
    assert await services.world.ids_in("devices") == {device_id(FcmToken("T"))}
    await services.store.outbox.note_served(made, (), now(), is_done=True)
    assert await erase(app, RECEIVER) == (200, {**ZEROS, "devices": 1})


async def test_devices_do_not_wait_for_an_event_that_has_expired(
    app: Client, services: Services
) -> None:
    erasing = await erasing_who_is_rung(app, services)
    assert (await erasing)[0] == 503
    await asyncio.sleep(30)
    assert await erase(app, RECEIVER) == (200, {**ZEROS, "devices": 1})


async def test_the_devices_of_who_was_just_rung_stay_until_they_are_told_of_the_cancel(
    app: Client, services: Services
) -> None:
    await register(services.store, "T", RECEIVER)
    made = await committed(services.world, made_event())
    began = now()
    await services.store.outbox.note_served(made, (), now(), is_done=True)
    assert await erase(app, RECEIVER) == (200, {**ZEROS, "devices": 1, "calls": 1})
    assert timedelta(seconds=5) <= now() - began < timedelta(seconds=7)


async def test_calls_end_before_their_sockets_close_and_nobody_waits_for_whom_no_phone_rings(
    app: Client, services: Services
) -> None:
    await connect(services.store, "1=", CALLER)
    await register(services.store, "T", CALLER)
    await services.world.ring()
    began = now()
    assert (await erase(app))[0] == 200
    assert now() - began < timedelta(seconds=1)
    assert app.costs.index("Publish") < app.costs.index("DELETE")


async def test_a_call_that_nobody_ended_long_ago_is_not_cancelled_once_more(
    app: Client, services: Services
) -> None:
    await connect(services.store, "other=", RECEIVER)
    await services.world.ring()
    await services.world.ring(CallId("CALL_2"), rings_until=now() + timedelta(hours=1))
    for id, stored in services.database.calls.items():
        aged = replace(stored, version=now() - timedelta(seconds=121))
        services.database.calls[id] = aged
    assert await erase(app) == (200, {**ZEROS, "calls": 2})
    (made,) = services.published(CallEvent)
    assert made.call_id == "CALL_2"
    call = await services.world.call()
    assert call
    assert (call.status, call.parties(CALLER)) == (Status.RINGING, set())


async def test_a_call_that_can_not_be_read_loses_his_name_too(
    app: Client, services: Services
) -> None:
    services.database.unreadable_calls[CALL] = UnreadableCall(CALL, frozenset({CALLER}))
    assert await erase(app) == (200, {**ZEROS, "calls": 1})
    assert CALLER not in repr(services.database.unreadable_calls)


async def test_a_change_that_comes_meanwhile_is_kept_and_the_call_renamed_all_the_same(
    app: Client, services: Services
) -> None:
    await services.world.ring(status="accepted")
    await asyncio.sleep(1)
    commit = services.faults.hold("firestore.Commit")
    erasing = asyncio.create_task(erase(app))
    await commit.reached.wait()
    ended = Call(CALL, CALLER, RECEIVER, Status.ENDED)
    services.database.put_call(ended)
    commit.release()
    assert await erasing == (200, {**ZEROS, "calls": 1})
    call = await services.world.call()
    assert call
    assert (call.status, call.parties(CALLER)) == (Status.ENDED, set())
    assert services.published(CallEvent) == []


async def test_a_socket_that_can_not_be_reached_keeps_back_nothing_else_of_an_erasure(
    app: Client, services: Services
) -> None:
    for id in ("1=", "2="):
        await connect(services.store, id, CALLER, wire=Wire.EIO4)
    await register(services.store, "T", CALLER)
    await services.world.ring(status="ended")
    services.clients.answers["2="] = [500]
    status, said = await erase(app)
    assert (status, said["outcome"]) == (503, "unavailable")
    assert await services.world.ids_in("connections") == {"2="}
    assert await services.world.ids_in("devices") == set()
    assert await erase(app) == (200, {**ZEROS, "connections": 1})


@pytest.mark.parametrize("times", [1, 2])
async def test_connections_that_their_own_disconnects_change_are_read_once_more(
    app: Client, services: Services, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    remove, left = MemoryConnections.remove, times

    async def changed(port: MemoryConnections, found: Sequence[Connection]) -> int:
        nonlocal left
        if found and left:
            left -= 1
            services.database.close(found[0].id, now())  # the `$disconnect` of the sign-out
        return await remove(port, found)

    for id in ("1=", "2="):
        await connect(services.store, id, CALLER)
    with monkeypatch.context() as busy:
        busy.setattr(MemoryConnections, "remove", changed)
        status, _ = await erase(app)
    assert status == (200 if times == 1 else 503)
    assert await services.world.ids_in("connections") == ({"1="} if times == 2 else set())


@pytest.mark.parametrize("call", ["firestore.Commit", "firestore.RunQuery", "pubsub.Publish"])
@pytest.mark.parametrize("number", range(12))
async def test_an_erasure_that_fails_anywhere_is_finished_by_a_repeat(
    app: Client, services: Services, call: str, number: int
) -> None:
    await connect(services.store, "1=", CALLER)
    await begin(services.store, user=CALLER)
    await register(services.store, "T", CALLER)
    await services.world.ring()
    await services.world.ring(CallId("CALL_2"), "ended")
    await committed(services.world, made_event("call:reject", call=CallId("CALL_9")))
    services.faults.fail(call, skip=number)
    assert (await erase(app))[0] in (200, 503)
    services.faults.heal()
    status, _ = await erase(app)
    assert status == 200
    assert await erase(app) == (200, ZEROS)
    assert CALLER not in repr(services.database.calls)
    assert CALLER not in repr(services.database.devices)
    assert CALLER not in repr(services.database.connections)
    assert services.database.polls == {}


async def test_a_call_that_keeps_changing_is_left_to_a_repeat(
    app: Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def changed(*_: object) -> int:
        return 0

    await services.world.ring(status="ended")
    with monkeypatch.context() as broken:
        broken.setattr(MemoryCalls, "pseudonymise", changed)
        assert (await erase(app))[0] == 503
    assert app.costs.count("RunQuery") == 6
    assert await erase(app) == (200, {**ZEROS, "calls": 1})


async def test_an_erasure_that_takes_too_long_is_left_to_a_repeat(
    app: Client, services: Services
) -> None:
    for number in range(5):
        await services.world.ring(CallId(f"CALL_{number}"), "accepted")
    for call in ("RunQuery", "BatchGetDocuments"):
        services.faults.arm(Fault(Kind.DELAY, f"firestore.{call}", seconds=4.5, times=None))
    status, said = await erase(app)
    assert (status, said["outcome"]) == (503, "unavailable")
    ended = [each.call.status for each in services.database.calls.values()]
    assert sorted(ended) == ["accepted", *["ended"] * 4]
    services.faults.heal()
    assert (await erase(app))[0] == 200
    assert CALLER not in repr(services.database.calls)


# Too many requests of an app


async def test_a_user_who_asks_too_often_is_told_to_wait(app: Client, services: Services) -> None:
    await services.world.ring()
    with logged() as lines:
        for _ in range(40):
            assert (await app.ask("GET", f"/v1/calls/{CALL}")).status_code == 200
        refused = [await app.signal(CANCEL), await app.ask("GET", f"/v1/calls/{CALL}")]
    for answer in refused:
        assert (answer.status_code, answer.json()["outcome"]) == (429, "limited")
        assert answer.headers["retry-after"] == "1"
    assert app.costs == []
    line = lines()[-1]
    assert (line["message"], line["outcome"]) == ("too many requests", "limited")
    # It tells users apart, and nobody can find one by trying all ids.
    with logged() as lines:
        for user in (CALLER, RECEIVER):
            while (await app.ask("GET", f"/v1/calls/{CALL}", user)).status_code == 200:
                pass
    again, other = (str(each["userHash"]) for each in lines())
    assert line["userHash"] == again != other
    unsalted = (sha256, blake2b, partial(blake2b, digest_size=8))
    assert again not in {each(CALLER.encode()).hexdigest()[: len(again)] for each in unsalted}
    await asyncio.sleep(10)
    for _ in range(40):
        await app.ask("GET", f"/v1/calls/{CALL}")
    # Nobody else is, nor is the backend.
    assert (await app.ask("GET", f"/v1/calls/{CALL}", RECEIVER)).status_code == 200
    for _ in range(50):
        assert (await app.on_behalf("cancel", quote(CALL))).status_code == 200
    await asyncio.sleep(1)
    assert (await app.ask("GET", f"/v1/calls/{CALL}")).status_code == 200
