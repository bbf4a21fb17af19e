"""One delivery of Pub/Sub's: what is acknowledged, what comes again."""

import base64
from datetime import timedelta

import pytest
from starlette.requests import Request

from functions.attempt import Attempt, MessageId, NotDelivered
from functions.calls.call import ConnectionId
from functions.inbound.pubsub import receive
from functions.ports.store import StoreUnavailable
from functions.published import ConnectionAccepted, Published
from tests.support.asgi import envelope
from tests.support.makers import event, now

OPENED = ConnectionAccepted(connection_id=ConnectionId("1="), connected_at=now(), expires_at=now())


def request(body: bytes) -> Request:
    async def body_of() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "headers": []}, body_of)


async def status(body: bytes, *raised: Exception) -> tuple[int, list[Published]]:
    handled: list[Published] = []

    async def handle(made: Published, delivery: Attempt) -> None:
        assert delivery == Attempt(MessageId("1"), number=2)
        handled.append(made)
        for error in raised:
            raise error

    return (await receive(request(body), "unring-test", handle)).status_code, handled


@pytest.mark.parametrize("made", [event(served=("1=",)), OPENED], ids=["call", "connection"])
async def test_what_was_handled_is_acknowledged(made: Published) -> None:
    assert await status(envelope(made, attempt=2)) == (204, [made])


@pytest.mark.parametrize(
    "error", [NotDelivered("x"), StoreUnavailable("x"), RuntimeError("x"), ValueError("x")]
)
@pytest.mark.parametrize("made", [event(), OPENED], ids=["call", "connection"])
async def test_what_failed_comes_again(error: Exception, made: Published) -> None:
    assert (await status(envelope(made, attempt=2), error))[0] == 503


async def test_a_delivery_that_is_cut_off_is_not_handled_and_comes_again() -> None:
    async def cut_off() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def handle(made: Published, delivery: Attempt) -> None:
        raise AssertionError

    cut = Request({"type": "http", "method": "POST", "headers": []}, cut_off)
    assert (await receive(cut, "unring-test", handle)).status_code == 503


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
        b'{"message": {"messageId": "1", "data": "%s"}}'
        % base64.b64encode(b'{"name": "connection.accepted"}'),
        b'{"message": {"messageId": "1", "attributes": {"type": "call:cancelled"}}}',
        b"[" * 100_000,
        b"\xff",
    ],
    ids=lambda body: str(body[:60]),
)
async def test_what_nobody_can_read_is_acknowledged_and_not_handled(body: bytes) -> None:
    assert await status(body) == (204, [])


@pytest.mark.parametrize(
    ("attempt", "seconds", "served", "is_late"),
    [
        (1, 0, (), False),
        (1, 1.5, ("1=",), False),
        (1, 2.5, (), True),
        (2, 0, (), True),
        (1, 0, None, True),  # a copy
        (None, 0, (), True),  # where nobody counts, it may be a retry
    ],
)
def test_what_is_no_first_delivery_made_at_once_is_late(
    attempt: int | None, seconds: float, served: tuple[str, ...] | None, is_late: bool
) -> None:
    made = event(served=served)
    delivery = Attempt(MessageId("1"), attempt)
    assert delivery.is_late(made, made.decided_at + timedelta(seconds=seconds)) == is_late
