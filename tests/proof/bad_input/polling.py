"""Bad requests of clients that poll: of no session, or of no transport."""

from collections.abc import Iterator
from itertools import zip_longest
from random import Random
from urllib.parse import quote

from tests.proof.bad_input.case import Case, Header, World, printable, refused, request
from tests.proof.bad_input.damage import damaged, odd_text
from tests.proof.bad_input.frames import json_frames, socketio_frames
from tests.proof.bad_input.tokens import bad_token

_ALPHABET = "ABCabc019_-"
_VERSIONS = ("4", "3", "4", "3", "", "2", "5", "04", "4.0", "\u0664", "null", "4,3")
_TRANSPORTS = ("polling", "polling", "polling", "websocket", "", "Polling", "webtransport", "é")
_METHODS = ("GET", "POST", "POST")


def polls(random: Random, world: World) -> Iterator[Case]:
    """None names a session that there is, so none may do anything. One that would begin a session,
    as it is good, names one too."""
    bodies = zip_longest(json_frames(random, world), socketio_frames(random, world))
    for pair in bodies:
        for body in pair:
            query = _query(random, world)
            shown = "&".join(f"{name}={quote(said, errors='replace')}" for name, said in query)
            headers: list[Header] = []
            if random.random() < 0.2:
                headers.append(("authorization", printable(f"Bearer {bad_token(random, world)}")))
            made = request(
                headers,
                _payload(body or b"", random)[:20_000],
                method=random.choice(_METHODS),
                target=b"/socket.io/?" + shown.encode(),
            )
            yield Case(made, made[:300], refused)


def _query(random: Random, world: World) -> list[tuple[str, str]]:
    query = [
        ("EIO", random.choice(_VERSIONS)),
        ("transport", random.choice(_TRANSPORTS)),
        ("sid", _sid(random, world)),
    ]
    if random.random() < 0.3:
        name = random.choice(("token", "ring", "userId", "deviceId", "t", "b64", "j", "sid", "EIO"))
        query.append((name, odd_text(random, world.marker)[:500]))
    random.shuffle(query)
    return query


def _sid(random: Random, world: World) -> str:
    id, key = ("".join(random.choices(_ALPHABET, k=length)) for length in (22, 32))
    good = f"poll-{id}.{key}"
    if random.random() < 0.4:
        return good
    spoiled = damaged(good.encode(), random).decode(errors="replace")
    return random.choice((spoiled, spoiled, odd_text(random, world.marker)[:500], world.connection))


def _payload(frame: bytes, random: Random) -> bytes:
    match random.randrange(3):
        case 0:
            return frame
        case 1:
            return b"%d:%s" % (len(frame) + random.choice((0, 0, 1, -1)), frame)
        case _:
            return b"\x1e".join([frame, frame[: random.randrange(50)], b"4"])
