"""ID tokens that must not let anybody in.

The local stack takes unsigned tokens, so that many a changed one is valid: those made here are bad
in one way at least that no change to another part mends.
"""

import base64
from random import Random
from typing import Any

from infra.emulators.auth.tokens import unsigned_token
from tests.proof.bad_input.case import World
from tests.proof.bad_input.damage import altered, damaged, odd_text, odd_value, text_of

_KEPT = (
    *("", " ", ".", "..", "...", "a.b", "a.b.c.d", "null", "undefined", "Bearer", "é.é.é"),
    *("e30.e30.", "bnVsbA.bnVsbA.", "W10.W10.", "IiI.IiI.", "MQ.MQ.", "e30.W10.x", "%00", "=.=.="),
    *("x" * 9_000, "." * 9_000, "e30." + "A" * 9_001 + ".", "-_.-_.-_", "e30.e30.e", "e30.\ud83d."),
)


def bad_token(random: Random, world: World) -> str:
    """One that is another project's, has expired, or is nobody's."""
    match random.randrange(8):
        case 0:
            return random.choice(_KEPT)
        case 1:
            return odd_text(random, world.marker)
        case 2 | 3:
            foreign = unsigned_token(world.marker, f"not-{world.project}")
            return damaged(foreign.encode(), random)[:9_000].decode("latin-1")
        case 4:
            return unsigned_token(world.stranger, world.project, lifetime_seconds=-1)
        case _:
            header = altered({"alg": "none", "typ": "JWT"}, random, world.marker)
            if random.random() < 0.7:
                header = {"alg": "none", "typ": "JWT"}
            return f"{_part(header, random)}.{_part(_claims(random, world), random)}."


def _claims(random: Random, world: World) -> Any:
    """Claims of which at least one does not hold."""
    now = world.now // 1000
    good: dict[str, Any] = {
        "iss": f"https://securetoken.google.com/{world.project}",
        "aud": world.project,
        "sub": world.stranger,
        "auth_time": now,
        "iat": now,
        "exp": now + 3600,
    }
    bad: dict[str, tuple[object, ...]] = {
        "iss": (None, 7, [], good["iss"] + "/", world.marker),
        "aud": (None, 7, [world.project], {}, f"{world.project}-", world.marker),
        "sub": (None, 7, [], {}, "", "s" * 129, True),
        "exp": (None, True, 0, -1, now - 1, "9999999999", 1e400, [now + 9], {}, -(10**400)),
    }
    name = random.choice(list(bad))
    other = random.choice(("auth_time", "iat", "extra", "firebase", "uid"))
    changed = {**good, other: odd_value(random, world.marker)} if random.random() < 0.5 else good
    if random.random() < 0.2:
        return {key: value for key, value in changed.items() if key != name}
    return {**changed, name: random.choice(bad[name])}


def _part(content: Any, random: Random) -> str:
    text = text_of(content, random)
    return base64.urlsafe_b64encode(text).decode().rstrip("=")
