"""One delivery of Cloud Tasks: what is done with, what comes again."""

import pytest
from starlette.requests import Request

from functions.attempt import NotDelivered
from functions.calls.call import CallId, SignalId
from functions.inbound.tasks import receive
from functions.ports.publisher import PublishFailed
from functions.ports.scheduler import NotScheduled
from functions.ports.store import StoreUnavailable
from functions.scheduled import RingEnds, Scheduled, encode
from functions.telemetry import traceparent
from tests.support.loglines import logged

TASK = RingEnds(call_id=CallId("CALL_1"), signal_id=SignalId("s"), rings_until_ms=1_000)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def request(body: bytes, **headers: str) -> Request:
    async def body_of() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    raw = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in headers.items()
    ]
    return Request({"type": "http", "method": "POST", "headers": raw}, body_of)


async def status(body: bytes, *raised: Exception, **headers: str) -> tuple[int, list[Scheduled]]:
    handled: list[Scheduled] = []

    async def handle(task: Scheduled) -> None:
        handled.append(task)
        for error in raised:
            raise error

    return (await receive(request(body, **headers), "unring-test", handle)).status_code, handled


async def test_what_was_handled_is_done_with() -> None:
    assert await status(encode(TASK)) == (204, [TASK])


@pytest.mark.parametrize(
    "error",
    [
        NotDelivered("x"),
        NotScheduled("x"),
        PublishFailed("x"),
        StoreUnavailable("x"),
        RuntimeError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_failed_comes_again(error: Exception) -> None:
    with logged() as lines:
        assert await status(encode(TASK), error) == (500, [TASK])
    (line,) = lines()
    is_expected = not isinstance(error, RuntimeError)
    assert line["message"] == ("will be retried" if is_expected else "delivery failed")
    assert ("exception" in line) is not is_expected  # of a fault of ours, with its traceback


async def test_a_delivery_that_is_cut_off_is_not_handled_and_comes_again() -> None:
    async def cut_off() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def handle(task: Scheduled) -> None:
        raise AssertionError

    cut = Request({"type": "http", "method": "POST", "headers": []}, cut_off)
    assert (await receive(cut, "unring-test", handle)).status_code == 500


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'{"name": "ring.ends"}', b"[" * 100_000, b"\xff"],
    ids=lambda body: str(body[:40]),
)
async def test_what_nobody_can_read_is_done_with_and_not_handled(body: bytes) -> None:
    assert await status(body) == (204, [])


async def test_the_trace_of_who_scheduled_it_goes_on() -> None:
    seen: list[str | None] = []

    async def handle(_: Scheduled) -> None:
        seen.append(traceparent())

    await receive(request(encode(TASK), traceparent=TRACEPARENT), "unring-test", handle)
    assert seen == [TRACEPARENT]


@pytest.mark.parametrize(
    ("retries", "attempt"),
    [("0", 1), ("4", 5), (None, None), ("", None), ("-1", None), ("1²", None)],
)
async def test_the_log_says_which_attempt_it_is(retries: str | None, attempt: int | None) -> None:
    headers = {} if retries is None else {"x_cloudtasks_taskretrycount": retries}
    with logged() as lines:
        await status(encode(TASK), NotDelivered("x"), **headers)
    (line,) = lines()
    assert line.get("deliveryAttempt") == attempt
    assert (line["event"], line["callId"], line["signalId"]) == ("ring.ends", "CALL_1", "s")
