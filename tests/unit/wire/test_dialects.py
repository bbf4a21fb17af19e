"""Frames and pushes in an app's dialect: what it says is read, and it is told in its own words."""

import json
from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.calls.call import Call, CallId, SignalId, Status, UserId
from functions.calls.decision import LIMITED, NOT_FOUND, Verdict, invalid
from functions.calls.event import CallEvent
from functions.calls.transitions import SIGNALS, Signal, transitions_of
from functions.clients.connection import Wire
from functions.clients.device import FcmToken, Platform
from functions.clients.ringtoken import RingToken
from functions.dialect.dialect import EVENTS_IN, FIELDS, USUAL, Dialect, Ids
from functions.dialect.reading import dialect_of, parsed
from functions.wire.codecs import Codecs
from functions.wire.frames import (
    Connect,
    Goodbye,
    Ignored,
    Malformed,
    RegisterDevice,
    Relay,
    RequestFrame,
    event_data,
)
from functions.wire.push import Sending, push_data
from functions.wire.requests import RELAYED_LIMIT, InvalidRequest, ring_in
from infra import ROOT
from tests.support.makers import RING_TOKENS, SENDING, event, now

WIRES = pytest.mark.parametrize("wire", [Wire.JSON, Wire.EIO4])
CANCELLED = Verdict(ok=True, outcome="cancelled")


def of(name: str) -> Dialect:
    return dialect_of(str(ROOT / f"docs/dialects/{name}.toml"))


SNAKE_CASE, AGORA, ROLES = of("snake-case"), of("agora-app"), of("roles")


def sent(wire: Wire, name: str, data: object) -> bytes:
    asked = [name, data]
    frame = f"427{json.dumps(asked)}"
    in_json = json.dumps({"event": name, "data": data, "id": 7})
    return (in_json if wire is Wire.JSON else frame).encode()


def told(wire: Wire, frame: str) -> tuple[str, dict[str, object]]:
    """The event's name and data, or of an ack `ack` and its data."""
    if wire is Wire.JSON:
        content = json.loads(frame)
        return content["event"], content["data"]
    if frame.startswith("43"):
        return "ack", json.loads(frame.removeprefix("437"))[0]
    name, data = json.loads(frame.removeprefix("42"))
    return name, data


@WIRES
@pytest.mark.parametrize("name", ["cancelCall", "cancel_call"])
@pytest.mark.parametrize("field", ["call_id", "callId"])
@pytest.mark.parametrize("id", [7, "7", 7.0])
def test_a_signal_is_read_in_the_apps_words_and_answered_as_it_was_asked(
    wire: Wire, name: str, field: str, id: object
) -> None:
    codec = Codecs(SNAKE_CASE).on(wire)
    read = codec.decode(sent(wire, name, {field: id, "reason": "x"}))
    assert isinstance(read, RequestFrame)
    assert read.request == Signal("call:cancel", CallId("7"), "x")
    answer = told(wire, codec.encode_reply(CANCELLED, read))
    assert answer == ("ack", {"ok": True, "outcome": "cancelled", "call_id": id})
    assert type(answer[1]["call_id"]) is type(id)


@WIRES
def test_what_is_wrong_is_told_in_the_apps_words(wire: Wire) -> None:
    codec = Codecs(SNAKE_CASE).on(wire)
    for data in ({}, {"call_id": None}, {"call_id": ""}, {"call_id": True}, {"call_id": [7]}):
        read = codec.decode(sent(wire, "cancelCall", data))
        assert isinstance(read, Malformed)
        assert (read.field, "call_id" in read.message) == ("call_id", True)
    ours = codec.decode(sent(wire, "call:cancel", {"callId": "7"}))
    assert isinstance(ours, Malformed)
    assert ours.message.startswith("event must be one of cancelCall, cancel_call, rejectCall")
    half = codec.decode(sent(wire, "registerDevice", {"fcm_token": 7, "platform": "web"}))
    assert isinstance(half, Malformed)
    assert half.field == "fcm_token"


@WIRES
def test_a_device_is_registered_in_the_apps_words(wire: Wire) -> None:
    frame = sent(wire, "registerDevice", {"fcm_token": "T", "platform": "web"})
    read = Codecs(SNAKE_CASE).on(wire).decode(frame)
    assert isinstance(read, RequestFrame)
    assert read.request == RegisterDevice(FcmToken("T"), Platform.WEB)


