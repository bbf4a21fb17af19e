"""The only reader of the environment: what each function runs with, and what is wrong with it.

A function's settings are one class, put together from those of the services that it uses. Each
attribute says in the class which variable it comes from, and has its value in the instance.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any, ClassVar, NoReturn, TypeVar
from urllib.parse import urlsplit

from functions.addresses import is_public, written_as
from functions.calls.busy import Busy
from functions.collections import USUAL, Collections
from functions.dialect import dialect
from functions.dialect.dialect import Dialect
from functions.variables import (
    Need,
    Variable,
    address,
    age,
    allowed,
    busy,
    cap,
    collection,
    connections_url,
    database,
    days,
    grace,
    hold,
    host,
    https,
    identities,
    origins,
    pointer,
    post_timeout,
    prefix,
    pushed_by,
    queue,
    rate,
    rate_or_none,
    ringing,
    seconds,
    secret,
    signing_secret,
    text,
    url,
    urls,
    webhook_key,
    words,
)


class SettingsError(Exception):
    """The environment is incomplete or wrong; the message has one line for each problem."""


def _from(name: str, parse: Callable[[str], Any], need: Need, **more: Any) -> Any:
    return Variable(name, parse, need, **more)


def _always(name: str, parse: Callable[[str], Any]) -> Any:
    return _from(name, parse, Need.ALWAYS)


def _local(name: str, parse: Callable[[str], Any]) -> Any:
    return _from(name, parse, Need.LOCAL)


def _default(name: str, parse: Callable[[str], Any], default: Any) -> Any:
    return _from(name, parse, Need.NEVER, default=default)


def _may_be_empty(name: str, parse: Callable[[str], Any], default: Any) -> Any:
    return _from(name, parse, Need.NEVER, default=default, may_be_empty=True)


def _address(name: str) -> Any:
    return _from(name, address, Need.NEVER, check_in_cloud=https)


def _key(name: str) -> Any:
    """What a backend shows: on one's own machine it may be short."""
    return _from(name, text, Need.NEVER, check_in_cloud=secret)


# Not dataclasses: to make two dozen of them took 20 ms of each cold start.
class FunctionSettings:
    """What every function needs. It does not change."""

    function: ClassVar[str] = ""  # its name, if these are the settings of one function

    def __init__(self, **values: Any) -> None:
        """Takes a value for each of `variables_of` the class."""
        vars(self).update(values)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name} can't be set")

    @classmethod
    def contradictions(cls, values: Mapping[str, Any]) -> Iterator[str]:
        """Says which values, each of them valid, do not go together."""
        calls, prefix = values.get("calls_collection"), values.get("collection_prefix")
        if calls is not None and prefix is not None and Collections(calls, prefix).clash():
            yield f"CALLS_COLLECTION is {calls}, which is a collection of ours by COLLECTION_PREFIX"

    project: str = _always("GOOGLE_CLOUD_PROJECT", text)
    firestore_database: str = _default("FIRESTORE_DATABASE", database, "(default)")
    calls_collection: str = _default("CALLS_COLLECTION", collection, USUAL.calls)
    collection_prefix: str = _may_be_empty("COLLECTION_PREFIX", prefix, USUAL.prefix)
    # In the words of the app the store writes calls, and others what clients and phones are told.
    dialect: Dialect = _default("DIALECT", words, dialect.USUAL)
    firestore_emulator: str | None = _local("FIRESTORE_EMULATOR_HOST", host)


class TopicSettings(FunctionSettings):
    """What a function needs that publishes."""

    events_topic: str = _default("EVENTS_TOPIC", text, "call-events")
    pubsub_emulator: str | None = _local("PUBSUB_EMULATOR_HOST", host)


class SocketsSettings(FunctionSettings):
    """What a function needs that posts to the clients' sockets."""

    connections_url: str = _always("CONNECTIONS_URL", connections_url)
    aws_region: str | None = _from("AWS_REGION", text, Need.IN_CLOUD)
    aws_role_arn: str | None = _from("AWS_ROLE_ARN", text, Need.IN_CLOUD)
    aws_token_audience: str = _default("AWS_TOKEN_AUDIENCE", text, "unring")
    sts_url: str | None = _local("AWS_ENDPOINT_URL_STS", url)
    metadata_host: str | None = _local("GCE_METADATA_HOST", host)

    @classmethod
    def contradictions(cls, values: Mapping[str, Any]) -> Iterator[str]:
        yield from super().contradictions(values)
        if values.get("aws_role_arn") and not values.get("aws_region"):
            yield "AWS_REGION is missing, and AWS_ROLE_ARN is of no use without it"


