"""The logs as Cloud Logging reads them."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import client_logging

from functions import telemetry
from tests.support.loglines import Lines, logged

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

log = telemetry.Log("functions.test")


@pytest.fixture
def lines() -> Iterator[Lines]:
    with logged() as said:
        yield said


def test_an_event_is_one_json_line_with_its_fields(lines: Lines) -> None:
    log.info("told", callId="CALL_1", latencyMs=41, absent=None)
    (line,) = lines()
    assert line["severity"] == "INFO"
    assert line["message"] == "told"
    assert (line["callId"], line["latencyMs"]) == ("CALL_1", 41)
    assert "absent" not in line


def test_what_is_logged_within_a_request_carries_its_trace(lines: Lines) -> None:
    with telemetry.request("unring", TRACEPARENT, connectionId="c="):
        log.warning("inside")
    log.info("outside")
    first, second = lines()
    trace = "projects/unring/traces/0af7651916cd43dd8448eb211c80319c"
    assert first["logging.googleapis.com/trace"] == trace
    assert first["connectionId"] == "c="
    assert "logging.googleapis.com/trace" not in second


def test_an_exception_is_one_line_too(lines: Lines) -> None:
    try:
        1 / 0  # noqa: B018 - for the error
    except ZeroDivisionError:
        log.exception("failed")
    (line,) = lines()
    assert line["severity"] == "ERROR"
    assert "ZeroDivisionError" in str(line["exception"])


def test_a_library_that_warns_is_heard_in_the_same_form(lines: Lines) -> None:
    # As each of Google's clients does.
    client_logging.initialize_logging()  # type: ignore[no-untyped-call]  # it has no types
    logging.getLogger("google").warning("slow %s", "day")
    logging.getLogger("google").info("chatter")
    (line,) = lines()
    assert (line["message"], line["logger"]) == ("slow day", "google")


def test_the_trace_is_handed_on() -> None:
    with telemetry.request("unring", TRACEPARENT):
        assert telemetry.traceparent() == TRACEPARENT
    assert telemetry.traceparent() is None


def test_a_malformed_trace_is_not_handed_on() -> None:
    with telemetry.request("unring", "00-nonsense\r\nX: y-01"):
        assert telemetry.traceparent() is None


def test_latency_is_whole_milliseconds_or_not_known() -> None:
    now = datetime.now(UTC)
    assert telemetry.latency_ms(now - timedelta(milliseconds=41.4), now) == 41
    assert telemetry.latency_ms(None, now) is None
