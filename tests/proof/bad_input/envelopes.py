"""Bad deliveries of Pub/Sub: envelopes, and the events in them.

An event that by chance is valid tells somebody whom nobody knows, of a call that it can't change.
So it names nobody else: a field may take the place of any other.
"""

import base64
import json
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.proof.bad_input.case import Case, World, acknowledged, request
from tests.proof.bad_input.damage import altered, damaged, odd_text, odd_value, text_of
from tests.proof.bad_input.deliveries import event_in

_MOMENTS: tuple[object, ...] = (
    *(0, -1, 1, 2**31, 2**63 - 1, 2**63, 2**64, 10**400, 253_402_300_799_999, 253_402_300_800_000),
    *(1.5, 1e300, "0", "soon", None, True, [], {}, "9" * 5_000),
)
_DATES: tuple[object, ...] = (
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+23:59"),
    *("9999-12-31T23:59:59-23:59", "2020-02-30T00:00:00Z", "2020-01-01", "2020-01-01T00:00:00"),
    *("now", "", 0, -1, 1e20, None, True, [], {}, "2020-01-01T24:00:00Z", "2016-12-31T23:59:60Z"),
)
_CONNECTIONS: tuple[object, ...] = (
    "",
    ".",
    "..",
    "__x__",
    "a/b",
    "/",
    "//",
    "\0",
    "é" * 800,
    "x" * 1_501,
    7,
    None,
    [],
)
_NAMES: tuple[object, ...] = (
    "call.changed",
    "call.exploded",
    "connection.accepted",
    "",
    7,
    None,
    [],
)
_STATUSES: tuple[object, ...] = (
    *("cancelled", "rejected", "accepted", "ringing", "missed", "ended"),
    *("exploded", "", 7, None, []),
)
_RECIPIENTS: tuple[object, ...] = (
    *([], None, 7, "", {}, [None], [[]], [{}]),
    *([{"userId": 7}], [{"userId": "a/b", "event": "call:cancelled"}]),
)
_TOLD: tuple[dict[str, Any], ...] = (
    {"event": "call:cancelled", "trueWhile": ["cancelled"], "push": {"type": "call_cancelled"}},
    {"event": "call:accepted", "trueWhile": ["accepted"]},
    {
        "event": "call:rejected",
        "trueWhile": ["rejected"],
        "push": {"type": "call_rejected", "withReason": True},
    },
)
_KEPT = (
    *(b"", b"null", b"{}", b"[]", b"7", b"{", b"\xff", b"\0", b"\xef\xbb\xbf{}", b"[" * 30_000),
    *(b'{"message":null}', b'{"message":{}}', b'{"message":[]}', b'{"message":{"messageId":7}}'),
    *(b'{"message":{"messageId":"1","data":7}}', b'{"message":{"messageId":"1","data":null}}'),
    *(b'{"message":{"messageId":"1","data":"%%%"}}', b'{"message":{"messageId":"1","data":"e30"}}'),
    *(b'{"message":{"messageId":"1","data":"e30="}}', b'{"message":{"messageId":"1"}}'),
    b'{"message":{"messageId":"1","data":"/w=="}}',
    b'{"message":{"messageId":"1","data":"W10="}}',
    *(b'{"message":{"messageId":"1","data":"e3\\n0="}}', b'{"a":' * 6_000, b'{"message":"e30="}'),
    b'{"message":{"messageId":"1","data":"e30=","attributes":7}}',
    b'{"Message":{"Data":"e30="}}',
)


def envelopes(random: Random, world: World) -> Iterator[Case]:
    for body in _bodies(random, world):
        whole = request([("content-type", "application/json")], body)
        yield Case(whole, body, acknowledged, event=event_in(body))


def _bodies(random: Random, world: World) -> Iterator[bytes]:
    yield from _KEPT
    for event in _events_of_each_kind(random, world):
        yield json.dumps(_wrapped(json.dumps(event).encode())).encode()
    while True:
        event = _event(random, world)
        match random.randrange(12):
            case 0 | 1 | 2:
                data = damaged(json.dumps(event).encode(), random)
                yield json.dumps(_wrapped(data)).encode()
            case 3 | 4 | 5:
                data = text_of(altered(event, random, world.marker), random)
                yield json.dumps(_wrapped(data)).encode()
            case 6 | 7:
                whole = _wrapped(json.dumps(event).encode())
                yield damaged(json.dumps(whole).encode(), random)
            case 8 | 9:
                whole = altered(_wrapped(json.dumps(event).encode()), random, world.marker)
                yield text_of(whole, random)
            case 10:
                # As a subscription without a wrapper would post it.
                yield text_of(altered(event, random, world.marker), random)
            case _:
                yield text_of(odd_value(random, world.marker), random)


def _events_of_each_kind(random: Random, world: World) -> Iterator[dict[str, Any]]:
    """One thing wrong with each, beginning with what can't be a moment, an id or a name."""
    for moment in _MOMENTS:
        for field in ("timestamp", "expiresAt"):
            yield {**_signal_event(random, world), field: moment}
    for name in _NAMES:
        yield {**_signal_event(random, world), "name": name}
    for status in _STATUSES:
        yield {**_signal_event(random, world), "status": status}
        yield {**_signal_event(random, world), "previousStatus": status}
        yield _signal_event(random, world, trueWhile=[status])
    for recipients in _RECIPIENTS:
        yield {**_signal_event(random, world), "recipients": recipients}
    for id in _CONNECTIONS:
        yield {**_signal_event(random, world), "callId": id}
        yield {**_signal_event(random, world), "served": [id]}
        yield _signal_event(random, world, userId=id)
        yield {**_opened_event(random, world), "connectionId": id}
    for date in _DATES:
        yield {**_opened_event(random, world), "connectedAt": date}
        yield {**_opened_event(random, world), "expiresAt": date}


def _event(random: Random, world: World) -> dict[str, Any]:
    """An event to damage."""
    if random.random() < 0.25:
        return _opened_event(random, world)
    return _signal_event(random, world)


def _signal_event(random: Random, world: World, **recipient: object) -> dict[str, Any]:
    # Most have expired, as what lives is looked up and slow to be found meaningless.
    expires = world.now + random.choice((120_000, *(-60_000,) * 9))
    return {
        "name": "call.changed",
        "signalId": f"{random.getrandbits(128):032x}",
        "callId": world.call,
        "callerId": world.absent,
        "receiverId": world.absent,
        "by": world.absent,
        "status": random.choice(_STATUSES[:3]),
        "previousStatus": "ringing",
        "recipients": [{"userId": world.absent, **random.choice(_TOLD), **recipient}],
        "reason": f"{world.marker} said so",
        "timestamp": world.now - 61_000,
        "expiresAt": expires,
        "served": random.choice(([], [world.connection], None)),
    }


def _opened_event(random: Random, world: World) -> dict[str, Any]:
    return {
        "name": "connection.accepted",
        "connectionId": random.choice((world.connection, odd_text(random))),
        "connectedAt": "2020-01-01T00:00:00Z",
        "expiresAt": "2020-01-01T00:00:20Z",
    }


def _wrapped(data: bytes) -> dict[str, Any]:
    return {
        "message": {
            "data": base64.b64encode(data).decode(),
            "messageId": "1",
            "publishTime": "2020-01-01T00:00:00Z",
            "attributes": {"push": "true", "traceparent": "00-" + "0" * 52},
        },
        "subscription": "projects/unring-local/subscriptions/deliver",
        "deliveryAttempt": 1,
    }