class FirebaseSettings(FunctionSettings):
    """What a function needs that asks Firebase, which may be another project's."""

    firebase_project: str | None = _default("FIREBASE_PROJECT", text, None)

    @property
    def firebase(self) -> str:
        """The project of the ID tokens and of FCM."""
        return self.firebase_project or self.project


class WebhookUrlsSettings(FunctionSettings):
    """What a function needs to know of the webhooks."""

    webhook_urls: tuple[str, ...] = _default("WEBHOOK_URLS", urls, ())
    # Whether they may go to this machine, to its network, and over plain HTTP.
    webhook_private_addresses: bool | None = _from("WEBHOOK_PRIVATE_ADDRESSES", allowed, Need.LOCAL)

    @classmethod
    def contradictions(cls, values: Mapping[str, Any]) -> Iterator[str]:
        yield from super().contradictions(values)
        if values.get("webhook_private_addresses", True):
            return
        urls = values.get("webhook_urls", ())
        if not all(each.startswith("https://") for each in urls):
            yield "WEBHOOK_URLS must be URLs that start with https://"
        # A name is looked at when it is posted to.
        addresses = [written_as(urlsplit(each).hostname or "") for each in urls]
        if not all(each is None or is_public(each) for each in addresses):
            yield "WEBHOOK_URLS must not have an address of this machine or of a private network"


class IdentitySettings(FirebaseSettings):
    """What a function needs that judges ID tokens."""

    identity: tuple[str, ...] = _default("IDENTITY", identities, ("firebase",))
    # Only checked here and passed to nobody: Firebase's library reads the variable itself.
    auth_emulator: str | None = _local("FIREBASE_AUTH_EMULATOR_HOST", host)
    id_token_keys_url: str | None = _local("ID_TOKEN_KEYS_URL", url)

    oidc_issuer: str | None = _address("OIDC_ISSUER")
    oidc_audience: str | None = _default("OIDC_AUDIENCE", text, None)
    oidc_audience_claim: str = _default("OIDC_AUDIENCE_CLAIM", text, "aud")
    oidc_user_claim: str = _default("OIDC_USER_CLAIM", text, "sub")
    oidc_name_claim: str = _default("OIDC_NAME_CLAIM", text, "name")

    token_secret: str | None = _default("TOKEN_SECRET", signing_secret, None)
    token_secret_previous: str | None = _default("TOKEN_SECRET_PREVIOUS", signing_secret, None)
    token_user_claim: str = _default("TOKEN_USER_CLAIM", text, "sub")
    token_name_claim: str = _default("TOKEN_NAME_CLAIM", text, "name")
    token_issuer: str | None = _default("TOKEN_ISSUER", text, None)
    token_audience: str | None = _default("TOKEN_AUDIENCE", text, None)
    token_max_age: timedelta | None = _default("TOKEN_MAX_AGE", age, None)

    introspection_url: str | None = _address("INTROSPECTION_URL")
    introspection_user: str | None = _default("INTROSPECTION_USER", pointer, None)
    introspection_name: str | None = _default("INTROSPECTION_NAME", pointer, None)

    @classmethod
    def contradictions(cls, values: Mapping[str, Any]) -> Iterator[str]:
        yield from super().contradictions(values)
        needed = {
            "oidc": ("oidc_issuer", "oidc_audience"),
            "secret": ("token_secret",),
            "introspection": ("introspection_url", "introspection_user"),
        }
        variables = variables_of(cls)
        for provider in values.get("identity", ()):
            for name in needed.get(provider, ()):
                if name in values and values[name] is None:
                    yield f"{variables[name].name} is missing, which IDENTITY={provider} needs"


class RingTokenSettings(FunctionSettings):
    """What a function needs that signs or verifies ring tokens. Without a secret there are none."""

    ring_token_secret: str | None = _default("RING_TOKEN_SECRET", signing_secret, None)
    ring_token_secret_previous: str | None = _default(
        "RING_TOKEN_SECRET_PREVIOUS", signing_secret, None
    )


class DevicesSettings(FunctionSettings):
    """What a function needs to which only so many devices of a user count."""

    devices_per_user: int = _default("DEVICES_PER_USER", cap, 20)


class RegistrationSettings(DevicesSettings):
    """What a function needs that registers devices."""

    # FCM itself gives up a token that was not used for 270 days.
    device_ttl: timedelta = _default("DEVICE_TTL_DAYS", days, timedelta(days=270))


