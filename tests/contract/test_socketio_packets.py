"""What is read of a packet is what python-socketio's own reader reads of it, good or damaged."""

import socketio.packet as oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.wire import socketio
from functions.wire.frames import Ignored
from tests.support.packets import judged, meaning, packets, sent


@given(packets)
@settings(max_examples=2000)
def test_a_packet_of_python_socketios_is_read_as_what_it_says(packet: oracle.Packet) -> None:
    assert socketio.decode(sent(packet)) == meaning(packet)


beginnings = st.sampled_from([b"", b"b"]).flatmap(
    lambda prefix: st.sampled_from(b"0123456789").map(lambda digit: prefix + bytes([digit]))
) | st.sampled_from([b"40", b"42", b"421", b"42[", b'42["', b"40{", b"40/", b"42/,", b"45", b"43"])
rubbish = st.binary(max_size=40) | st.text(max_size=40).map(str.encode)


@given(beginnings, rubbish)
@settings(max_examples=2000)
def test_rubbish_that_begins_as_a_packet_is_ignored_unless_it_is_one(
    beginning: bytes, rest: bytes
) -> None:
    frame = beginning + rest
    assert socketio.is_packet(frame)
    assert socketio.decode(frame) in (Ignored(), judged(frame))


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
@settings(max_examples=1000)
def test_a_packet_that_was_damaged_is_ignored_unless_it_still_is_one(frame: bytes) -> None:
    assert socketio.decode(frame) in (Ignored(), judged(frame))
