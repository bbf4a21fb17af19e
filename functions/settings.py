"""The only reader of the environment: every setting, which function needs it, and what is wrong."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit

FUNCTIONS = ("gateway", "deliver", "push", "sweep")


class Need(Enum):
    """When a variable must be set."""

    ALWAYS = auto()
    IN_CLOUD = auto()  # on Cloud Run, which sets K_SERVICE
    NEVER = auto()  # it has a default, or does without
    LOCAL = auto()  # never needed, and refused on Cloud Run: it points at an emulator


class SettingsError(Exception):
    """The environment won't do; the message has one line for every variable that is wrong."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: which functions read it, and how its text becomes a value."""

    name: str
    field: str  # of Settings
    functions: tuple[str, ...]
    parse: Callable[[str], Any]
    need: Need = Need.NEVER
    default: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one function runs with. A setting the function does not read has its default."""

    project: str
    events_topic: str
    direct_post_timeout: timedelta
    connection_ttl: timedelta
    device_ttl: timedelta
    eio3_ping_interval: timedelta
    eio3_ping_timeout: timedelta
    eio4_ping_interval: timedelta
    eio4_ping_timeout: timedelta
    sweep_after: timedelta
    sweep_every: timedelta
    gateway_secret: str | None
    gateway_secret_previous: str | None
    connections_url: str | None  # ends in /@connections
    aws_region: str | None
    aws_role_arn: str | None
    aws_token_audience: str
    sts_url: str | None
    metadata_host: str | None
    firestore_emulator: str | None
    pubsub_emulator: str | None
    auth_emulator: str | None
    id_token_keys_url: str | None
    fcm_url: str | None


def load(function: str, environ: Mapping[str, str] = os.environ) -> Settings:
    """Reads the settings of `function`. Raises SettingsError, which names all that is wrong."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for variable in VARIABLES:
        try:
            values[variable.field] = _value(variable, function, environ)
        except ValueError as error:
            problems.append(f"{variable.name} {error}")
    if values.get("aws_role_arn") and not values.get("aws_region"):
        problems.append("AWS_REGION is missing, and AWS_ROLE_ARN is of no use without it")
    if problems:
        raise SettingsError("\n  ".join([f"{function} can't start:", *problems]))
    return Settings(**values)


def _value(variable: Variable, function: str, environ: Mapping[str, str]) -> Any:
    text = environ.get(variable.name, "").strip()
    in_cloud = bool(environ.get("K_SERVICE"))
    # Whoever reads it: a library may, even where the function does not.
    if text and in_cloud and variable.need is Need.LOCAL:
        raise ValueError("points at an emulator and must not be set on Cloud Run")
    if function not in variable.functions:
        return variable.default
    if text:
        return variable.parse(text)
    if variable.need is Need.ALWAYS or (variable.need is Need.IN_CLOUD and in_cloud):
        raise ValueError("is missing")
    return variable.default


def variables_of(function: str) -> Iterator[Variable]:
    """The variables that `function` reads."""
    return (variable for variable in VARIABLES if function in variable.functions)


def _text(value: str) -> str:
    return value


def _secret(value: str) -> str:
    if len(value) < 16:
        raise ValueError("must have at least 16 characters")
    if not (value.isascii() and value.isprintable()) or "," in value or "'" in value:
        raise ValueError("must be plain ASCII without commas and quotes: it travels in a header")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL that starts with http:// or https://")
    return value.rstrip("/")


def _connections_url(value: str) -> str:
    url = _url(value)
    if not url.endswith("/@connections"):
        raise ValueError("must be a URL that ends in /@connections")
    return url


