"""One delivery of Pub/Sub's: what is acknowledged, what comes again."""

import base64
import json

import pytest
from starlette.requests import Request

from functions.calls import event as events
from functions.calls.event import CallEvent
from functions.delivery import NotDelivered, receive
from functions.services.firestore import StoreUnavailable
from tests.support.makers import event


def request(body: bytes) -> Request:
    async def body_of() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "headers": []}, body_of)


def envelope(made: CallEvent) -> bytes:
    data = base64.b64encode(events.encode(made)).decode()
    return json.dumps({"message": {"messageId": "1", "data": data}, "deliveryAttempt": 2}).encode()


async def status(body: bytes, *raised: Exception) -> tuple[int, list[CallEvent]]:
    handled: list[CallEvent] = []

    async def handle(made: CallEvent) -> None:
        handled.append(made)
        for error in raised:
            raise error

    return (await receive(request(body), "unring-test", handle)).status_code, handled


async def test_what_was_handled_is_acknowledged() -> None:
    made = event(served=("1=",))
    assert await status(envelope(made)) == (204, [made])


@pytest.mark.parametrize(
    "error", [NotDelivered("x"), StoreUnavailable("x"), RuntimeError("x"), ValueError("x")]
)
async def test_what_failed_comes_again(error: Exception) -> None:
    assert (await status(envelope(event()), error))[0] == 503


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"message": 7}',
        b'{"message": {"messageId": "1", "data": "***"}}',
        '{"message": {"messageId": "1", "data": "é"}}'.encode(),
        b'{"message": {"messageId": "1", "data": "e30="}}',
        b'{"message": {"messageId": "1", "attributes": {"type": "call:cancelled"}}}',
        b"[" * 100_000,
        b"\xff",
    ],
    ids=lambda body: str(body[:30]),
)
async def test_what_nobody_can_read_is_acknowledged_and_not_handled(body: bytes) -> None:
    assert await status(body) == (204, [])