@WIRES
def test_an_event_goes_out_in_the_apps_words(wire: Wire) -> None:
    made = event(call=CallId("7"), caller=UserId("1"), receiver=UserId("2"))
    (recipient,) = made.recipients
    frame = Codecs(SNAKE_CASE).on(wire).encode_event(made, recipient, "/")
    assert told(wire, frame) == (
        "callCancelled",
        {
            "call_id": 7,
            "reason": "Caller ended call",
            "cause": "caller_cancelled",
            "sent_at": made.timestamp,
        },
    )


@WIRES
def test_whoever_is_told_of_the_end_of_a_talk_is_told_who_has_ended_it(wire: Wire) -> None:
    call = Call(CallId("7"), UserId("1"), UserId("2"), Status.ACCEPTED)
    end = Signal("call:end", call.id, "Bye")
    row = next(row for row in transitions_of("call:end") if row.to_status is Status.ENDED)
    made = CallEvent.of(call, row, end, call.receiver, SignalId("S"), now())
    frame = Codecs(SNAKE_CASE).on(wire).encode_event(made, made.recipients[0], "/")
    assert told(wire, frame) == (
        "callEnded",
        {
            "call_id": 7,
            "reason": "Bye",
            "cause": "ended",
            "ended_by": 2,
            "sent_at": made.timestamp,
        },
    )


def ring(call: str, caller: str, data: object) -> CallEvent:
    made = Call(CallId(call), UserId(caller), UserId("2"), Status.RINGING, rings_until=now())
    passed_on = msgspec.json.encode(data).decode()
    return CallEvent.of_ring(replace(made, data=passed_on), SignalId("S"), now())


@WIRES
def test_a_ring_goes_out_in_the_apps_words_beside_what_it_passes_on(wire: Wire) -> None:
    made = ring("7", "1", {"room": "r", "caller_id": "forged"})
    name, data = told(wire, Codecs(SNAKE_CASE).on(wire).encode_event(made, made.recipients[0], "/"))
    assert (name, data) == (
        "incomingCall",
        {
            "room": "r",
            "caller_id": 1,
            "call_id": 7,
            "rings_until": made.rings_until_ms,
            "sent_at": made.timestamp,
        },
    )


def test_a_push_goes_out_in_the_apps_words() -> None:
    made = event(call=CallId("7"), caller=UserId("1"), receiver=UserId("2"))
    assert push_data(made, made.recipients[0], SENDING, SNAKE_CASE) == {
        "type": "CALL_CANCELLED",
        "call_id": "7",
        "caller_id": "1",
    }
    passed_on = {"channelName": "room", "agoraToken": "T", "type": "x", "channelId": "forged"}
    rung = ring("CALL_1", "USR_1", {key: passed_on[key] for key in ("channelName", "agoraToken")})
    assert push_data(rung, rung.recipients[0], SENDING, AGORA) == {
        "type": "incoming_call",
        "callId": "CALL_1",
        "callerId": "USR_1",
        "channelId": "room",
        "agoraToken": "T",
        "timestamp": str(rung.timestamp),
        "sentAt": str(SENDING.at_ms),
        "expiresAt": str(rung.rings_until_ms),
        "ringToken": "ring.x",
    }


def test_what_the_app_passes_on_never_stands_for_a_field_of_ours() -> None:
    forged = ("type", "callId", "call_id", "callerId", "caller_id")
    rung = ring("7", "1", dict.fromkeys(forged, "x"))
    pushed = push_data(rung, rung.recipients[0], SENDING, SNAKE_CASE)
    assert (pushed["type"], pushed["call_id"], pushed["caller_id"]) == ("INCOMING_CALL", "7", "1")


@pytest.mark.parametrize("names", [("channelName", "channelId"), ("channelId", "channelName")])
def test_of_two_fields_that_get_one_name_the_renamed_one_is_pushed(names: tuple[str, str]) -> None:
    said = {"channelName": "good", "channelId": "bad"}
    rung = ring("CALL_1", "USR_1", {name: said[name] for name in names})
    pushed = push_data(rung, rung.recipients[0], SENDING, AGORA)
    assert (pushed["channelId"], "channelName" in pushed) == ("good", False)
    assert event_data(rung, rung.recipients[0], AGORA).keys() >= said.keys()  # a socket has both


def test_a_field_of_ours_is_pushed_by_its_name_and_the_apps_by_the_name_that_is_free() -> None:
    dialect = parsed('[push.fields]\ntype = "kind"')
    rung = ring("CALL_1", "USR_1", {"kind": "the app's kind", "type": "the app's type"})
    pushed = push_data(rung, rung.recipients[0], SENDING, dialect)
    assert (pushed["kind"], pushed["type"]) == ("incoming_call", "the app's type")