def _host(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("must be host:port")
    return value


def _number(value: str) -> float:
    try:
        number = float(value)
    except ValueError as error:
        raise ValueError("must be a number") from error
    if not 0 < number < 1e9:
        raise ValueError("must be a number above zero")
    return number


def _post_timeout(value: str) -> timedelta:
    milliseconds = _number(value)
    if milliseconds > 1000:
        raise ValueError("must be 1000 at most: a copy of the event is held back for four seconds")
    return timedelta(milliseconds=milliseconds)


def _seconds(value: str) -> timedelta:
    seconds = _number(value)
    if not 1 <= seconds <= 86_400:
        raise ValueError("must be from 1 to 86400")
    return timedelta(seconds=seconds)


def _days(value: str) -> timedelta:
    days = _number(value)
    if not 1 <= days <= 3650:
        raise ValueError("must be from 1 to 3650")
    return timedelta(days=days)


def _timer(name: str, field: str, seconds: int) -> Variable:
    return Variable(name, field, ("deliver",), _seconds, default=timedelta(seconds=seconds))


_GATEWAY = ("gateway",)
_SWEEP = ("sweep",)
_POSTING = ("gateway", "deliver")
_PUBLISHING = ("gateway", "sweep")

VARIABLES: tuple[Variable, ...] = (
    Variable("GOOGLE_CLOUD_PROJECT", "project", FUNCTIONS, _text, Need.ALWAYS),
    Variable("EVENTS_TOPIC", "events_topic", _PUBLISHING, _text, default="call-events"),
    Variable(
        "DIRECT_POST_TIMEOUT_MS",
        "direct_post_timeout",
        _GATEWAY,
        _post_timeout,
        default=timedelta(milliseconds=500),
    ),
    Variable(
        "CONNECTION_TTL_SECONDS",
        "connection_ttl",
        _GATEWAY,
        _seconds,
        # API Gateway closes every connection after two hours; the rest is for clocks that differ.
        default=timedelta(minutes=125),
    ),
    # FCM itself gives up a token that was not used for 270 days.
    Variable("DEVICE_TTL_DAYS", "device_ttl", _GATEWAY, _days, default=timedelta(days=270)),
    # An EIO3 client pings; API Gateway closes a connection that was idle for ten minutes.
    _timer("EIO3_PING_INTERVAL_SECONDS", "eio3_ping_interval", 240),
    _timer("EIO3_PING_TIMEOUT_SECONDS", "eio3_ping_timeout", 60),
    # An EIO4 client is never pinged: it must renew its connection before API Gateway closes it,
    # as Android's does not notice such a close.
    _timer("EIO4_PING_INTERVAL_SECONDS", "eio4_ping_interval", 540),
    _timer("EIO4_PING_TIMEOUT_SECONDS", "eio4_ping_timeout", 30),
    Variable("SWEEP_AFTER_SECONDS", "sweep_after", _SWEEP, _seconds, default=timedelta(seconds=6)),
    Variable("SWEEP_EVERY_SECONDS", "sweep_every", _SWEEP, _seconds, default=timedelta(seconds=10)),
    Variable("GATEWAY_SECRET", "gateway_secret", _GATEWAY, _secret, Need.ALWAYS),
    Variable("GATEWAY_SECRET_PREVIOUS", "gateway_secret_previous", _GATEWAY, _secret),
    Variable("CONNECTIONS_URL", "connections_url", _POSTING, _connections_url, Need.ALWAYS),
    Variable("AWS_REGION", "aws_region", _POSTING, _text, Need.IN_CLOUD),
    Variable("AWS_ROLE_ARN", "aws_role_arn", _POSTING, _text, Need.IN_CLOUD),
    Variable("AWS_TOKEN_AUDIENCE", "aws_token_audience", _POSTING, _text, default="unring"),
    Variable("AWS_ENDPOINT_URL_STS", "sts_url", _POSTING, _url, Need.LOCAL),
    Variable("GCE_METADATA_HOST", "metadata_host", _POSTING, _host, Need.LOCAL),
    Variable("FIRESTORE_EMULATOR_HOST", "firestore_emulator", FUNCTIONS, _host, Need.LOCAL),
    Variable("PUBSUB_EMULATOR_HOST", "pubsub_emulator", _PUBLISHING, _host, Need.LOCAL),
    Variable("FIREBASE_AUTH_EMULATOR_HOST", "auth_emulator", _GATEWAY, _host, Need.LOCAL),
    Variable("ID_TOKEN_KEYS_URL", "id_token_keys_url", _GATEWAY, _url, Need.LOCAL),
    Variable("FCM_URL", "fcm_url", ("push",), _url, Need.LOCAL),
)
