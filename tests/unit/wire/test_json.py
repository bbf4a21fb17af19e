"""The JSON wire: what frames mean, what is wrong with those that mean nothing, what goes out."""

import json as plain
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.calls.call import Call, CallId, SignalId, Status, UserId
from functions.calls.decision import NOT_FOUND, Verdict, invalid
from functions.calls.event import CallEvent
from functions.calls.transitions import Signal, transitions_of
from functions.clients.device import FcmToken, InstallationId, Platform
from functions.wire.frames import Malformed, RegisterDevice, RequestFrame, UnregisterDevice
from functions.wire.json import JsonCodec

json = JsonCodec()


def frame(event: object = "call:cancel", **data: object) -> bytes:
    return plain.dumps({"event": event, "data": data}).encode()


def signal_in(text: bytes) -> Signal:
    decoded = json.decode(text)
    assert isinstance(decoded, RequestFrame)
    assert isinstance(decoded.request, Signal)
    return decoded.request


def test_the_frame_of_the_request_is_read() -> None:
    read = json.decode(
        b'{"event":"call:cancel","data":{"callId":"CALL_17637599232099",'
        b'"reason":"Caller ended call"},"id":7}'
    )
    call_id = CallId("CALL_17637599232099")
    assert read == RequestFrame(Signal("call:cancel", call_id, "Caller ended call"), ack=7)


@pytest.mark.parametrize("event", ["call:cancel", "call:reject", "call:accept"])
@pytest.mark.parametrize(
    "data",
    [
        {},
        *(
            {"reason": reason}
            for reason in (None, "", " \x00\t ", "\u200b\u202e\ufeff", "\u3164\u034f\ufe0f")
        ),
        # No cancel is refused for what it says beside the call's id.
        *({"reason": reason} for reason in (7, False, ["x"], {"why": "x"})),
    ],
    ids=repr,
)
def test_a_reason_that_says_nothing_is_none(event: str, data: dict[str, object]) -> None:
    assert signal_in(frame(event, callId="CALL_1", **data)).reason is None


def test_a_reason_loses_its_control_characters_and_what_is_too_long() -> None:
    signal = signal_in(frame(callId="CALL_1", reason="a\x00b\x1b[31m\n\x7f" + "c" * 300))
    assert signal.reason == "ab[31m" + "c" * 194


def test_a_reason_loses_what_has_no_width_or_turns_the_text_around() -> None:
    said = "no\u200b \u202etime\u2069 to\u2028 talk\u00ad\u061c 👩\u200d🚀"
    assert signal_in(frame(callId="CALL_1", reason=said)).reason == "no time to talk 👩🚀"


def test_devices_are_registered_and_unregistered() -> None:
    registered = json.decode(frame("device:register", token="T", platform="android"))
    assert registered == RequestFrame(RegisterDevice(FcmToken("T"), Platform.ANDROID))
    assert json.decode(frame("device:unregister", token="T")) == RequestFrame(
        UnregisterDevice(FcmToken("T"))
    )


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (b"", "frame"),
        (b"not json", "frame"),
        (b"\xff\xfe\x00", "frame"),
        (b"[" * 100_000, "frame"),
        (b'{"a":' * 100_000, "frame"),
        (b"x" * 131_072, "frame"),
        (b"\x00" * 64, "frame"),
        (b"[]", "frame"),
        (b'"call:cancel"', "frame"),
        (b"2", "frame"),
        (b"null", "frame"),
        (b"{}", "event"),
        (b'{"event": null}', "event"),
        (b'{"event": 7}', "event"),
        (b'{"event": ["call:cancel"]}', "event"),
        (frame("call:explode", callId="CALL_1"), "event"),
        (frame("$connect", callId="CALL_1"), "event"),
        (b'{"event": "call:cancel"}', "data"),
        (b'{"event": "call:cancel", "data": []}', "data"),
        (b'{"event": "call:cancel", "data": "CALL_1"}', "data"),
        (frame(), "callId"),
        (frame(callId=None), "callId"),
        (frame(callId=7), "callId"),
        (frame(callId={"$ne": 1}), "callId"),
        (frame(callId=""), "callId"),
        (frame(callId="x" * 129), "callId"),
        (frame(callId="calls/CALL_1"), "callId"),
        (frame(callId="."), "callId"),
        (frame(callId=".."), "callId"),
        (frame(callId="__CALL__"), "callId"),
        (frame(callId="CALL\x00_1"), "callId"),
        (frame(callId="CALL\n_1"), "callId"),
        (frame("device:register", platform="android"), "token"),
        (frame("device:register", token="", platform="android"), "token"),
        (frame("device:register", token="x" * 4097, platform="android"), "token"),
        (frame("device:register", token="T"), "platform"),
        (frame("device:register", token="T", platform="fridge"), "platform"),
        (frame("device:register", token="T", platform=1), "platform"),
        (frame("device:register", token="T", fid="F", platform="ios"), "fid"),
        (frame("device:register", fid=7, platform="ios"), "fid"),
        (frame("device:unregister"), "token"),
        (frame("device:unregister", fid=""), "fid"),
        (b'{"event": "call:cancel", "data": {"callId": "CALL_1"}, "id": true}', "id"),
        (b'{"event": "call:cancel", "data": {"callId": "CALL_1"}, "id": 1.5}', "id"),
        (b'{"event": "call:cancel", "data": {"callId": "CALL_1"}, "id": [1]}', "id"),
        (b'{"event": "call:cancel", "data": {}, "id": "' + b"x" * 129 + b'"}', "id"),
        (b'{"event": "call:cancel", "data": {}, "id": ' + b"9" * 400 + b"}", "id"),
    ],
)
def test_a_malformed_frame_is_told_which_field_is_wrong(text: bytes, field: str) -> None:
    decoded = json.decode(text)
    assert isinstance(decoded, Malformed)
    assert decoded.field == field
    assert field in decoded.message


