"""The functions' logs: one JSON line per event, with what is needed and nothing of the clients'."""

import json
from pathlib import Path

import httpx
import pytest

from infra.client.calls import Calls
from infra.client.phone import phone
from infra.emulators.auth.tokens import unsigned_token
from infra.local.stack import Options, running
from tests.e2e.socketio_support import is_delivered
from tests.support.pace import ONE_LOOK

Logs = dict[str, list[dict[str, object]]]

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
async def logs(tmp_path_factory: pytest.TempPathFactory) -> Logs:
    """What each function logs of a cancel, one who comes late to it, a refused handshake and some
    garbage."""
    folder: Path = tmp_path_factory.mktemp("logs")
    async with running(Options(port=0, settings=ONE_LOOK, logs=folder)) as stack:
        calls = Calls(stack.firestore, stack.project)
        await calls.ring("CALL_1", "USR_1", "USR_2")
        async with (
            phone(stack.websocket, "USR_1", stack.project) as caller,
            phone(stack.websocket, "USR_2", stack.project) as receiver,
        ):
            await receiver.emit("device:register", token="SECRET-TOKEN", platform="android")
            assert stack.queue
            await stack.queue.idle()  # both have been caught up with, as there was nothing
            await caller.emit("call:cancel", callId="CALL_1", reason="SECRET-REASON")
            await receiver.told("call:cancelled")
            await stack.fcm.wait_for(1)
            await caller.socket.send('{"SECRET-FRAME": 1}')
            await caller.told("ack")
        await is_delivered(calls, "CALL_1")
        async with phone(stack.websocket, "USR_2", stack.project) as late:
            await late.told("call:cancelled")
        async with httpx.AsyncClient() as http:
            headers = {"unring-secret": "SECRET-SECRET-SECRET", "traceparent": TRACEPARENT}
            await http.post(stack.functions["gateway"], headers=headers)
            await http.post(stack.functions["sweep"], headers={"traceparent": TRACEPARENT})
            await http.post(stack.functions["push"], content=b'{"SECRET-ENVELOPE": 1}')
    return {
        name: [json.loads(line) for line in (folder / f"{name}.log").read_text().splitlines()]
        for name in ("gateway", "deliver", "push", "sweep")
    }


def lines(logs: Logs, function: str, message: str) -> list[dict[str, object]]:
    return [line for line in logs[function] if line["message"] == message]


def test_every_line_is_a_json_object_with_severity(
    logs: Logs,
) -> None:
    for function_lines in logs.values():
        assert function_lines
        assert all(line["severity"] in {"INFO", "WARNING", "ERROR"} for line in function_lines)


def test_a_signal_is_logged_with_its_ids_outcome_and_latency(
    logs: Logs,
) -> None:
    (told,) = lines(logs, "gateway", "told")
    assert (told["served"], told["unserved"]) == (1, 0)
    (verdict,) = [
        line for line in lines(logs, "gateway", "verdict") if line["request"] == "call:cancel"
    ]
    for line in (told, verdict):
        assert (line["callId"], line["outcome"]) == ("CALL_1", "cancelled")
        assert line["connectionId"]
        assert isinstance(line["latencyMs"], int)
        assert 0 <= line["latencyMs"] < 60_000


def test_the_signals_id_ties_all_functions_together(
    logs: Logs,
) -> None:
    (told,) = lines(logs, "gateway", "told")
    (delivered,) = lines(logs, "deliver", "delivered")
    (pushed,) = lines(logs, "push", "pushed")
    assert told["signalId"] == delivered["signalId"] == pushed["signalId"]
    assert [line["cause"] for line in (told, delivered, pushed)] == ["caller_cancelled"] * 3
    assert pushed["sent"] == 1


def test_who_is_caught_up_is_logged_with_his_connection(
    logs: Logs,
) -> None:
    *others, caught_up = lines(logs, "deliver", "caught up")
    assert [other["served"] for other in others] == [0, 0]  # who were there before the cancel
    assert (caught_up["event"], caught_up["served"], caught_up["unreached"]) == (
        "connection.admitted",
        1,
        0,
    )
    connected = [
        line["connectionId"]
        for line in lines(logs, "gateway", "connect")
        if line["outcome"] == "connected"
    ]
    assert caught_up["connectionId"] == connected[-1]


def test_a_request_with_a_trace_is_logged_with_it(
    logs: Logs,
) -> None:
    (swept,) = lines(logs, "sweep", "swept")
    (refused,) = lines(logs, "gateway", "wrong gateway secret")
    trace = "projects/unring-local/traces/0af7651916cd43dd8448eb211c80319c"
    for line in (swept, refused):
        assert line["logging.googleapis.com/trace"] == trace


def test_a_malformed_delivery_is_logged(logs: Logs) -> None:
    (malformed,) = lines(logs, "push", "malformed delivery")
    assert malformed["severity"] == "ERROR"


def test_no_token_no_reason_and_no_frame_is_ever_logged(
    logs: Logs,
) -> None:
    everything = json.dumps(logs)
    assert "SECRET" not in everything
    for user in ("USR_1", "USR_2"):
        claims = unsigned_token(user, "unring-local").split(".")[0]
        assert claims not in everything