@given(
    renamed=st.integers(0, 60),
    passed_on=st.integers(0, 120),
    long=st.integers(0, 3000),
    prefix=st.text("é", max_size=100),
    id=st.integers(1, 28),
    receiver=st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=256),
    device=st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=128),
)
@example(renamed=0, passed_on=0, long=2985, prefix="é" * 100, id=28, receiver="2", device="d")
@example(renamed=25, passed_on=25, long=2700, prefix="", id=1, receiver="2", device="d" * 128)
@example(renamed=0, passed_on=0, long=1650, prefix="", id=1, receiver="2" * 256, device="€" * 43)
@example(renamed=0, passed_on=0, long=1650, prefix="", id=1, receiver="2" * 256, device='"' * 64)
def test_a_ring_that_is_taken_can_be_pushed(
    renamed: int, passed_on: int, long: int, prefix: str, id: int, receiver: str, device: str
) -> None:
    dialect = Dialect(
        push_fields={f"f{each}": f"{each}".rjust(100, "é") for each in range(renamed)},
        push_types={"incoming_call": "t" * 100},
        ids=Ids(call_prefix=prefix, documents_have_prefix=False),
    )
    data = {f"f{each}": "" for each in range(passed_on)} | {"long": "x" * long}
    asked = {"callerId": "€" * 256, "receiverId": receiver, "data": data}
    with suppress(InvalidRequest):
        taken = ring_in("é" * id, asked, 30, dialect)
        begun = taken.begun(SignalId("S"), now(), None)
        rung = CallEvent.of_ring(begun, SignalId("S"), now())
        known = RingToken(taken.call_id, taken.receiver, device)
        sending = Sending(now(), RING_TOKENS.sign(known, now()))
        pushed = push_data(rung, rung.recipients[0], sending, dialect)
        size = sum(len(name.encode()) + len(value.encode()) for name, value in pushed.items())
        assert size <= 4096


def test_what_the_app_passes_on_is_measured_by_the_names_that_it_is_pushed_by() -> None:
    dialect = parsed(f'[push.fields]\na = "{"x" * 100}"')
    asked = {"callerId": "1", "receiverId": "2", "data": {"a": "y" * 2950}}
    assert ring_in("CALL_1", asked, 30)
    with pytest.raises(InvalidRequest) as refused:
        ring_in("CALL_1", asked, 30, dialect)
    assert refused.value.field == "data"


@pytest.mark.parametrize("id", ["1", "CALL_1", 1])
def test_a_call_is_asked_for_with_its_prefix_and_without(id: object) -> None:
    codec = Codecs(AGORA).on(Wire.JSON)
    read = codec.decode(sent(Wire.JSON, "call:cancel", {"callId": id}))
    assert isinstance(read, RequestFrame)
    assert read.request == Signal("call:cancel", CallId("CALL_1"), None)
    _, answer = told(Wire.JSON, codec.encode_reply(NOT_FOUND, read))
    assert answer == {"success": False, "outcome": "not_found", "callId": id}


@pytest.mark.parametrize("id", ["CALL_", ".", "a/b", "x" * 124])
def test_an_id_that_names_no_call_with_its_prefix_is_refused(id: str) -> None:
    read = Codecs(AGORA).on(Wire.JSON).decode(sent(Wire.JSON, "call:cancel", {"callId": id}))
    is_refused = isinstance(read, Malformed) and read.field == "callId"
    assert is_refused is (id != ".")  # CALL_. is a name


# What is relayed

UPGRADE = {"callId": "CALL_1", "receiverId": "USR_2", "senderId": "USR_1", "timestamp": 1}


def relayed(wire: Wire, data: object, name: str = "call:upgrade") -> Relay | Malformed:
    """What a frame of the app that asked is read as."""
    read = Codecs(AGORA).on(wire).decode(sent(wire, name, data))
    if isinstance(read, Malformed):
        return read
    assert isinstance(read, RequestFrame)
    assert isinstance(read.request, Relay)
    return read.request


