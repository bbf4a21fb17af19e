"""Bad frames of both wires, and what is wrong with the frames that answer them.

Nothing here asks the product more than which signals there are. A frame that by chance is valid
comes from a connection that nobody opened, or from a stranger to every call, so that it may do
nothing either; what such a sender is answered is known beforehand. What else is demanded of an
answer (the id that comes back, the wire it is on) is found with the standard library alone, by
docs/protocol.md.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Any

from functions.calls.transitions import SIGNALS
from tests.proof.bad_input.case import Answer, Case, Header, World, request
from tests.proof.bad_input.damage import altered, damaged, odd_text, odd_value, text_of
from tests.support.frames import SENSELESS

RECONNECT = b'{"message":"reconnect"}'
_LONGEST_PING = 128  # characters that are answered

_JSON_CASES = (
    *(b"", b" ", b"\0", b"\x00\x01\x02", b"not json", b"\xff\xfe{\0", b"\xef\xbb\xbf{}", b"null"),
    *(b"true", b"{}", b"[]", b'"call:cancel"', b"-1", b"{", b"}", b"{}{}", b"{},", b'{"event"'),
    *(b"[" * 30_000, b'{"a":' * 6_000, b"x" * 30_000, b'"' + b"x" * 30_000, b'{"":{}}', b"'{}'"),
    *(b'{"event":null}', b'{"event":7}', b'{"event":["call:cancel"]}', b'{"event":"$connect"}'),
    *(b'{"event":"call:cancel"}', b'{"event":"call:cancel","data":[]}', b'{"EVENT":"call:cancel"}'),
    b'{"event":"call:cancel","data":{"callId":NaN}}',
    b'{"event":"call:cancel","data":{"callId":"a","callId":7}}',
    b'{"event":"call:cancel","event":"call:explode","data":{"callId":"a"}}',
    b'{"event":"call:cancel","data":{"callId":"\xed\xa0\xbd"}}',
    b'{"event":"call:cancel","data":{"callId":"\\ud83d"},"id":"\\ud83d"}',
    b'{"event":"call:cancel","data":{"callId":"a"},"id":' + b"9" * 5_000 + b"}",
    b'{"event":"call:cancel","data":{"callId":"a"},"id":1e400}',
    b'{"event":"call:cancel","data":{"callId":"__proto__"},"__proto__":{"id":1}}',
    b'{"event":"device:register","data":{"token":"' + b"t" * 4_097 + b'","platform":"ios"}}',
    b'{"event":"device:register","data":{"token":"t","platform":{"android":1}}}',
)
_SOCKETIO_CASES = (
    *(frame for frame in SENSELESS if len(frame) <= 30_000),
    *(b"2", b"2probe", b"2" + b"x" * 30_000, b"2\0", b"2\xef\xbb\xbf", b"40", b"40{}", b"40,{}"),
    *(b'40{"token":7}', b'40{"token":"\\ud83d"}', b'40{"token":"a.b.c"}', b'40{"userId":[]}'),
    *(b'40{"token":"' + b"." * 20_000 + b'"}', b'420["call:cancel"]', b'421["call:cancel",7]'),
    *(b'422["call:cancel",{"callId":7}]', b'423["\\u0000"]', b'42["call:cancel",{}]', b"43"),
    *(b'420["",{}]', b'420["$connect",{}]', b'42/admin,1["call:cancel",{}]', b"40/admin,{}"),
    *(b"0" * 30_000, b"42" + b"0" * 38 + b'["x"]', b"42" + b"9" * 38 + b'["x"]'),
)
_BEGINS_AS_PACKET = re.compile(rb"b?[0-9]")
# The root namespace may be named, with a query; JSON may begin with white space.
_EVENT = re.compile(r"42(?:/(?:\?[^,]*)?,)?([0-9]{0,38})(.*)", re.DOTALL)
_ACK = re.compile(rb"43([0-9]+)(\[.*\])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Event:
    """A packet that names an event; `ack` is the id that its answer must have, if it wants one."""

    ack: bytes | None


class Sender(Enum):
    """Whose frame it is, with the outcomes that may answer it beside `invalid`."""

    UNKNOWN = frozenset[str]()  # a connection that nobody opened
    STRANGER = frozenset({"not_found"})  # to every call
    OUTSIDE = frozenset({"forbidden"})  # a Socket.IO client that has not been let in
    CALLER = frozenset({""})  # of a call that rings; what it sends is malformed for certain


def json_cases(random: Random, world: World) -> Iterator[Case]:
    """To `gateway`, as API Gateway forwards what is sent on a connection that nobody opened."""
    for frame in json_frames(random, world):
        yield _forwarded(frame, world)


def socketio_cases(random: Random, world: World) -> Iterator[Case]:
    for frame in socketio_frames(random, world):
        yield _forwarded(frame, world)


def json_frames(random: Random, world: World) -> Iterator[bytes]:
    yield from _JSON_CASES
    while True:
        frame = _json_request(random, world)
        match random.randrange(10):
            case 0 | 1 | 2 | 3 | 4:
                yield damaged(json.dumps(frame).encode(), random)
            case 5 | 6 | 7:
                yield text_of(altered(frame, random, world.marker), random)
            case 8:
                yield text_of(odd_value(random, world.marker), random)
            case _:
                yield random.randbytes(random.randrange(200))


def socketio_frames(random: Random, world: World) -> Iterator[bytes]:
    yield from _SOCKETIO_CASES
    while True:
        event, data = (_json_request(random, world)[part] for part in ("event", "data"))
        ack = random.choice(("", "0", "7", "9" * 38, "9" * 39))
        arguments = [event, data]
        packet = random.choice((*(f"42{ack}",) * 8, f"42/,{ack}", f"42/admin,{ack}", "43", "40"))
        auth = {"token": _token(random, world), "userId": world.caller}
        content: Any = auth if packet == "40" else arguments
        match random.randrange(8):
            case 0 | 1 | 2 | 3:
                yield damaged(packet.encode() + json.dumps(content).encode(), random)
            case 4 | 5 | 6:
                yield packet.encode() + text_of(altered(content, random, world.marker), random)
            case _:
                yield b"%d" % random.randrange(100) + random.randbytes(random.randrange(80))


def wrong_with_frame(frame: bytes, answer: bytes, sender: Sender) -> str | None:
    """What is wrong with the frame that answers `frame` of `sender`, which did nothing."""
    try:
        if _BEGINS_AS_PACKET.match(frame):
            return _wrong_with_packet(frame, answer, sender)
        return _wrong_with_ack(frame, answer, sender)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return f"is answered with what can't be read: {answer[:80]!r} ({error!r})"


def may_end_session(frame: bytes) -> bool:
    """Whether a Socket.IO client may say goodbye by it: the close packet of Engine.IO, and the
    disconnect packet of Socket.IO. Which of what may follow them is ignored is not told here."""
    return frame.startswith((b"1", b"41"))


def _forwarded(frame: bytes, world: World) -> Case:
    def wrong_with(answer: Answer) -> str | None:
        if answer.status != 200:
            return f"is answered {answer.status}, which API Gateway makes an error of"
        return wrong_with_frame(frame, answer.body, Sender.UNKNOWN)

    return Case(request(mapped_headers(world, "MESSAGE"), frame), frame, wrong_with)


def mapped_headers(world: World, event_type: str) -> list[Header]:
    """What API Gateway maps on every route."""
    return [
        ("content-type", "application/json; charset=UTF-8"),
        ("unring-secret", world.secret),
        ("unring-connection-id", world.connection),
        ("unring-event-type", event_type),
        ("unring-request-time", "1700000000000"),
    ]


def _json_request(random: Random, world: World) -> dict[str, Any]:
    """A request to damage; most of them lack something, as what is whole is slow to be refused."""
    if random.random() < 0.25:
        platform = random.choice(("android", "fridge", "", world.marker))
        data: dict[str, Any] = {"token": f"{world.marker}-token", "platform": platform}
        return {"event": "device:register", "data": data, "id": random.randrange(1_000)}
    call = world.call if random.random() < 0.4 else odd_value(random, world.marker)
    data = {"callId": call, "reason": f"{world.marker} said so"}
    event = random.choice((*SIGNALS, "call:explode"))
    return {"event": event, "data": data, "id": random.randrange(1_000)}


def _token(random: Random, world: World) -> str:
    return f"{world.marker}.{odd_text(random, world.marker)}."


def _wrong_with_ack(frame: bytes, answer: bytes, sender: Sender) -> str | None:
    content = json.loads(answer)
    if content["event"] != "ack":
        return f"is not answered with an ack: {answer[:80]!r}"
    expected, found = _id_of(frame), content.get("id")
    if expected != found and content["data"].get("field") != "id":
        return f"has the id {expected!r}, its ack {found!r}"
    return _wrong_with_verdict(content["data"], sender)


def _wrong_with_packet(frame: bytes, answer: bytes, sender: Sender) -> str | None:
    if frame.startswith(b"2") and _is_utf8(frame):
        expected = b"3" + frame[1:] if len(frame.decode()) <= _LONGEST_PING else b"6"
        return None if answer == expected else f"is a ping answered {answer[:80]!r}"
    if answer == RECONNECT:
        return None if sender is Sender.UNKNOWN else "ends an open session"
    if (event := _event_in(frame)) is not None:
        return _wrong_with_event(event, answer, sender)
    if answer == b"6":
        return None
    if answer.startswith(b"44") and frame.startswith(b"40"):
        refusal = json.loads(answer[answer.index(b"{") if b"{" in answer else 2 :])
        return None if refusal else "is kept out without a reason"
    return f"asks for nothing and is answered {answer[:80]!r}"


def _wrong_with_event(event: _Event, answer: bytes, sender: Sender) -> str | None:
    if event.ack is None:
        if not answer.startswith(b"42"):  # an event that is obeyed is answered with a noop
            return f"is not told what is wrong: {answer[:80]!r}"
        name, verdict = json.loads(answer[2:])
        return _wrong_with_verdict(verdict, sender) if name == "call:error" else f"is {name!r}"
    ack = _ACK.fullmatch(answer)
    if ack is None:
        return f"asks for an ack and is answered {answer[:80]!r}"
    if ack[1] != event.ack:
        return f"has the ack id {event.ack!r}, its ack {ack[1]!r}"
    return _wrong_with_verdict(json.loads(ack[2])[0], sender)


def _wrong_with_verdict(verdict: dict[str, Any], sender: Sender) -> str | None:
    outcome, field, message = (verdict.get(part) for part in ("outcome", "field", "message"))
    if verdict["ok"] is True and outcome == "unregistered" and sender is Sender.STRANGER:
        return None  # of a phone that is nobody's
    if verdict["ok"] is not False:
        return f"is obeyed: {verdict!r:.120}"
    if outcome != "invalid" and outcome not in sender.value:
        return f"has the outcome {outcome!r}"
    if outcome == "not_found":
        return None  # which is all that may be said
    if not (isinstance(field, str) and field and isinstance(message, str) and field in message):
        return f"is not told what is wrong: {verdict!r:.120}"
    if outcome == "invalid" and field == "connection" and sender is not Sender.UNKNOWN:
        return "ends an open session"
    return None


def _id_of(frame: bytes) -> object:
    """The `id` that must come back, by the standard library."""
    try:
        content = json.loads(frame.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return content.get("id") if isinstance(content, dict) else None


def _event_in(frame: bytes) -> _Event | None:
    """The event that a packet is, however damaged it may be: what still names one is one."""
    try:
        found = _EVENT.fullmatch(frame.decode())
        content = json.loads(found[2], parse_constant=_refuse) if found else None
    except (ValueError, RecursionError):
        return None
    if not (found and isinstance(content, list) and content and isinstance(content[0], str)):
        return None
    # An id is a number: leading zeros don't come back.
    return _Event(b"%d" % int(found[1]) if found[1] else None)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _is_utf8(frame: bytes) -> bool:
    try:
        frame.decode()
    except UnicodeDecodeError:
        return False
    return True