class CommittingSettings(TopicSettings, SocketsSettings, WebhookUrlsSettings):
    """What a function needs that commits transitions, and tells of them."""

    # Who sends the FCM messages of each type. It is written into each event.
    push_incoming: str = _default("PUSH_INCOMING", pushed_by, "unring")
    push_cancelled: str = _default("PUSH_CANCELLED", pushed_by, "unring")
    push_rejected: str = _default("PUSH_REJECTED", pushed_by, "unring")

    direct_post_timeout: timedelta = _default(
        "DIRECT_POST_TIMEOUT_MS", post_timeout, timedelta(milliseconds=500)
    )

    @classmethod
    def contradictions(cls, values: Mapping[str, Any]) -> Iterator[str]:
        yield from super().contradictions(values)
        variables = variables_of(cls)
        for name in ("push_incoming", "push_cancelled", "push_rejected"):
            if values.get(name) == "backend" and values.get("webhook_urls") == ():
                yield f"WEBHOOK_URLS is missing, which {variables[name].name}=backend needs"

    @property
    def pushers(self) -> dict[str, str]:
        """Who sends the FCM messages, by their types."""
        return {
            "incoming": self.push_incoming,
            "cancelled": self.push_cancelled,
            "rejected": self.push_rejected,
        }


class SignalingSettings(CommittingSettings, IdentitySettings):
    """What a function needs that carries out signals of users."""

    # Fewer than Cloud Run sends an instance at once (80), and more than it aims at (60 % of that):
    # it has begun to start more instances before this one refuses anything.
    requests_at_once: int = _default("REQUESTS_AT_ONCE", cap, 72)
    frames_per_second: int = _default("FRAMES_PER_SECOND", rate, 20)


class CallerGraceSettings(FunctionSettings):
    """What a function needs that sees callers leave."""

    # For how long a caller may have no connection while his call rings; 0: for as long as it does.
    caller_grace: timedelta = _default("CALLER_GRACE_SECONDS", grace, timedelta(seconds=10))


class CallsSettings(FunctionSettings):
    """What a function needs that creates calls."""

    # What a call rings for at most, and if nobody asks for less.
    ring_seconds: int = _default("RING_SECONDS", ringing, 30)
    call_ttl: timedelta = _default("CALL_TTL_DAYS", days, timedelta(days=30))
    # Of each caller; 0: none begins but what the app's backend has announced.
    calls_per_minute: int = _default("CALLS_PER_MINUTE", rate_or_none, 30)
    busy: Busy = _default("BUSY", busy, Busy.OFF)
    call_max: timedelta = _default("CALL_MAX_SECONDS", seconds, timedelta(hours=4))


class CallingSettings(SignalingSettings, RegistrationSettings, CallsSettings, RingTokenSettings):
    """What a function needs that carries out what users ask for, whichever way they come."""


class TimerSettings(FunctionSettings):
    """What a function needs that opens sessions of Socket.IO clients: the heartbeat it asks for."""

    # An EIO3 client pings. API Gateway closes a connection that was idle for ten minutes, so the
    # interval must be shorter.
    eio3_ping_interval: timedelta = _default(
        "EIO3_PING_INTERVAL_SECONDS", seconds, timedelta(seconds=240)
    )
    eio3_ping_timeout: timedelta = _default(
        "EIO3_PING_TIMEOUT_SECONDS", seconds, timedelta(seconds=60)
    )
    # An EIO4 client is never pinged, so it connects anew after interval and timeout. That must be
    # before API Gateway closes the idle connection: Android's client does not notice such a close.
    eio4_ping_interval: timedelta = _default(
        "EIO4_PING_INTERVAL_SECONDS", seconds, timedelta(seconds=540)
    )
    eio4_ping_timeout: timedelta = _default(
        "EIO4_PING_TIMEOUT_SECONDS", seconds, timedelta(seconds=30)
    )


class SessionSettings(CallingSettings, CallerGraceSettings):
    """What a function needs that takes the frames of clients."""

    # API Gateway closes every connection after two hours; the rest allows for clocks that differ.
    connection_ttl: timedelta = _default("CONNECTION_TTL_SECONDS", seconds, timedelta(minutes=125))


class GatewaySettings(SessionSettings):
    function = "gateway"

    gateway_secret: str = _always("GATEWAY_SECRET", secret)
    gateway_secret_previous: str | None = _default("GATEWAY_SECRET_PREVIOUS", secret, None)


class ApiSettings(SessionSettings, TimerSettings):
    function = "api"

    api_key: str | None = _key("API_KEY")
    api_key_previous: str | None = _key("API_KEY_PREVIOUS")
    internal_secret: str | None = _key("INTERNAL_SECRET")
    internal_secret_previous: str | None = _key("INTERNAL_SECRET_PREVIOUS")
    cors_origins: tuple[str, ...] = _default("CORS_ORIGINS", origins, ())
    # A client that can't open a WebSocket asks so often what there is; each asks Firestore.
    poll_hold: timedelta = _default("POLL_HOLD_MS", hold, timedelta(milliseconds=300))


class DeliverSettings(SocketsSettings, TimerSettings):
    function = "deliver"

    connections_per_user: int = _default("CONNECTIONS_PER_USER", cap, 20)


