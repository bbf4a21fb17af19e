"""Damage to what was valid: to bytes, and to what JSON says."""

import copy
import json
from collections.abc import Callable
from random import Random
from typing import Any

LONGEST = 30_000  # bytes: one WebSocket frame, and under the HTTP server's limit on a header

_Damage = Callable[[bytes, Random], bytes]

_INSERTED = (
    *(b"\0", b"\xef\xbb\xbf", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2"),
    *(b"\\ud83d", b"\\u0000", b"\\udc00\\ud800", b"\\x", b"\\", b'"', b"'", b"{", b"}", b"[", b"]"),
    *(b",", b":", b"//", b"/**/", b"NaN", b"-Infinity", b"1e999", b"-0", b"00", b"\r\n"),
    *(b"9" * 400, b"[" * 500, b'{"a":' * 500, b" " * 2_000, "\u2028\u202e\U0001f4de".encode()),
)


def _nested(depth: int) -> Any:
    nested: Any = 1
    for level in range(depth):
        nested = [nested] if level % 3 else {"a": nested}
    return nested


_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, -0.0, 1e308, 2**31, 2**53 + 1, 2**63, 2**64, -(2**70)),
    *(10**400, [], {}, [[]], [None], {"": {}}, {"$ne": 1}, _nested(3), _nested(60), _nested(120)),
)


def damaged(data: bytes, random: Random) -> bytes:
    """`data` with one damage, or some."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        data = random.choice(_DAMAGES)(data, random)
    return data[:LONGEST]


def _flip(data: bytes, random: Random) -> bytes:
    if not data:
        return b"\x01"
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def _overwrite(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.randbytes(1) + data[at + 1 :]


def _insert(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(_INSERTED) + data[at:]


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _drop(data: bytes, random: Random) -> bytes:
    start, end = _slice(data, random)
    return data[:start] + data[end:]


def _repeat(data: bytes, random: Random) -> bytes:
    start, end = _slice(data, random)
    return data[:start] + data[start:end] * random.choice((2, 2, 3, 40)) + data[end:]


def _double(data: bytes, random: Random) -> bytes:
    return data + random.choice((b"", b"\n", b",", b"\0")) + data


def _slice(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.randrange(1, 12))


_DAMAGES: tuple[_Damage, ...] = (_flip, _overwrite, _insert, _cut, _drop, _repeat, _double)


def odd_text(random: Random, marker: str = "") -> str:
    """Text that few expect; `marker` is somewhere in most of it."""
    odd = random.choice(
        (
            *("", " ", "\0", "\t\r\n", "\ufeff", "\ud83d", "\udc00\ud800", "\u202e", "é", "²", "٣"),
            *(".", "..", "__x__", "a/b", "/", "\\", "%00", "%2e", "${jndi:x}", "'; --", "<b>"),
            *("a" * 129, "é" * 1_000, "\U0001f4de" * 400, "null", "true", "0", "-1", "1e9"),
        )
    )
    return random.choice((odd, f"{odd}{marker}", f"{marker}{odd}", f"{marker}{odd}{marker}"))


def odd_value(random: Random, marker: str = "") -> Any:
    """A JSON value that few expect."""
    match random.randrange(10):
        case 0 | 1 | 2:
            return odd_text(random, marker)
        case 3:
            return random.choice(([marker], {marker: marker}, {"": [marker]}))
        case _:
            return copy.deepcopy(random.choice(_ODD_VALUES))


def altered(value: Any, random: Random, marker: str = "") -> Any:
    """A copy of a JSON value with something in it taken out, put in, or of another type."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 2, 3))):
        value = _altered(value, random, marker)
    return value


def text_of(value: Any, random: Random) -> bytes:
    """`value` as JSON, written in one way or another."""
    separators = random.choice(((",", ":"), (", ", ": "), (" ,\n", "\t:  ")))
    text = json.dumps(value, ensure_ascii=random.random() < 0.7, separators=separators)
    return text.encode("utf-8", "surrogatepass")


def _altered(value: Any, random: Random, marker: str) -> Any:
    if not isinstance(value, dict | list) or not value or random.random() < 0.1:
        return odd_value(random, marker)
    key = random.choice(list(value)) if isinstance(value, dict) else random.randrange(len(value))
    match random.randrange(6):
        case 0:
            del value[key]
        case 1 if isinstance(value, dict):
            value[odd_text(random)] = odd_value(random, marker)
        case 2 if isinstance(value, dict):
            value[random.choice(list(value))] = copy.deepcopy(value[key])
        case 3:
            value[key] = odd_value(random, marker)
        case _:
            value[key] = _altered(value[key], random, marker)
    return value
