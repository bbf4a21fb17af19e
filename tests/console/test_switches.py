"""Each switch: what is broken while it is on, and that nothing is lost."""

import json
import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from infra.client.calls import Calls
from infra.client.phone import JsonPhone
from infra.local.console.switches import NotSwitched, Switches, table
from infra.local.stack import Stack
from tests.console.visitor import Live, Visitor
from tests.support.pace import PATIENCE_SECONDS
from tests.support.pages import rows, section
from tests.support.stacks import Ids, Watched, pushes_to

SLOW_MS = 1500.0
SHORTEST_RING = 5  # seconds


@pytest.fixture
async def ringing(caller: JsonPhone, receiver: JsonPhone, stack: Stack, ids: Ids) -> None:
    """The receiver's phone rings, and has been pushed."""
    await caller.emit("call:initiate", callId=ids.call, receiverId=ids.receiver)
    await receiver.told("call:incoming")
    await pushes_to(stack, ids.token, 1)


async def cancel(caller: JsonPhone, ids: Ids) -> str:
    return str((await caller.emit("call:cancel", callId=ids.call))["outcome"])


async def met(live: Live, name: str) -> dict[str, Any]:
    """Waits until a switch has met a call, and the span of that call says so; gives the span."""
    await live.until("fault", lambda each: each["name"] == name and each["met"] > 0)
    broken: dict[str, Any] = await live.until("span", lambda each: each["fault"] == name)
    return broken


async def swept(asking: Visitor, live: Live) -> None:
    """Has sweep look, and waits until it has."""
    live.heard.clear()
    answer = await asking.http.post("/api/sweep", json={})
    assert answer.status_code == httpx.codes.ACCEPTED
    await live.until("span", lambda each: each["call"] == "job.sweep" and each["ms"])


async def test_every_switch_is_listed_and_off(asking: Visitor, stack: Stack) -> None:
    about = await asking.get("/api/stack")
    assert [each["name"] for each in about["faults"]] == [each.name for each in table([])]
    assert {(each["on"], each["available"]) for each in about["faults"]} == {(False, True)}
    assert about["limits"] is None
    assert about["websocket"] == stack.websocket
    assert about["socketio"] == stack.socketio
    assert about["collections"]["outbox"] == "unring_outbox"


def test_the_documentation_lists_them() -> None:
    listed = [names for names, _ in rows(section("docs/local.md", "The console"))]
    named = re.findall(r"`([\w-]+)`", " ".join(listed))
    assert named == [each.name for each in table([])]


@pytest.mark.usefixtures("ringing")
async def test_while_firestore_is_slow_a_cancel_takes_its_time(
    asking: Visitor, caller: JsonPhone, receiver: JsonPhone, ids: Ids
) -> None:
    async with asking.listening() as live, asking.broken("firestore-slow"):
        assert await cancel(caller, ids) == "cancelled"
        slow = await met(live, "firestore-slow")
        await receiver.told("call:cancelled")
    assert slow["call"] == "firestore.Commit"
    assert slow["ms"] >= SLOW_MS  # which it waits before it is done


@pytest.mark.usefixtures("ringing")
async def test_while_firestore_is_down_a_cancel_is_refused_and_works_when_sent_again(
    asking: Visitor, caller: JsonPhone, receiver: JsonPhone, ids: Ids
) -> None:
    async with asking.listening() as live, asking.broken("firestore-down"):
        assert await cancel(caller, ids) == "unavailable"
        await met(live, "firestore-down")
    assert await cancel(caller, ids) == "cancelled"
    await receiver.told("call:cancelled")


@pytest.mark.usefixtures("ringing")
async def test_while_publishing_fails_nobody_is_pushed_until_sweep_looks(
    asking: Visitor, caller: JsonPhone, receiver: JsonPhone, stack: Stack, calls: Calls, ids: Ids
) -> None:
    async with asking.listening() as live, asking.broken("publish-fails"):
        await cancel(caller, ids)
        await met(live, "publish-fails")
        await receiver.told("call:cancelled")
    assert not await calls.is_delivered(ids.call)
    async with asking.listening() as live:
        while not await calls.is_delivered(ids.call):
            await swept(asking, live)
    pushed = await pushes_to(stack, ids.token, 2)
    assert pushed[1]["data"]["type"] == "call_cancelled"
    trace = (await asking.trace(ids.call, "call:cancel"))["id"]
    async with asking.listening() as live:
        await live.until(
            "span",
            lambda each: (
                (each["trace"], each["function"], each["call"], each["outcome"])
                == (trace, "sweep", "pubsub.Publish", "ok")
            ),
        )


async def test_while_tasks_fail_a_ring_that_nobody_ends_is_ended_by_sweep(
    asking: Visitor, caller: JsonPhone, receiver: JsonPhone, ids: Ids
) -> None:
    async with asking.listening() as live, asking.broken("tasks-fail"):
        said = {"callId": ids.call, "receiverId": ids.receiver, "ringSeconds": SHORTEST_RING}
        await caller.emit("call:initiate", **said)
        assert (await met(live, "tasks-fail"))["call"] == "cloudtasks.CreateTask"
        while not caller.untold():
            await swept(asking, live)  # it waits some seconds for a task that is late
        assert (await caller.told("call:timeout"))["callId"] == ids.call
        await receiver.told("call:cancelled")


