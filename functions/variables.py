"""Environment variables: which values they take, and when one must be set."""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit

from functions.calls.busy import Busy
from functions.dialect.dialect import Dialect


class Need(Enum):
    """When a variable must be set."""

    ALWAYS = auto()
    IN_CLOUD = auto()  # on Cloud Run, which sets K_SERVICE
    NEVER = auto()  # the variable has a default, or the function does without it
    LOCAL = auto()  # never needed, and refused on Cloud Run: it points at an emulator


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable, and how its text becomes a value."""

    name: str
    parse: Callable[[str], Any]
    need: Need
    default: Any = None
    may_be_empty: bool = False  # an empty text is a value, and not the default
    # What must hold besides on Cloud Run. Raises ValueError.
    check_in_cloud: Callable[[str], object] | None = None


_IDENTITIES = ("firebase", "oidc", "secret", "introspection")
_PUSHED_BY = ("unring", "backend", "off")
_WEBHOOK_SECRET = "whsec_"  # noqa: S105 - how each of them begins
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_NAME = "must have at most 100 letters, digits, underscores and hyphens"

# The parsers, from text to values. Each raises ValueError; the message follows the variable's name.


def text(value: str) -> str:
    return value


def secret(value: str) -> str:
    if len(value) < 16:
        raise ValueError("must have at least 16 characters")
    if not (value.isascii() and value.isprintable()) or "," in value or "'" in value:
        raise ValueError("must be plain ASCII without commas and quotes: it travels in a header")
    return value


def url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL that starts with http:// or https://")
    if parts.username is not None:
        raise ValueError("must be a URL without a user and a password")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("must be a URL whose port is a number up to 65535") from None
    return value.rstrip("/")


def address(value: str) -> str:
    """A URL as it is written: an issuer with a slash at its end is another than without."""
    url(value)
    return value


def https(value: str) -> str:
    """Where tokens go, or keys come from."""
    if not value.lower().startswith("https://"):
        raise ValueError("must start with https:// on Cloud Run")
    return value


def identities(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(","))
    if not set(names) <= set(_IDENTITIES) or len(set(names)) != len(names):
        raise ValueError(f"must be some of {', '.join(_IDENTITIES)}, with commas between them")
    return names


def origins(value: str) -> tuple[str, ...]:
    """Of web pages, as browsers name them: `https://app.example`."""
    found = tuple(origin.strip() for origin in value.split(","))
    for origin in found:
        parts = urlsplit(origin)
        # Pages of Capacitor and of Ionic have schemes of their own. What a browser never sends
        # would never be found equal: capital letters, and the port that a scheme has anyway.
        is_whole = bool(parts.scheme and parts.hostname) and "*" not in origin
        is_as_sent = origin == f"{parts.scheme}://{parts.netloc}".lower() and "@" not in origin
        if not is_whole or not is_as_sent or origin.endswith(_DEFAULT_PORTS.get(parts.scheme, "/")):
            raise ValueError(
                "must be origins as browsers send them, such as https://app.example or "
                "http://localhost:3000, with commas between"
            )
    return found


def pushed_by(value: str) -> str:
    if value not in _PUSHED_BY:
        raise ValueError(f"must be one of {', '.join(_PUSHED_BY)}")
    return value


def urls(value: str) -> tuple[str, ...]:
    """Where webhooks go, each as it is written."""
    found = tuple(each.strip() for each in value.split(","))
    for each in found:
        address(each)
        if not (each.isascii() and each.isprintable()) or " " in each or "#" in each:
            raise ValueError("must be URLs as they are sent: percent-encoded, without a fragment")
    if len(set(found)) != len(found):
        raise ValueError("must not name a URL twice")
    return found


def webhook_key(value: str) -> str:
    """As Standard Webhooks writes one."""
    try:
        key = base64.b64decode(value.removeprefix(_WEBHOOK_SECRET), validate=True)
    except binascii.Error:
        key = b""
    if not value.startswith(_WEBHOOK_SECRET) or not 24 <= len(key) <= 64:
        raise ValueError("must be whsec_ and 24 to 64 bytes in base64")
    return value


def allowed(value: str) -> bool:
    if value != "allowed":
        raise ValueError("must be `allowed`, or not set")
    return True


def signing_secret(value: str) -> str:
    if len(value.encode()) < 32:
        raise ValueError("must have at least 32 bytes: a shorter one can be guessed from a token")
    return value


def age(value: str) -> timedelta:
    number = _number(value)
    if not 1 <= number <= 400 * 86_400:
        raise ValueError("must be from 1 second to 400 days, in seconds")
    return timedelta(seconds=number)


def pointer(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("must be a JSON pointer, such as /data/id")
    return value


def connections_url(value: str) -> str:
    checked = url(value)
    if not checked.endswith("/@connections"):
        raise ValueError("must be a URL that ends in /@connections")
    return checked


def database(value: str) -> str:
    if value != "(default)" and not re.fullmatch("[a-z][a-z0-9-]{2,61}[a-z0-9]", value):
        raise ValueError("must be (default), or 4 to 63 lowercase letters, digits and hyphens")
    return value


def queue(value: str) -> str:
    if not re.fullmatch("projects/[^/]+/locations/[^/]+/queues/[A-Za-z0-9-]{1,100}", value):
        raise ValueError("must be projects/PROJECT/locations/REGION/queues/NAME")
    return value


def collection(value: str) -> str:
    if not re.fullmatch("[A-Za-z0-9_-]{1,100}", value) or re.fullmatch("__.*__", value):
        raise ValueError(f"{_NAME}, and not of the form __…__")
    return value


def prefix(value: str) -> str:
    if not re.fullmatch("[A-Za-z0-9_-]{0,100}", value):
        raise ValueError(_NAME)
    return value


def host(value: str) -> str:
    name, _, port = value.rpartition(":")
    if not name or not port.isdigit():
        raise ValueError("must be host:port")
    return value


def words(value: str) -> Dialect:
    """The app's own, in a file at this path, or in the TOML that this is."""
    from functions.dialect.reading import dialect_of  # it loads tomllib, which few need

    return dialect_of(value)


