"""python-socketio's packets: what it sends, how it reads what we send, and what that means."""

import engineio.packet as engineio
import socketio.packet as oracle
from hypothesis import strategies as st

from functions.calls.transitions import SIGNALS
from functions.clients.device import Platform
from functions.wire.frames import (
    Connect,
    Frame,
    Goodbye,
    Ignored,
    Malformed,
    Ping,
    RequestFrame,
    Upgrade,
)
from functions.wire.requests import InvalidRequest, parse


def sent(packet: oracle.Packet) -> bytes:
    """The frame that python-socketio puts on the WebSocket."""
    return str(engineio.Packet(engineio.MESSAGE, packet.encode()).encode()).encode()


def received(frame: str) -> oracle.Packet:
    """What python-socketio makes of a frame."""
    outer = engineio.Packet(encoded_packet=frame)
    assert outer.packet_type == engineio.MESSAGE
    return oracle.Packet(encoded_packet=outer.data)


def meaning(packet: oracle.Packet) -> Frame:
    """What a packet that python-socketio holds should be to us."""
    namespace = packet.namespace or "/"
    match packet.packet_type, packet.data:
        case oracle.CONNECT, None:
            return Connect(namespace)
        case oracle.CONNECT, dict(auth):
            told = [auth.get("token"), auth.get("userId")]
            return Connect(namespace, *map(_said, told))
        case oracle.DISCONNECT, None if namespace == "/" and packet.id is None:
            return Goodbye()
        case oracle.EVENT, [str(name), *arguments] if namespace == "/":
            return request_of(name, arguments[0] if arguments else None, packet.id)
        case _:
            return Ignored()


def _said(value: object) -> str | None:
    """What is no text is said too, but stands for nobody and no token."""
    return (value or None) if isinstance(value, str) else None if value is None else "\0"


def judged(frame: bytes) -> Frame:
    """What python-socketio reads in a frame; Ignored where it reads nothing."""
    try:
        text = frame.decode()
        if text.startswith("2"):
            return Ping(text[1:])
        if text == "1":
            return Goodbye(closes_socket=True)
        if text == "5":
            return Upgrade()
        packet = received(text)
    except (AssertionError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return Ignored()
    return meaning(packet) if packet.attachment_count == 0 else Ignored()


def request_of(name: str, data: object, ack: int | None) -> RequestFrame | Malformed:
    """What an event that a client emits is to us."""
    try:
        return RequestFrame(parse(name, data), ack)
    except InvalidRequest as error:
        return Malformed(error.field, error.message, ack)


# What Hypothesis makes packets of

texts = st.text(max_size=12)
_numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
_contents = st.recursive(
    st.none() | st.booleans() | _numbers | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
_objects = st.dictionaries(texts, _contents, max_size=2)
_names = st.sampled_from([*SIGNALS, "device:register", "device:unregister"]) | texts
_requests = st.fixed_dictionaries(
    {},
    optional={
        "callId": st.sampled_from(["CALL_1", "é\u2028", "a/b", ""]) | _contents,
        "reason": st.text(max_size=220) | _contents,
        "token": texts | _contents,
        "platform": st.sampled_from(Platform) | _contents,
    },
)
_good = st.tuples(
    st.sampled_from(SIGNALS),
    st.fixed_dictionaries({"callId": st.sampled_from(["CALL_1", "é\u2028"]), "reason": texts}),
)
acks = st.none() | st.integers(0, 10**38 - 1)
_roots = st.sampled_from([None, "/"])
namespaces = _roots | st.from_regex(r"/[^,?\ud800-\udfff]{0,9}", fullmatch=True)


def _emits(requests: st.SearchStrategy[tuple[object, ...]]) -> st.SearchStrategy[oracle.Packet]:
    return st.builds(
        lambda request, rest, namespace, ack: oracle.Packet(
            oracle.EVENT, [*request, *rest], namespace, ack
        ),
        requests,
        st.just([]) | st.lists(_contents, max_size=2),
        _roots | namespaces,
        acks,
    )


_connects = st.builds(
    lambda auth, namespace: oracle.Packet(oracle.CONNECT, auth, namespace),
    st.none() | _objects | st.fixed_dictionaries({"token": _contents, "userId": _contents}),
    namespaces,
)
_others = st.builds(
    oracle.Packet,
    st.sampled_from([oracle.DISCONNECT, oracle.ACK, oracle.CONNECT_ERROR]),
    st.none() | st.lists(_contents, max_size=3) | _objects,
    namespaces,
    acks,
)
_odd = st.tuples(_names, _requests) | st.tuples(_names, _contents) | st.tuples(_names)
packets = _emits(_good) | _emits(_odd) | _connects | _others
