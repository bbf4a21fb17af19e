"""The console of a running stack: what it tells of a call, and of what it breaks."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from google.cloud.firestore import AsyncClient

from infra.client.https import App, Backend
from infra.client.phone import JsonPhone, json_phone, socketio_phone
from infra.local.stack import Stack
from tests.console.visitor import Live, Visitor
from tests.support.stacks import Ids


@pytest.fixture
async def live(asking: Visitor) -> AsyncIterator[Live]:
    async with asking.listening() as made:
        await made.until("fault")
        yield made


@pytest.fixture
async def caller(asking: Visitor, stack: Stack, ids: Ids) -> AsyncIterator[JsonPhone]:
    """He comes in by a token of the console's."""
    token = (await asking.http.post("/api/tokens", json={"user": ids.caller})).json()["token"]
    async with json_phone(stack.websocket, token) as phone:
        yield phone


async def rung(caller: JsonPhone, ids: Ids) -> None:
    verdict = await caller.emit("call:initiate", callId=ids.call, receiverId=ids.receiver)
    assert verdict["outcome"] == "ringing"


def of(ids: Ids, type: str) -> Callable[[Any], bool]:
    """Whether a push is of this type, and about the call."""
    return lambda said: said["type"] == type and said["data"]["callId"] == ids.call


def ended(trace: str, call: str) -> Callable[[Any], bool]:
    """Whether a span is one of this call, of that trace, and over."""
    return lambda span: (
        span["trace"] == trace and span["call"] == call and span["outcome"] != "running"
    )


def calls_of(trace: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each["function"], each["call"].partition("-")[0]) for each in trace["spans"]}


async def cancelled(live: Live, caller: JsonPhone, ids: Ids) -> str:
    """The trace of a cancel."""
    verdict = await caller.emit("call:cancel", callId=ids.call)
    assert verdict["outcome"] == "cancelled"
    trace = await live.until(
        "trace",
        lambda each: (
            (each["call"], each["event"], each["outcome"]) == (ids.call, "call:cancel", "cancelled")
        ),
    )
    return str(trace["id"])


async def test_a_cancel_is_traced_from_the_frame_to_the_last_delivery(
    asking: Visitor, live: Live, caller: JsonPhone, receiver: JsonPhone, ids: Ids
) -> None:
    await rung(caller, ids)
    await receiver.told("call:incoming")
    id = await cancelled(live, caller, ids)
    await receiver.told("call:cancelled")
    for call in ("delivery.deliver", "delivery.push", "webhook.POST"):
        await live.until("span", ended(id, call))
    trace = await asking.get(f"/api/traces/{id}")
    assert trace["users"] == [ids.caller, ids.receiver]
    assert calls_of(trace) >= {
        ("gateway", "integration.$default"),
        ("gateway", "firestore.BatchGetDocuments"),
        ("gateway", "firestore.Commit"),
        ("gateway", "firestore.RunQuery"),
        ("gateway", "connections.POST"),
        ("gateway", "pubsub.Publish"),
        ("deliver", "delivery.deliver"),
        ("deliver", "firestore.Commit"),
        ("push", "delivery.push"),
        ("push", "firestore.RunQuery"),
        ("push", "fcm.send"),
        ("webhook", "delivery.webhook"),
        ("webhook", "webhook.POST"),
    }
    assert all(each["outcome"] == "ok" for each in trace["spans"] if each["function"] == "gateway")


async def test_a_span_shows_request_response_and_log_and_no_token(
    asking: Visitor, live: Live, caller: JsonPhone, receiver: JsonPhone, ids: Ids
) -> None:
    await rung(caller, ids)
    id = await cancelled(live, caller, ids)
    sent = await live.until("span", ended(id, "fcm.send"))
    trace = await asking.get(f"/api/traces/{id}")
    frame = await asking.get(f"/api/spans/{trace['spans'][0]['id']}")
    assert ids.call in frame["request"]
    assert json.loads(frame["response"])["data"]["outcome"] == "cancelled"
    (told,) = (each["line"] for each in frame["logs"] if each["line"]["message"] == "told")
    assert (told["callId"], told["outcome"]) == (ids.call, "cancelled")
    commit = next(each for each in trace["spans"] if each["call"] == "firestore.Commit")
    assert (await asking.get(f"/api/spans/{commit['id']}"))["logs"] == frame["logs"]
    push = await asking.get(f"/api/spans/{sent['id']}")
    assert ids.call in push["request"]
    assert ids.token not in push["request"]


