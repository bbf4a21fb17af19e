"""Bad requests: handshakes, the headers that API Gateway maps, and HTTP as such."""

import gzip
import json
from collections.abc import Iterator
from random import Random
from typing import Any

from infra.emulators.auth.tokens import unsigned_token
from tests.proof.bad_input.case import (
    Answer,
    Case,
    Header,
    World,
    acknowledged,
    refused,
    refused_without_body,
    request,
)
from tests.proof.bad_input.damage import damaged, odd_text, odd_value
from tests.proof.bad_input.frames import Sender, mapped_headers, wrong_with_frame
from tests.proof.bad_input.tokens import bad_token

_HUGE = "h" * 9_000  # of a header: with the others within the HTTP server's 64 KB
_UNKNOWN_METHODS = ("TRACE", "BREW", "PROPFIND")
_METHODS = ("PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", *_UNKNOWN_METHODS)
_TARGETS = (
    *(b"//", b"/../../etc/passwd", b"/%00", b"/%ff", b"/?a=%", b"/;", b"/@x", b"*", b"http://x/"),
    b"/" + b"a" * 4_000,
)
_CONTENT_TYPES = ("application/json", "text/plain", "multipart/form-data", "", ";;;")
_CHUNKS = (
    *(b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"3;x\r\nabc\r\n0\r\na: b\r\n\r\n"),
    *(b"zz\r\n", b"-1\r\nabc\r\n", b"f" * 40 + b"\r\n", b"3\r\nabcdef\r\n"),
)
_LENGTHS = ("-1", "x", "1e3", "0x10", "+1", "1, 2", "٣")
_HEADER_NAMES = ("b@d", "sp ace", "é", "", "a:b", "x" * 2_000, "new\tline")
_TIMES = (
    *("", "0", "-1", "1.5", "1e13", "NaN", "\u0661", "²", "9" * 13, "9" * 14, "9" * 5_000, "null"),
    *("0x10", "1_000", " 1", "1700000000000,1700000000000", "٣" * 13, "00000", "true"),
)
_EVENT_TYPES = (
    *("", "message", "MESSAGES", "CONNECTED", "DISCONNECTED", "MESSAGE,CONNECT", "\0", "é", "$"),
    *("EXPLODE", "$connect", "None", "MESSAGE\ufeff", "\u202eEGASSEM"),
)
_CONNECTIONS = ("", ".", "..", "__x__", "a/b=", "/", "a=,b=", ",", "x" * 1_501, "é" * 800, "a//b")


def handshakes(random: Random, world: World) -> Iterator[Case]:
    """Of JSON clients, and of Socket.IO clients of no version: none may come in."""
    while True:
        token = bad_token(random, world)
        yield _case(_handshake(random, world, token), token.encode("utf-8", "replace"))


def mapped(random: Random, world: World) -> Iterator[Case]:
    """Requests that can't be API Gateway's, each in one way at least."""
    while True:
        headers = dict(mapped_headers(world, random.choice(("CONNECT", "MESSAGE", "DISCONNECT"))))
        name, values = random.choice(
            (
                ("unring-secret", _wrong_secrets(random, world)),
                ("unring-connection-id", _CONNECTIONS),
                ("unring-event-type", _EVENT_TYPES),
            )
        )
        many = list(headers.items())
        match random.randrange(4):
            case 0:
                many = [(key, value) for key, value in many if key != name]
            case 1:
                twice = random.choice((headers[name], odd_text(random)))
                many.insert(random.randrange(len(many) + 1), (name.upper(), twice))
            case _:
                many = [*((key, value) for key, value in many if key != name)]
                many.append((name, random.choice(values)))
        if random.random() < 0.3:
            many.append((odd_name(random), odd_text(random, world.marker)))
        yield _case(many, _shown(many))


def request_times(random: Random, world: World) -> Iterator[Case]:
    """A time that can't be is as good as none: the frame is answered all the same."""
    for count in range(1_000_000_000):
        moment = _TIMES[count] if count < len(_TIMES) else odd_text(random)
        times = [("unring-request-time", moment)]
        headers = [pair for pair in mapped_headers(world, "MESSAGE") if pair[0] != times[0][0]]
        yield Case(
            request([*headers, *times], b"{}"),
            b"time " + moment.encode("utf-8", "replace"),
            _frame_or_refusal,
        )


