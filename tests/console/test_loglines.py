"""Which lines of a function's log are about a call."""

import json
from datetime import UTC, datetime
from pathlib import Path

from infra.local.console.loglines import lines_about


def line(at: float, **fields: object) -> str:
    return json.dumps({"time": datetime.fromtimestamp(at, UTC).isoformat(), **fields})


def test_they_name_it_and_are_of_its_time(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    lines = [
        line(1.0, callId="CALL_1", message="before"),
        line(2.0, callId="CALL_1", message="told", token="a-token-that-nobody-may-read"),
        line(2.1, callId="CALL_12", message="another"),
        "what a library prints of CALL_1",
        '{"time": 7, "callId": "CALL_1"}',
        line(2.2, callId="CALL_1", message="verdict"),
        line(4.0, callId="CALL_1", message="after"),
        line(2.3, callId="CALL_1")[:-5],
    ]
    log.write_text("\n".join(lines))
    found = lines_about(log, ["CALL_1"], 1.5, 3.0)
    assert [each["message"] for each in found] == ["told", "verdict"]
    assert found[0]["token"] == "a-toke…"
    running = lines_about(log, ["CALL_1"], 1.5, None)
    assert [each["message"] for each in running] == ["told", "verdict", "after"]


def test_half_of_a_surrogate_pair_is_replaced(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    log.write_text(line(2.0, callId="CALL_1", message="\ud800"))
    (found,) = lines_about(log, ["CALL_1"], 1.0, None)
    assert found["message"] == "?"


def test_of_a_function_that_is_not_known_there_are_none(tmp_path: Path) -> None:
    assert lines_about(tmp_path / "unknown.log", ["CALL_1"], 0.0, None) == []