def _number(value: str) -> float:
    try:
        number = float(value)
    except ValueError as error:
        raise ValueError("must be a number") from error
    if not 0 < number < 1e9:
        raise ValueError("must be a number above zero")
    return number


def cap(value: str) -> int:
    return _whole(value, 1000)


def ringing(value: str) -> int:
    """Seconds. No phone gets an event that is older than two minutes."""
    return _whole(value, 120, 5)


def busy(value: str) -> Busy:
    if value not in set(Busy):
        raise ValueError(f"must be one of {', '.join(Busy)}")
    return Busy(value)


def grace(value: str) -> timedelta:
    """Seconds, or 0 for none."""
    number = _number(value) if value != "0" else 0
    if number > 60:
        raise ValueError("must be from 0 to 60")
    return timedelta(seconds=number)


def rate(value: str) -> int:
    return _whole(value, 100_000)


def rate_or_none(value: str) -> int:
    """A rate, or 0 for none at all."""
    return _whole(value, 100_000, 0) if value != "0" else 0


def _whole(value: str, most: int, least: int = 1) -> int:
    number = _number(value)
    if number != int(number) or not least <= number <= most:
        raise ValueError(f"must be a whole number from {least} to {most}")
    return int(number)


def post_timeout(value: str) -> timedelta:
    milliseconds = _number(value)
    if milliseconds > 1000:
        raise ValueError("must be 1000 at most: a copy of the event is held back for four seconds")
    return timedelta(milliseconds=milliseconds)


def hold(value: str) -> timedelta:
    milliseconds = _number(value)
    if not 100 <= milliseconds <= 20_000:
        raise ValueError("must be from 100 to 20000: clients poll as often as this is short")
    return timedelta(milliseconds=milliseconds)


def seconds(value: str) -> timedelta:
    number = _number(value)
    if not 1 <= number <= 86_400:
        raise ValueError("must be from 1 to 86400")
    return timedelta(seconds=number)


def days(value: str) -> timedelta:
    number = _number(value)
    if not 1 <= number <= 3650:
        raise ValueError("must be from 1 to 3650")
    return timedelta(days=number)
