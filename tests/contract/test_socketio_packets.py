"""The Socket.IO wire against python-socketio's packets: the same content, in both directions."""

from datetime import timedelta

import engineio.packet as engineio
import msgspec
import pytest
import socketio.packet as oracle
from hypothesis import given
from hypothesis import strategies as st

from functions.calls.call import CallId
from functions.calls.decision import UNKNOWN_CONNECTION, Verdict
from functions.calls.transitions import SIGNALS, Signal
from functions.clients.connection import ROOT, Wire
from functions.wire import socketio
from functions.wire.frames import (
    Connect,
    Ignored,
    Ping,
    RequestFrame,
    call_of,
    event_data,
    reply_data,
)
from tests.support.examples import examples
from tests.support.makers import event
from tests.support.packets import (
    acks,
    judged,
    meaning,
    namespaces,
    packets,
    received,
    sent,
    texts,
)

pytestmark = pytest.mark.examples

CODEC = socketio.SocketIoCodec()
CANCEL = RequestFrame(Signal("call:cancel", CallId("CALL_1"), "because"))


@given(packets)
@examples(2000)
def test_a_packet_of_python_socketios_is_read_as_what_it_says(packet: oracle.Packet) -> None:
    assert CODEC.decode(sent(packet)) == meaning(packet)


@given(st.sampled_from(SIGNALS), st.sampled_from(["CALL_1", "é"]), acks, namespaces)
@examples(200)
def test_an_emit_to_the_root_is_a_request_with_its_ack_id_and_one_elsewhere_is_none(
    name: str, call: str, ack: int | None, namespace: str | None
) -> None:
    packet = oracle.Packet(oracle.EVENT, [name, {"callId": call}], namespace, ack)
    read = CODEC.decode(sent(packet))
    if namespace in (None, "/"):
        signal = Signal(name, CallId(call), None)
        assert read == RequestFrame(signal, ack)
    else:
        assert read == Ignored()


verdicts = st.builds(
    Verdict,
    ok=st.booleans(),
    outcome=texts,
    field=st.none() | texts,
    message=st.none() | texts,
)
signals = st.builds(Signal, st.sampled_from(SIGNALS), texts, texts)


@given(verdicts, signals, st.integers(0, 10**38 - 1), namespaces)
@examples(500)
def test_an_ack_is_read_by_python_socketio_as_the_verdict(
    verdict: Verdict, request: Signal, ack: int, namespace: str | None
) -> None:
    frame = RequestFrame(request, ack, namespace or ROOT)
    read = received(CODEC.encode_reply(verdict, frame))
    assert (read.packet_type, read.namespace or ROOT, read.id) == (
        oracle.ACK,
        frame.namespace,
        ack,
    )
    assert read.data == [reply_data(verdict, call_of(frame))]


@given(verdicts, st.none() | st.builds(RequestFrame, signals))
@examples(500)
def test_without_an_ack_id_only_what_was_refused_is_told(
    verdict: Verdict, asked: RequestFrame | None
) -> None:
    frame = CODEC.encode_reply(verdict, asked)
    if verdict.ok:
        assert engineio.Packet(encoded_packet=frame).packet_type == engineio.NOOP
        return
    read = received(frame)
    assert (read.packet_type, read.namespace, read.id) == (oracle.EVENT, None, None)
    assert read.data == ["call:error", reply_data(verdict, call_of(asked))]


@given(st.sampled_from(SIGNALS), texts, st.integers(0, 10**13))
@examples(500)
def test_an_event_is_read_by_python_socketio_as_the_app_gets_it(
    name: str, reason: str, timestamp: int
) -> None:
    made = msgspec.structs.replace(event(name), reason=reason, timestamp=timestamp)
    for told in made.recipients:
        read = received(CODEC.encode_event(made, told))
        assert (read.packet_type, read.namespace, read.id) == (oracle.EVENT, None, None)
        assert read.data == [told.event, event_data(made, told)]