def http_to(function: str) -> Any:
    """HTTP as no client of ours speaks it, to one of the functions."""

    def made(random: Random, world: World) -> Iterator[Case]:
        for head, body, shown in _requests(random, world):
            method = head.get("method", "POST")
            built = request(head.get("headers", ()), body, **_without(head, "headers"))
            yield Case(built, shown, _judge(function, method, head.get("target", b"/")))

    return made


def traceparents_to(function: str) -> Any:
    """What says whose work a request is part of, and is written by anybody."""

    def made(random: Random, world: World) -> Iterator[Case]:
        good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        while True:
            parts = good.split("-")
            value: str | bytes = random.choice(
                (
                    *("", good.upper(), f"{good}-", f"ff{good[2:]}", "-".join(parts[:3]), good * 9),
                    *(f"{good}, {good}", f'{good}","severity":"{world.marker}', f"{good}\u2028"),
                    *(odd_text(random, world.marker), odd_text(random, world.marker), _HUGE),
                    *(damaged(good.encode(), random).replace(b"\0", b" ")[:9_000],) * 4,
                )
            )
            headers: list[Header] = [("traceparent", value)] * random.choice((1, 1, 1, 2))
            shown = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
            yield Case(request(headers, b"{"), shown, _judge(function, "POST", b"/"))

    return made


def cut_requests(random: Random, world: World) -> Iterator[Case]:
    """Requests of which the end never comes; nobody is there to be answered."""
    while True:
        body = json.dumps({"event": world.marker, "data": odd_value(random)}).encode()
        whole = random.choice(
            (
                request(mapped_headers(world, "MESSAGE"), body),
                request([], body),
                request([("transfer-encoding", "chunked")], b"5\r\nabc", length=False),
                request(mapped_headers(world, "CONNECT"), body),
            )
        )
        # After the headers mostly: what is cut before them no function learns of.
        start = whole.index(b"\r\n\r\n") + 4 if random.random() < 0.8 else 1
        part = whole[: random.randrange(start, len(whole))]
        yield Case(part, part[-80:], lambda _: None, is_cut=True)


def odd_name(random: Random) -> str:
    """The name of a header that nobody needs, or that others read something into."""
    return random.choice(
        (
            *("x-forwarded-for", "x-cloud-trace-context", "function-execution-id", "te"),
            *(
                "unring-token",
                "unring-ring",
                "unring-user-id",
                "unring-authorization",
                "forwarded",
                "cookie",
            ),
            *("x-http-method-override", "ce-id", "ce-type", "accept", "range", "if-match", "via"),
        )
    )


def _handshake(random: Random, world: World, token: str) -> list[Header]:
    headers = mapped_headers(world, "CONNECT")
    match random.randrange(8):
        case 0 | 1 | 2:
            headers.append((random.choice(("unring-token", "unring-ring")), token))
        case 3 | 4:
            scheme = random.choice(("Bearer", "bearer", "BEARER", "Basic", "Bearer\t", "", "Token"))
            headers.append(("unring-authorization", f"{scheme} {token}"))
        case 5:
            good = unsigned_token(world.stranger, world.project)
            twice = random.choice(("unring-token", "unring-authorization"))
            headers += [(twice, f"Bearer {token}"), (twice, f"Bearer {good}")]
        case 6:
            # The token is good, but somebody else's.
            claimed = random.choice((world.caller, odd_text(random, world.marker) or "x"))
            good = unsigned_token(world.stranger, world.project)
            headers += [("unring-token", good), ("unring-user-id", f"x{claimed}")]
        case _:
            protocol = random.choice(("0", "5", "03", "3,4", "4.0", "٣", "-4", "x" * 5_000, "null"))
            headers += [("unring-eio", protocol), ("unring-transport", "websocket")]
            headers.append(("unring-token", token))
            if random.random() < 0.3:
                transport = random.choice(("polling", "", "WebSocket", "websocket,polling", "é"))
                headers[-3:-1] = [("unring-eio", "4"), ("unring-transport", transport)]
    if random.random() < 0.2:
        headers.append((random.choice(("sec-websocket-protocol", "cookie", "x-y")), _HUGE))
    return headers