def test_a_device_is_named_by_its_token_or_by_its_installation_id() -> None:
    for data, address in (({"token": "T"}, FcmToken("T")), ({"fid": "F"}, InstallationId("F"))):
        registered = json.decode(frame("device:register", platform="web", **data))
        assert registered == RequestFrame(RegisterDevice(address, Platform.WEB))
        unregistered = json.decode(frame("device:unregister", **data))
        assert unregistered == RequestFrame(UnregisterDevice(address))
        for read in (registered, unregistered):
            assert isinstance(read, RequestFrame)
            assert type(read.request.address) is type(address)  # type: ignore[union-attr]


def test_a_malformed_frame_gets_its_id_back() -> None:
    decoded = json.decode(b'{"event": "call:explode", "id": "a"}')
    assert isinstance(decoded, Malformed)
    assert decoded.ack == "a"


@given(
    st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode(errors="replace"))
)
def test_no_bytes_make_the_decoder_raise(garbage: bytes) -> None:
    assert isinstance(json.decode(garbage), RequestFrame | Malformed)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "event": st.sampled_from(["call:cancel", "device:register"]) | _JSON,
            "data": st.dictionaries(st.sampled_from(["callId", "reason", "token"]), _JSON) | _JSON,
            "id": _JSON,
        },
    )
)
def test_every_json_object_is_answered_with_a_frame(content: dict[str, object]) -> None:
    decoded = json.decode(plain.dumps(content).encode())
    assert isinstance(decoded, RequestFrame | Malformed)
    answer = plain.loads(json.encode_reply(NOT_FOUND, decoded))
    assert answer["event"] == "ack"
    assert answer.get("id") == decoded.ack


def test_an_answer_says_what_became_of_the_request() -> None:
    asked = RequestFrame(Signal("call:cancel", CallId("CALL_1"), "because"), ack=7)
    answer = json.encode_reply(Verdict(ok=True, outcome="cancelled"), asked)
    assert plain.loads(answer) == {
        "event": "ack",
        "id": 7,
        "data": {"ok": True, "outcome": "cancelled", "callId": "CALL_1"},
    }


def test_the_answer_to_a_frame_without_id_has_none() -> None:
    assert "id" not in plain.loads(json.encode_reply(NOT_FOUND, None))
    assert plain.loads(json.encode_reply(NOT_FOUND, Malformed("event", "x", ack=0)))["id"] == 0


def test_an_invalid_request_is_told_the_field_and_the_fault() -> None:
    answer = json.encode_reply(invalid("callId", "callId is missing"), None)
    assert plain.loads(answer)["data"] == {
        "ok": False,
        "outcome": "invalid",
        "field": "callId",
        "message": "callId is missing",
    }


def test_an_event_goes_out_as_the_app_reads_it() -> None:
    call = Call(CallId("CALL_1"), UserId("USR_1"), UserId("USR_2"), Status.RINGING)
    signal = Signal("call:cancel", call.id, "Caller ended call")
    now = datetime.fromtimestamp(1_700_000_000, UTC)
    row = next(transitions_of("call:cancel"))
    event = CallEvent.of(call, row, signal, call.caller, SignalId("S"), now)
    assert plain.loads(json.encode_event(event, event.recipients[0])) == {
        "event": "call:cancelled",
        "data": {
            "callId": "CALL_1",
            "reason": "Caller ended call",
            "cause": "caller_cancelled",
            "timestamp": 1_700_000_000_000,
        },
    }