def of_bytes(count: int, letter: str = "x") -> dict[str, str]:
    """Data of so many bytes, as JSON without spaces."""
    rest = count - len(b'{"callId":"1","x":""}')
    size = len(letter.encode())
    return {"callId": "1", "x": letter * (rest // size) + "x" * (rest % size)}


@WIRES
@pytest.mark.parametrize(
    ("name", "heard"),
    [
        ("call:upgrade", "call:upgrade:request"),
        ("call:upgrade:response", "call:upgrade:response"),
    ],
)
def test_an_event_of_the_apps_own_is_heard_by_its_other_name_with_its_data_as_they_came(
    wire: Wire, name: str, heard: str
) -> None:
    read = relayed(wire, UPGRADE, name)
    assert isinstance(read, Relay)
    assert (read.call_id, read.event) == ("CALL_1", heard)
    assert told(wire, Codecs(AGORA).on(wire).encode_relay(read, "/")) == (heard, UPGRADE)


@WIRES
def test_whatever_else_the_data_say_goes_on_unread(wire: Wire) -> None:
    data = {
        "callId": "1",  # without its prefix
        "event": "call:cancelled",
        "number": 12345678901234567890123,
        "fraction": 0.1,
        "text": "\u2028 \U0001f600 \0",
        "__proto__": {"deep": [[], {}, None, True]},
        "_placeholder": True,
    }
    read = relayed(wire, data)
    assert isinstance(read, Relay)
    assert read.call_id == "CALL_1"
    heard = told(wire, Codecs(AGORA).on(wire).encode_relay(read, "/"))
    assert heard == ("call:upgrade:request", data)


@WIRES
def test_half_a_character_becomes_a_question_mark(wire: Wire) -> None:
    read = relayed(wire, {"callId": "1", "said": "bye \ud83d"})
    assert isinstance(read, Relay)
    assert json.loads(read.data) == {"callId": "1", "said": "bye ?"}
    assert Codecs(AGORA).on(wire).encode_relay(read, "/").encode()


@WIRES
@pytest.mark.parametrize("letter", ["x", "\u00e9", "\U0001f600"])
def test_three_thousand_bytes_are_relayed_and_one_more_are_not(wire: Wire, letter: str) -> None:
    read = relayed(wire, of_bytes(RELAYED_LIMIT, letter))
    assert isinstance(read, Relay)
    assert len(read.data.encode()) == RELAYED_LIMIT == 3000
    more = relayed(wire, of_bytes(RELAYED_LIMIT + 1, letter))
    assert isinstance(more, Malformed)
    assert (more.field, more.message) == ("data", "data must have at most 3000 bytes")


def levels(count: int) -> dict[str, object]:
    """Data with so many levels."""
    inner: object = []
    for _ in range(count - 2):
        inner = [inner]
    return {"callId": "1", "x": inner}


@WIRES
def test_what_is_nested_more_deeply_than_every_client_can_read_is_not_relayed(wire: Wire) -> None:
    assert isinstance(relayed(wire, levels(100)), Relay)
    for deep in (101, 900):
        read = relayed(wire, levels(deep))
        assert isinstance(read, Malformed)
        assert (read.field, read.message) == ("data", "data is nested too deeply")


@WIRES
@pytest.mark.parametrize(
    ("data", "field"),
    [
        (None, "data"),
        ("CALL_1", "data"),
        (["CALL_1"], "data"),
        ({}, "callId"),
        ({"callId": None}, "callId"),
        ({"callId": ["CALL_1"]}, "callId"),
        ({"callId": "a/b"}, "callId"),
        ({"callId": "x" * 129}, "callId"),
    ],
)
def test_what_names_no_call_is_not_relayed(wire: Wire, data: object, field: str) -> None:
    read = relayed(wire, data)
    assert isinstance(read, Malformed)
    assert read.field == field


@WIRES
def test_a_number_that_no_client_could_read_is_not_relayed(wire: Wire) -> None:
    frame = sent(wire, "call:upgrade", {"callId": "1", "x": 0}).replace(b": 0", b": 1e999")
    read = Codecs(AGORA).on(wire).decode(frame)
    assert isinstance(read, Malformed)
    assert (read.field, read.message) == ("data", "data has a number that is too large")


@WIRES
@pytest.mark.parametrize("name", ["call:upgrade:request", "call:incoming", "call:cancelled", "x"])
def test_an_event_that_is_not_in_the_map_is_told_which_there_are(wire: Wire, name: str) -> None:
    read = relayed(wire, UPGRADE, name)
    assert isinstance(read, Malformed)
    assert read.field == "event"
    assert read.message.endswith(", device:unregister, call:upgrade, call:upgrade:response")
    usual = Codecs(USUAL).on(wire).decode(sent(wire, "call:upgrade", UPGRADE))
    assert isinstance(usual, Malformed)
    assert usual.field == "event"


@WIRES
def test_the_call_is_read_by_the_name_that_the_app_has_for_its_id(wire: Wire) -> None:
    dialect = parsed('[relay]\nmute = "muted"\n[fields]\ncallId = ["call_id", "callId"]')
    codec = Codecs(dialect).on(wire)
    read = codec.decode(sent(wire, "mute", {"call_id": "CALL_1"}))
    assert isinstance(read, RequestFrame)
    assert read.request == Relay(CallId("CALL_1"), "muted", '{"call_id":"CALL_1"}')
    answer = told(wire, codec.encode_reply(Verdict(ok=True, outcome="relayed"), read))
    assert answer == ("ack", {"ok": True, "outcome": "relayed", "call_id": "CALL_1"})


def test_what_is_relayed_is_heard_in_the_namespace_of_its_hearer() -> None:
    relay = Relay(CallId("CALL_1"), "muted", '{"callId":"CALL_1"}')
    frame = Codecs(ROLES).on(Wire.EIO3).encode_relay(relay, "/user")
    assert frame == '42/user,["muted",{"callId":"CALL_1"}]'


# Namespaces


def test_frames_of_a_namespace_are_answered_and_told_in_it() -> None:
    codec = Codecs(ROLES).on(Wire.EIO4)
    read = codec.decode(b'42/user,7["cancel-call",{"callId":"CALL_1"}]')
    assert read == RequestFrame(Signal("call:cancel", CallId("CALL_1"), None), 7, "/user")
    assert codec.encode_reply(NOT_FOUND, read).startswith("43/user,7[")
    without = msgspec.structs.replace(read, ack=None)
    assert codec.encode_reply(NOT_FOUND, without).startswith('42/user,["call:error",')
    assert codec.encode_reply(CANCELLED, without) == "6"
    wrong = codec.decode(b'42/agent,0["cancel-call",{}]')
    assert isinstance(wrong, Malformed)
    answer = codec.encode_reply(invalid(wrong.field, wrong.message), wrong)
    assert answer.startswith("43/agent,0[")
    made = event()
    frame = codec.encode_event(made, made.recipients[0], "/user")
    assert frame.startswith('42/user,["call-ended",')


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        (b'42/user,7["cancel-call",{}]', '43/user,7[{"ok":false,"outcome":"limited"}]'),
        (b'42/user,["cancel-call",{}]', '42/user,["call:error",{"ok":false,"outcome":"limited"}]'),
        (b"42/user,7" + b"[" * 40_000, '43/user,7[{"ok":false,"outcome":"limited"}]'),
        (b"42/admin,7[]", '42["call:error",{"ok":false,"outcome":"limited"}]'),
        (b"40/user,{}", '42["call:error",{"ok":false,"outcome":"limited"}]'),
    ],
)
def test_a_frame_too_many_is_answered_where_it_was_sent(frame: bytes, reply: str) -> None:
    codec = Codecs(ROLES).on(Wire.EIO4)
    assert codec.encode_reply(LIMITED, codec.reply_to(frame)) == reply