async def test_a_trace_is_found_by_call_and_user_and_copied_as_text(
    asking: Visitor, live: Live, caller: JsonPhone, ids: Ids
) -> None:
    await rung(caller, ids)
    id = await cancelled(live, caller, ids)
    for about in (ids.call, ids.caller):
        assert (await asking.trace(about, "call:cancel"))["id"] == id
    assert (await asking.get("/api/traces?about=nobody"))["traces"] == []
    answer = await asking.http.get(f"/api/traces/{id}/text")
    assert answer.headers["content-type"].startswith("text/plain")
    first, _, head, *rows = answer.text.splitlines()
    assert ids.call in first
    assert head.split() == ["start", "ms", "ms", "function", "call", "outcome"]
    assert rows[0].split()[2:] == ["gateway", "integration.$default", "ok", "200"]


async def test_pushes_and_documents_are_told_as_they_come(
    asking: Visitor,
    live: Live,
    caller: JsonPhone,
    receiver: JsonPhone,
    ids: Ids,
    documents: AsyncClient,
) -> None:
    await rung(caller, ids)
    push = await live.until("push", of(ids, "incoming_call"))
    assert push["device"] == ids.token
    call = await live.until("document", lambda each: each["id"] == ids.call)
    assert (call["collection"], call["fields"]["status"]) == ("calls", "ringing")
    await live.until(
        "document",
        lambda each: each["collection"] == "outbox" and each["id"].startswith(f"{ids.call}:"),
    )
    await documents.collection("calls").document(ids.call).delete()
    gone = await live.until(
        "document", lambda each: each["id"] == ids.call and each["fields"] is None
    )
    assert gone["collection"] == "calls"
    async with asking.listening() as later:
        await later.until("fault")  # they come last
        assert later.heard[0] == ("begin", {})
        told = {event for event, _ in (*live.heard, *later.heard)}
        assert told == {"begin", "trace", "span", "push", "document", "fault"}
        assert push in later.all("push")
        assert ids.call not in [each["id"] for each in later.all("document")]
        assert any(each["call"] == ids.call for each in later.all("trace"))


async def test_a_socketio_client_is_traced_too(
    live: Live, caller: JsonPhone, stack: Stack, ids: Ids
) -> None:
    await rung(caller, ids)
    async with socketio_phone(stack.websocket, stack.token(ids.receiver)) as phone:
        verdict = await phone.emit("call:reject", callId=ids.call)
    assert verdict["outcome"] == "rejected"
    await live.until(
        "trace", lambda each: each["call"] == ids.call and each["event"] == "call:reject"
    )


@pytest.mark.parametrize("has_bar", [True, False], ids=["by the front", "straight to api"])
async def test_requests_are_traced_and_what_api_asks_for_if_nobody_saw_the_request(
    asking: Visitor, live: Live, stack: Stack, ids: Ids, has_bar: bool
) -> None:
    url = stack.socketio if has_bar else stack.functions["api"]
    async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
        backend = Backend(http, stack.values["API_KEY"])
        assert (await backend.ring(ids.call, ids.caller, ids.receiver))["ok"]
        verdict = await App(http, stack.token(ids.caller)).emit("call:cancel", callId=ids.call)
        assert verdict["outcome"] == "cancelled"

    def is_its_delivery(span: Any) -> bool:
        about = {each["id"] for each in live.all("trace") if each["call"] == ids.call}
        return span["trace"] in about and ended(span["trace"], "delivery.deliver")(span)

    delivery = await live.until("span", is_its_delivery)
    trace = await asking.get(f"/api/traces/{delivery['trace']}")
    assert trace["root"] == "request"
    spans = {(each["function"], each["label"]) for each in trace["spans"]}
    assert ("api", "publish") in spans
    assert (("api", "request") in spans) is has_bar