@given(
    st.sampled_from([Wire.EIO3, Wire.EIO4]),
    texts,
    st.timedeltas(timedelta(seconds=1), timedelta(days=24)),
)
def test_the_open_packet_is_read_by_python_engineio_with_its_timers_in_milliseconds(
    wire: Wire, sid: str, interval: timedelta
) -> None:
    frame = socketio.encode_open(wire, sid, interval, timedelta(seconds=30))
    read = engineio.Packet(encoded_packet=frame)
    assert read.packet_type == engineio.OPEN
    milliseconds = read.data.pop("pingInterval")
    assert (
        timedelta() <= interval - timedelta(milliseconds=milliseconds) < timedelta(milliseconds=1)
    )
    limit = {"maxPayload": 32 * 1024} if wire is Wire.EIO4 else {}
    assert read.data == {"sid": sid, "upgrades": [], "pingTimeout": 30_000, **limit}


@given(texts)
def test_who_is_let_in_learns_the_session_in_version_4_and_nothing_in_version_3(sid: str) -> None:
    read = received(socketio.encode_admitted(Wire.EIO4, sid))
    assert (read.packet_type, read.namespace, read.data) == (oracle.CONNECT, None, {"sid": sid})
    assert socketio.encode_admitted(Wire.EIO3, sid) == "40"


@given(texts, namespaces.filter(bool))
@examples(500)
def test_a_refusal_names_its_namespace_and_says_why_in_the_wires_own_form(
    message: str, namespace: str
) -> None:
    for wire, data in ((Wire.EIO3, message), (Wire.EIO4, {"message": message})):
        read = received(socketio.encode_refusal(wire, message, namespace))
        found = (read.packet_type, read.namespace or "/", read.data)
        assert found == (oracle.CONNECT_ERROR, namespace, data)


@pytest.mark.parametrize("payload", ["", "probe"])
def test_a_heartbeat_is_answered_with_its_payload(payload: str) -> None:
    ping = engineio.Packet(engineio.PING, payload).encode()
    assert CODEC.decode(ping.encode()) == Ping(payload)
    read = engineio.Packet(encoded_packet=CODEC.encode_pong(Ping(payload)))
    assert (read.packet_type, read.data) == (engineio.PONG, payload)


@pytest.mark.parametrize("ack", [None, 0, 7])
def test_a_client_on_an_unknown_connection_gets_what_no_version_can_read(ack: int | None) -> None:
    frame = CODEC.encode_reply(UNKNOWN_CONNECTION, RequestFrame(CANCEL.request, ack))
    assert frame == socketio.RECONNECT == '{"message":"reconnect"}'
    with pytest.raises(ValueError, match="invalid literal"):
        engineio.Packet(encoded_packet=frame)


# What makes no sense

beginnings = st.sampled_from([b"", b"b"]).flatmap(
    lambda prefix: st.sampled_from(b"0123456789").map(lambda digit: prefix + bytes([digit]))
) | st.sampled_from([b"40", b"42", b"421", b"42[", b'42["', b"40{", b"40/", b"42/,", b"45", b"43"])
rubbish = st.binary(max_size=40) | st.text(max_size=40).map(str.encode)


@given(beginnings, rubbish)
@examples(2000)
def test_rubbish_that_begins_as_a_packet_is_ignored_unless_it_is_one(
    beginning: bytes, rest: bytes
) -> None:
    frame = beginning + rest
    assert socketio.is_packet(frame)
    assert_ignored_unless_sound(frame)


def assert_ignored_unless_sound(frame: bytes) -> None:
    read = CODEC.decode(frame)
    # Who asks to be let in must be told, also if nobody can read what he shows.
    is_refused = frame.startswith(b"40") and isinstance(read, Connect) and read.token == "\0"
    assert is_refused or read in (Ignored(), judged(frame))


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A good frame, in up to four places of which something else stands."""
    frame = bytearray(sent(draw(packets)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(frame)))
        length = draw(st.integers(0, 3))
        frame[place : place + length] = draw(
            st.binary(max_size=3)
            | st.sampled_from([*b'",:[]{}/?-0123456789\\']).map(lambda byte: bytes([byte]))
        )
    return bytes(frame)


@given(mutants())
@examples(1000)
def test_a_packet_that_was_damaged_is_ignored_unless_it_still_is_one(frame: bytes) -> None:
    assert_ignored_unless_sound(frame)
