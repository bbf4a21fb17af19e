"""The app's own backend on the local stack: what it is told of calls, and what it is to push."""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from functions.settings import webhook_name
from infra.client import https
from infra.client.calls import Calls
from infra.client.phone import JsonPhone, json_phone
from infra.emulators.fcm.errors import FcmError
from infra.emulators.webhooks import WebhookReceiver
from infra.local.stack import WEBHOOK_SECRET, Options, Stack, running
from tests.support.pace import ANY_RATE, BACKOFF, ONE_LOOK, PATIENCE_SECONDS
from tests.support.stacks import Ids, pushes_to


@dataclass(frozen=True)
class Told:
    """A stack, the backend that it tells, and its two URLs."""

    stack: Stack
    backend: WebhookReceiver
    urls: tuple[str, str]


@pytest.fixture(
    scope="module", params=["embedded", pytest.param("signed", marks=pytest.mark.thorough)]
)
async def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Told]:
    async with WebhookReceiver(WEBHOOK_SECRET) as backend:
        urls = (f"{backend.url}/calls", f"{backend.url}/audit?key=a%2Fb")
        options = Options(
            port=0,
            signed=request.param == "signed",
            backoff=BACKOFF,
            webhook_backoff=BACKOFF,
            settings={**ONE_LOOK, **ANY_RATE, "WEBHOOK_URLS": ", ".join(urls)},
            logs=tmp_path_factory.mktemp("logs"),
        )
        async with running(options) as stack:
            yield Told(stack, backend, urls)


async def test_every_url_is_told_of_a_cancel_signed(told: Told, ids: Ids) -> None:
    stack, backend = told.stack, told.backend
    await Calls(stack.firestore, stack.project).ring(ids.call, ids.caller, ids.receiver)
    async with https.client(stack.functions["api"]) as http:
        verdict = await https.App(http, stack.token(ids.caller)).emit(
            "call:cancel", callId=ids.call, reason="changed her mind"
        )
    assert verdict["outcome"] == "cancelled"
    await backend.wait_for("call.cancelled", about=ids.call, patience=PATIENCE_SECONDS)
    assert stack.queue is not None
    await stack.queue.idle()
    taken = backend.about(ids.call)
    assert sorted(each.path for each in taken) == ["/audit", "/calls"]
    first, second = taken
    assert first.id == second.id
    assert first.id == f"{ids.call}:{first.data['signalId']}"
    assert first.content == second.content
    said = first.data
    assert said["expiresAt"] - said["occurredAt"] == 30_000
    assert {name: said[name] for name in ("callId", "callerId", "receiverId", "by")} == {
        "callId": ids.call,
        "callerId": ids.caller,
        "receiverId": ids.receiver,
        "by": ids.caller,
    }
    assert (said["status"], said["previousStatus"]) == ("cancelled", "ringing")
    assert (said["cause"], said["reason"]) == ("caller_cancelled", "changed her mind")


async def test_what_a_backend_does_not_take_comes_again(told: Told, ids: Ids) -> None:
    stack, backend = told.stack, told.backend
    backend.answer(500, 429, 302)
    async with https.client(stack.functions["api"]) as http:
        backends = https.Backend(http, stack.values["API_KEY"])
        verdict = await backends.ring(ids.call, ids.caller, ids.receiver, data={"room": 7})
        assert verdict["outcome"] == "ringing"
        await backends.on_behalf_of(ids.receiver).emit("call:reject", callId=ids.call)
    ringing, rejected = await backend.wait_for(
        "call.ringing", "call.rejected", about=ids.call, patience=PATIENCE_SECONDS
    )
    assert ringing.data["data"] == {"room": 7}
    assert ringing.data["previousStatus"] is None
    assert ringing.data["occurredAt"] < rejected.data["occurredAt"]
    assert rejected.data["by"] == ids.receiver
    assert stack.queue is not None
    await stack.queue.idle()
    assert {each.path for each in backend.about(ids.call)} == {"/audit", "/calls"}