class PushSettings(TopicSettings, DevicesSettings, FirebaseSettings, RingTokenSettings):
    function = "push"

    fcm_url: str | None = _local("FCM_URL", url)


class WebhookSettings(WebhookUrlsSettings, RingTokenSettings):
    function = "webhook"

    webhook_secret: str = _always("WEBHOOK_SECRET", webhook_key)
    webhook_secret_previous: str | None = _default("WEBHOOK_SECRET_PREVIOUS", webhook_key, None)

    @classmethod
    def contradictions(cls, values: Mapping[str, Any]) -> Iterator[str]:
        yield from super().contradictions(values)
        if values.get("webhook_urls") == ():
            yield "WEBHOOK_URLS is missing"

    @property
    def webhooks(self) -> Mapping[str, str]:
        """The URLs, by the name that each has in the path of its deliveries."""
        return {webhook_name(url): url for url in self.webhook_urls}


class TasksSettings(FunctionSettings):
    """What a function needs that schedules tasks for `ring`."""

    tasks_queue: str = _always("TASKS_QUEUE", queue)
    tasks_url: str = _from("TASKS_URL", url, Need.ALWAYS, check_in_cloud=https)
    tasks_service_account: str = _always("TASKS_SERVICE_ACCOUNT", text)
    tasks_emulator: str | None = _local("CLOUD_TASKS_EMULATOR_HOST", host)


class RingSettings(CommittingSettings, TasksSettings, CallerGraceSettings):
    function = "ring"


class SweepSettings(TopicSettings, SocketsSettings):
    function = "sweep"

    sweep_after: timedelta = _default("SWEEP_AFTER_SECONDS", seconds, timedelta(seconds=6))
    sweep_every: timedelta = _default("SWEEP_EVERY_SECONDS", seconds, timedelta(seconds=10))


FUNCTIONS: Mapping[str, type[FunctionSettings]] = {
    each.function: each
    for each in (
        GatewaySettings,
        ApiSettings,
        DeliverSettings,
        PushSettings,
        WebhookSettings,
        RingSettings,
        SweepSettings,
    )
}

_EMULATOR = "points at an emulator and must not be set on Cloud Run"
_Settings = TypeVar("_Settings", bound=FunctionSettings)


def load(kind: type[_Settings], environ: Mapping[str, str] = os.environ) -> _Settings:
    """Reads a function's settings. Raises SettingsError, which names all that is wrong."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, variable in variables_of(kind).items():
        try:
            values[name] = _value(variable, environ)
        except ValueError as error:
            problems += [f"{variable.name} {fault}" for fault in str(error).splitlines()]
    # A variable that the function does not read may still send a library to an emulator.
    problems += [
        f"{each.name} {_EMULATOR}" for each in _of_others(kind) if _is_misplaced(each, environ)
    ]
    problems += kind.contradictions(values)
    if problems:
        raise SettingsError("\n  ".join([f"{kind.function} can't start:", *problems]))
    return kind(**values)


def webhook_name(url: str) -> str:
    """What its subscription calls a URL of a webhook, wherever it stands among the others."""
    return sha256(url.encode()).hexdigest()[:16]


def variables_of(kind: type[FunctionSettings]) -> Mapping[str, Variable]:
    """The variables that a function reads, by the attribute that each fills."""
    members = (member for part in reversed(kind.__mro__) for member in vars(part).items())
    return {name: value for name, value in members if isinstance(value, Variable)}


def every_variable() -> Iterator[Variable]:
    """The variables of all functions, each once, in the order in which the functions name them."""
    of_all = (each for kind in FUNCTIONS.values() for each in variables_of(kind).values())
    return iter(dict.fromkeys(of_all))


def _of_others(kind: type[FunctionSettings]) -> Iterator[Variable]:
    own = set(variables_of(kind).values())
    return (each for each in every_variable() if each not in own)


def _value(variable: Variable, environ: Mapping[str, str]) -> Any:
    value = environ.get(variable.name, "").strip()
    if _is_misplaced(variable, environ):
        raise ValueError(_EMULATOR)
    if value and variable.check_in_cloud and _in_cloud(environ):
        variable.check_in_cloud(value)
    if value or (variable.may_be_empty and variable.name in environ):
        return variable.parse(value)
    if variable.need is Need.ALWAYS or (variable.need is Need.IN_CLOUD and _in_cloud(environ)):
        raise ValueError("is missing")
    return variable.default


def _is_misplaced(variable: Variable, environ: Mapping[str, str]) -> bool:
    """Whether a variable points the function at an emulator, though it runs in the cloud."""
    is_set = bool(environ.get(variable.name, "").strip())
    return variable.need is Need.LOCAL and is_set and _in_cloud(environ)


def _in_cloud(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("K_SERVICE"))
