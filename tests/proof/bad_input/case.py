"""One bad input: how it goes on the socket, and what is wrong with an answer to it."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random

from functions.published import Published

ACKNOWLEDGED = 204

Header = tuple[str, str | bytes]

# Said by the HTTP server and the framework, of what never reaches a function of ours.
_PLAIN_REASONS = {b"Invalid HTTP request received.", b"Not Found", b"Method Not Allowed"}


def is_passing(answer: bytes) -> bool:
    """Whether an answer says nothing of the input, but that Firestore was too slow just now.

    It has two seconds, which may be too little on a busy machine. The same input may be sent again,
    and then is judged by what it gets.
    """
    return b'"outcome":"unavailable"' in answer


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; status 0 stands for none at all."""

    status: int
    body: bytes = b""

    @property
    def is_passing(self) -> bool:
        return self.status == 503 or is_passing(self.body)


@dataclass(frozen=True, slots=True)
class Case:
    """`request` is all the bytes of it, `shown` what is bad of it, for whoever reads a finding.

    `wrong_with` gives a sentence when an answer is not what the input must get. Of one that
    `is_cut` the client hangs up before there could be any. `event` is what a delivery says that
    can be read for all its faults.
    """

    request: bytes
    shown: bytes
    wrong_with: Callable[[Answer], str | None]
    is_cut: bool = False
    event: Published | None = None


@dataclass(frozen=True, slots=True)
class World:
    """What the inputs name: a call that rings, its parties, and people who are none of it.

    Whatever by chance is valid comes from a `stranger`, or tells somebody `absent`, who has no
    socket and no phone; deliveries name no other user, as damage may put a name in any place.
    `connection` was never opened. Whatever else a client may write freely has `marker` in it.
    """

    project: str
    secret: str
    call: str
    caller: str
    receiver: str
    stranger: str
    absent: str
    connection: str
    marker: str
    now: int  # Unix ms


Cases = Callable[[Random, World], Iterator[Case]]


def request(
    headers: Iterable[Header] = (),
    body: bytes = b"",
    *,
    method: str = "POST",
    target: bytes = b"/",
    length: bool = True,
) -> bytes:
    """An HTTP request. What ends a line is taken out of header values: it would end the header."""
    lines = [b"%s %s HTTP/1.1" % (method.encode(), target), b"host: 127.0.0.1"]
    lines += [b"%s: %s" % (name.encode(), _value(value)) for name, value in headers]
    if length:
        lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body])


def random_of(seed: int, what: str) -> Random:
    """What makes the inputs of one kind, the same for the same seed."""
    return Random(f"{seed} {what}")  # noqa: S311 - inputs that can be repeated, and no secrets


def refused(answer: Answer) -> str | None:
    """The input must be refused with a reason."""
    if not 400 <= answer.status < 500:
        return f"is answered {answer.status}"
    if answer.body in _PLAIN_REASONS or message_in(answer.body):
        return None
    return f"is refused without a reason: {answer.body[:80]!r}"


def refused_without_body(answer: Answer) -> str | None:
    """As `refused`, of a HEAD, whose answer has no body by HTTP's own rule."""
    return None if 400 <= answer.status < 500 else f"is answered {answer.status}"


def acknowledged(answer: Answer) -> str | None:
    """A delivery that can't be read must not come again; the log says why."""
    return (
        None if answer.status == ACKNOWLEDGED else f"is answered {answer.status}, so it comes again"
    )


def message_in(body: bytes) -> str | None:
    """The `message` of a JSON answer, if there is one with something in it."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    message = content.get("message") if isinstance(content, dict) else None
    return message if isinstance(message, str) and message else None


def printable(text: str) -> str:
    """What of a text a header can carry: what is no HTTP is up to API Gateway."""
    return "".join(character for character in text if character.isprintable()).strip()


def traces_of(text: str) -> list[str]:
    """How `text` may show up in a log: as it is, and within base64 at each of three alignments."""
    encoded = text.encode()
    kept = [base64.b64encode(b"x" * shift + encoded)[4:-4].decode() for shift in range(3)]
    return [text, *kept]


def _value(value: str | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
    return raw.replace(b"\r", b" ").replace(b"\n", b" ")