async def test_a_device_that_is_gone_is_told_of_and_forgotten(told: Told, ids: Ids) -> None:
    stack, backend = told.stack, told.backend
    stack.fcm.fail(ids.token, FcmError.UNREGISTERED)
    await Calls(stack.firestore, stack.project).ring(ids.call, ids.caller, ids.receiver)
    async with (
        phone_of(stack, ids.caller) as caller,
        phone_of(stack, ids.receiver) as receiver,
    ):
        await receiver.emit("device:register", token=ids.token, platform="android")
        await caller.emit("call:cancel", callId=ids.call)
    (gone,) = await backend.wait_for("device.gone", about=ids.token, patience=PATIENCE_SECONDS)
    assert (gone.data["userId"], gone.data["token"]) == (ids.receiver, ids.token)
    assert gone.data["platform"] == "android"
    assert gone.data["registeredAt"] <= gone.data["occurredAt"]
    assert stack.queue is not None
    await stack.queue.idle()
    assert {each.id for each in backend.about(ids.token)} == {gone.id}
    logged = (stack.logs / "deliver.log").read_text()
    assert "device.gone" not in logged


async def test_a_delivery_for_a_url_that_was_removed_is_logged_and_comes_again(told: Told) -> None:
    if told.stack.signers:
        pytest.skip("only Pub/Sub may call it")
    async with https.client(told.stack.functions["webhook"]) as http:
        for path in ("/", f"/{webhook_name('https://gone.example')}"):
            assert (await http.post(path, content=b"{}")).status_code == 503
    assert (told.stack.logs / "webhook.log").read_text().count("unknown webhook") >= 2


async def test_the_first_backend_alone_is_asked_to_push_and_nobody_else_does(
    tmp_path: Path, ids: Ids
) -> None:
    secrets = ("whsec_" + b64encode(bytes([number]) * 24).decode() for number in (1, 2))
    current, previous = secrets
    async with WebhookReceiver(previous) as backend:  # which has not heard of the new one yet
        options = Options(
            port=0,
            backoff=BACKOFF,
            webhook_backoff=BACKOFF,
            settings={
                **ONE_LOOK,
                "WEBHOOK_URLS": f"{backend.url}/hook,{backend.url}/audit",
                "WEBHOOK_SECRET": current,
                "WEBHOOK_SECRET_PREVIOUS": previous,
                "PUSH_CANCELLED": "backend",
            },
            logs=tmp_path,
        )
        async with running(options) as stack:
            calls = Calls(stack.firestore, stack.project)
            await calls.ring(ids.call, ids.caller, ids.receiver)
            async with (
                phone_of(stack, ids.caller) as caller,
                phone_of(stack, ids.receiver) as receiver,
            ):
                await receiver.emit("device:register", token=ids.token, platform="android")
                await caller.emit("device:register", token=f"{ids.token}-2", platform="android")
                await caller.emit("call:cancel", callId=ids.call)
                wanted, _ = await backend.wait_for(
                    "push.wanted", "call.cancelled", about=ids.call, patience=PATIENCE_SECONDS
                )
                data = {"type": "call_cancelled", "callId": ids.call, "callerId": ids.caller}
                assert wanted.data["data"] == data
                assert wanted.data["userId"] == ids.receiver
                assert wanted.data["passedOver"] == []
                assert 0 < wanted.data["ttlSeconds"] <= 30
                # What is not handed over is pushed as before, and what was pushed is not asked for.
                await calls.ring(f"{ids.call}-2", ids.caller, ids.receiver)
                await receiver.emit("call:reject", callId=f"{ids.call}-2")
                (push,) = await pushes_to(stack, f"{ids.token}-2")
                assert push["data"]["type"] == "call_rejected"
            assert stack.queue is not None
            await stack.queue.idle()
            assert [message["token"] for message in stack.fcm.messages] == [f"{ids.token}-2"]
            asked = [each.path for each in backend.taken if each.type == "push.wanted"]
            assert asked == ["/hook"]


def phone_of(stack: Stack, user: str) -> AbstractAsyncContextManager[JsonPhone]:
    return json_phone(stack.websocket, stack.token(user))