@pytest.mark.usefixtures("ringing")
@pytest.mark.parametrize(
    "name", ["deliveries-fail", "fcm-down", "push-killed", "webhooks-fail", "socket-posts-fail"]
)
async def test_what_could_not_be_told_is_told_once_the_switch_is_off(
    asking: Visitor, caller: JsonPhone, receiver: JsonPhone, stack: Stack, ids: Ids, name: str
) -> None:
    async with asking.listening() as live, asking.broken(name):
        assert await cancel(caller, ids) == "cancelled"
        assert (await met(live, name))["outcome"] == "failed"
    await receiver.told("call:cancelled")
    assert (await pushes_to(stack, ids.token, 2))[1]["data"]["type"] == "call_cancelled"
    assert stack.backend is not None
    await stack.backend.wait_for("call.cancelled", about=f'"{ids.call}"', patience=60)


@pytest.mark.usefixtures("ringing")
async def test_what_fcm_refuses_is_refused_for_that_device_alone(
    asking: Visitor, caller: JsonPhone, stack: Stack, ids: Ids
) -> None:
    async with (
        asking.listening() as live,
        asking.broken("fcm-refuses", device=ids.token) as switched,
    ):
        assert switched["on"]
        await cancel(caller, ids)
        await met(live, "fcm-refuses")
        assert stack.backend is not None
        await stack.backend.wait_for("device.gone", about=ids.token, patience=PATIENCE_SECONDS)
    assert len(await pushes_to(stack, ids.token, 1)) == 1
    answer = await asking.http.post("/api/faults/fcm-refuses", json={"on": True})
    assert answer.status_code == httpx.codes.BAD_REQUEST


@pytest.mark.usefixtures("ringing")
async def test_while_gateway_is_killed_no_frame_is_answered_and_then_it_is_there_again(
    asking: Visitor, caller: JsonPhone, receiver: JsonPhone, stack: Stack, ids: Ids
) -> None:
    async with asking.listening() as live, asking.broken("gateway-killed"):
        await caller.socket.send(json.dumps({"event": "call:cancel", "data": {"callId": ids.call}}))
        _, _, refused = await caller.next_event()
        assert refused["message"] == "Internal server error"
        await met(live, "gateway-killed")
        assert not stack.processes["gateway"].is_running
    assert await cancel(caller, ids) == "cancelled"
    await receiver.told("call:cancelled")


@pytest.mark.usefixtures("ringing")
async def test_while_deliver_is_killed_open_sockets_are_told_and_the_entry_waits(
    asking: Visitor, caller: JsonPhone, receiver: JsonPhone, calls: Calls, ids: Ids
) -> None:
    async with asking.listening() as live, asking.broken("deliver-killed"):
        await cancel(caller, ids)
        await receiver.told("call:cancelled")
        await met(live, "deliver-killed")
        assert not await calls.is_delivered(ids.call)
    await calls.until_delivered(ids.call)


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("no-such", {"on": True}, 404),
        ("firestore-down", {}, 400),
        ("firestore-down", {"on": "yes"}, 400),
        ("fcm-refuses", {"on": True, "device": 7}, 400),
        ("fcm-refuses", {"on": True, "device": ""}, 400),
    ],
)
async def test_what_is_no_switch_switches_nothing(
    asking: Visitor, name: str, body: dict[str, object], status: int
) -> None:
    answer = await asking.http.post(f"/api/faults/{name}", json=body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    about = await asking.get("/api/stack")
    assert not [each for each in about["faults"] if each["on"]]


async def test_a_device_of_half_a_surrogate_pair_can_be_shown(asking: Visitor) -> None:
    said = r'{"on": true, "device": "\ud800"}'
    headers = {"Content-Type": "application/json"}
    answer = await asking.http.post("/api/faults/fcm-refuses", content=said, headers=headers)
    await asking.switch("fcm-refuses", on=False)
    assert answer.json()["devices"] == ["?"]


async def test_what_nobody_here_can_break_says_why(stack: Stack) -> None:
    googles = Switches(replace(stack, queue=None, backend=None), lambda *_: None)
    shown = {each["name"]: each for each in googles.all()}
    unavailable = {name for name, each in shown.items() if not each["available"]}
    broken = {"firestore-slow", "firestore-down", "publish-fails", "deliveries-fail"}
    assert unavailable == broken | {"webhooks-fail"}
    assert "Google" in shown["publish-fails"]["says"]
    assert "WEBHOOK_URLS" in shown["webhooks-fail"]["says"]
    for name in unavailable:
        with pytest.raises(NotSwitched, match=re.escape(shown[name]["says"])):
            await googles.switch(name, on=True)


async def test_switched_twice_it_is_on_once(asking: Visitor, watched: Watched) -> None:
    for _ in range(2):
        assert (await asking.switch("publish-fails", on=True))["on"]
    for _ in range(2):
        assert not (await asking.switch("publish-fails", on=False))["on"]
    assert not (await asking.switch("push-killed", on=False))["on"]
    assert watched.stack.processes["push"].is_running