def _wrong_secrets(random: Random, world: World) -> tuple[str | bytes, ...]:
    secret = world.secret
    return (
        *("", "null", secret[:-1], f"{secret}x", secret.swapcase(), f"{secret},{secret}", "é" * 99),
        *(_HUGE, secret.encode()[::-1], b"\xff\xfe", f"'{secret}'", odd_text(random) or "x"),
    )


def _requests(random: Random, world: World) -> Iterator[tuple[dict[str, Any], bytes, bytes]]:
    """What is special of it, its body, and what to show of it."""
    while True:
        head = {"headers": [("content-type", random.choice(_CONTENT_TYPES))]}
        body = random.choice((_odd_body, _random_body, _json_body))(random, world)
        special, body = _special(random, world, body)
        head["headers"] += special.pop("headers", [])
        shown = f"{ {**special, 'headers': head['headers'][:3]} } ".encode()
        yield {**head, **special}, body, shown + body[:80]


def _special(random: Random, world: World, body: bytes) -> tuple[dict[str, Any], bytes]:
    """Arguments of `request`, and the body if it is not to be another."""
    match random.randrange(13):
        case 0:
            return {"method": random.choice(_METHODS)}, body
        case 1:
            return {"target": random.choice((*_TARGETS, f"/{world.marker}".encode()))}, body
        case 2:
            encoding = random.choice(("gzip", "br", "identity, gzip", odd_text(random)))
            return {"headers": [("content-encoding", encoding)]}, body
        case 3:
            chunked = [("transfer-encoding", "chunked")]
            return {"headers": chunked, "length": False}, random.choice(_CHUNKS)
        case 4:
            length = ("content-length", random.choice(_LENGTHS))
            return {"headers": [length], "length": False}, body
        case 5:
            return {"headers": [("expect", "100-continue")]}, body
        case 6:
            return {"headers": [(random.choice(_HEADER_NAMES), "x")]}, body
        case 7:
            return {"headers": [("x-many", "y")] * 300}, body
        case 8:
            return {"headers": [("cookie", "c" * 60_000)]}, body
        case 9:
            return {}, random.choice((b"x" * 300_000, b"[" * 30_000))
        case _:
            return {"headers": [(odd_name(random), odd_text(random, world.marker))]}, body


# Bodies are small: of a request whose headers are refused, more would be left unread, and the
# server's answer would be lost on its way.


def _odd_body(random: Random, world: World) -> bytes:
    gzipped = gzip.compress(b'{"message":{"data":"e30=","messageId":"1"}}', mtime=0)
    form = b'--x\r\ncontent-disposition: form-data\r\n\r\n"'
    marked = b"{" + world.marker.encode()
    return random.choice((b"", b"\0" * 99, b"\xff" * 99, marked, b"a=b&c=d", gzipped, form))


def _random_body(random: Random, _: World) -> bytes:
    return random.randbytes(random.randrange(400))


def _json_body(random: Random, world: World) -> bytes:
    return json.dumps(odd_value(random, world.marker)).encode()[:2_000]


def _judge(function: str, method: str, target: bytes) -> Any:
    """What must be answered to a request that makes no sense to `function`."""
    path = target.removeprefix(b"http://x")  # with a host before it, it is as good

    def wrong_with(answer: Answer) -> str | None:
        if answer.status == 400 or path[:1] != b"/" or method in _UNKNOWN_METHODS:
            return (refused_without_body if method == "HEAD" else refused)(answer)
        match function:
            case "gateway":
                return (refused_without_body if method == "HEAD" else refused)(answer)
            case "sweep":
                return None if method == "HEAD" else _wrong_with_sweep(answer)
            case _:
                return acknowledged(answer)

    return wrong_with


def _wrong_with_sweep(answer: Answer) -> str | None:
    if answer.status != 200:
        return f"is answered {answer.status}"
    is_done = b'"failed":0' in answer.body
    return None if is_done else f"has a look fail: {answer.body[:120]!r}"


def _frame_or_refusal(answer: Answer) -> str | None:
    if answer.status == 200:
        return wrong_with_frame(b"{}", answer.body, Sender.UNKNOWN)
    return refused(answer)


def _case(headers: list[Header], shown: bytes) -> Case:
    return Case(request(headers), shown, refused)


def _shown(headers: list[Header]) -> bytes:
    """Without the secret, which has no place in a finding."""
    return repr([pair for pair in headers if pair[0].lower() != "unring-secret"]).encode()


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}