def test_goodbyes_name_their_namespace_and_other_namespaces_are_not_heard() -> None:
    codec = Codecs(ROLES).on(Wire.EIO4)
    assert codec.decode(b"41/user,") == Goodbye(namespace="/user")
    assert codec.decode(b"41") == Goodbye()
    assert codec.decode(b"41/admin,") == Ignored()
    assert codec.decode(b'42/admin,["cancel-call",{"callId":"CALL_1"}]') == Ignored()
    connect = codec.decode(b'40/user,{"token":"T","userId":7}')
    assert connect == Connect("/user", "T", "\0")
    numbers = Codecs(SNAKE_CASE).on(Wire.EIO4)
    assert numbers.decode(b'40{"token":"T","userId":7}') == Connect("/", "T", "7")


@given(
    st.permutations(EVENTS_IN),
    st.permutations(FIELDS),
    st.sampled_from(SIGNALS),
    st.text("abc123", min_size=1),
)
def test_whatever_things_are_called_the_same_is_meant(
    events: list[str], fields: list[str], signal: str, call: str
) -> None:
    dialect = Dialect(
        events_in={f"x{theirs}": ours for theirs, ours in zip(events, EVENTS_IN, strict=True)},
        fields={ours: f"x{theirs}" for theirs, ours in zip(fields, FIELDS, strict=True)},
        fields_in={ours: (f"x{theirs}",) for theirs, ours in zip(fields, FIELDS, strict=True)},
    )
    theirs = next(name for name, ours in dialect.events_in.items() if ours == signal)
    data = {dialect.fields["callId"]: call, dialect.fields["reason"]: "because"}
    for wire in (Wire.JSON, Wire.EIO4):
        codec = Codecs(dialect).on(wire)
        read = codec.decode(sent(wire, theirs, data))
        assert isinstance(read, RequestFrame)
        assert read.request == Signal(signal, CallId(call), "because")
        _, answer = told(wire, codec.encode_reply(CANCELLED, read))
        assert answer[dialect.fields["callId"]] == call
