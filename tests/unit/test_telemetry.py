"""The logs as Cloud Logging reads them."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from functions import telemetry

ROOT = Path(__file__).resolve().parents[2]
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def lines_of(program: str) -> list[dict[str, object]]:
    """What `program` logs in a process of its own, whose logging is ours to configure."""
    prelude = "from functions import telemetry; telemetry.configure()\n"
    prelude += "log = telemetry.Log('functions.test')\n"
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-c", prelude + program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_an_event_is_one_json_line_with_its_fields() -> None:
    (line,) = lines_of("log.info('told', callId='CALL_1', latencyMs=41, absent=None)")
    assert line["severity"] == "INFO"
    assert line["message"] == "told"
    assert (line["callId"], line["latencyMs"]) == ("CALL_1", 41)
    assert "absent" not in line


def test_what_is_logged_within_a_request_carries_its_trace() -> None:
    first, second = lines_of(
        f"with telemetry.request('unring', '{TRACEPARENT}', connectionId='c='):\n"
        "    log.warning('inside')\n"
        "log.info('outside')"
    )
    trace = "projects/unring/traces/0af7651916cd43dd8448eb211c80319c"
    assert first["logging.googleapis.com/trace"] == trace
    assert first["connectionId"] == "c="
    assert "logging.googleapis.com/trace" not in second


def test_an_exception_is_one_line_too() -> None:
    (line,) = lines_of("try:\n    1/0\nexcept ZeroDivisionError:\n    log.exception('failed')")
    assert line["severity"] == "ERROR"
    assert "ZeroDivisionError" in str(line["exception"])


def test_a_library_that_warns_is_heard_in_the_same_form() -> None:
    (line,) = lines_of(
        "import logging; logging.getLogger('google').warning('slow %s', 'day');"
        "logging.getLogger('google').info('chatter')"
    )
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
