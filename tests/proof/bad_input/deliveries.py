"""What a subscriber must log of a delivery: that it can't be read, or what became of it.

Each delivery is judged by the lines of the function that had it, whatever any other function had.
"""

from collections.abc import Collection

import msgspec

from functions.calls.event import CallEvent, MalformedEvent
from functions.published import Published, decode

SUBSCRIBERS = ("deliver", "push")

_UNREAD = "malformed delivery"
_DONE = {
    "deliver": frozenset(
        {"expired", "no longer true", "superseded", "delivered", "too late", "opened", "caught up"}
    ),
    "push": frozenset({"expired", "no longer true", "pushed"}),
}


class _Message(msgspec.Struct, rename="camel"):
    message_id: str
    data: bytes = b""
    attributes: dict[str, str] = {}


class _Envelope(msgspec.Struct, rename="camel"):
    """https://cloud.google.com/pubsub/docs/push#receive_push"""

    message: _Message
    subscription: str = ""
    delivery_attempt: int | None = None


def event_in(body: bytes) -> Published | None:
    """The event of a delivery, or None if there is none that can be read.

    What damage has left of an event is for the product to say, as other tests hold its decoder
    against the protocol. Here counts that both subscribers take the same for one.
    """
    try:
        return decode(msgspec.json.decode(body, type=_Envelope).message.data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, MalformedEvent):
        return None


def wrong_with_lines(
    function: str, event: Published | None, messages: Collection[str]
) -> str | None:
    """What is wrong with what `function` logged of a delivery that it has acknowledged."""
    said = frozenset(messages)
    if event is None:
        is_right = said == {_UNREAD}
    elif _is_for(function, event):
        is_right = _UNREAD not in said and not said.isdisjoint(_DONE[function])
    else:
        is_right = _UNREAD not in said
    if is_right:
        return None
    what = "can't be read" if event is None else "is an event"
    return f"{what}, of which {function} says {sorted(said) or 'nothing'}"


def _is_for(function: str, event: Published) -> bool:
    """Whether the function does anything with it: `push` need not say that it does not."""
    is_pushed = isinstance(event, CallEvent) and bool(event.push_recipients)
    return function == "deliver" or is_pushed
