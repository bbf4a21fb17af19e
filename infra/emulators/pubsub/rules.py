"""What Pub/Sub accepts: names, messages, subscription settings. Pure.

Limits are those of https://cloud.google.com/pubsub/quotas#resource_limits and of the API reference.
Every refusal is a Refused with the status code of the real service.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import grpc
from google.pubsub_v1 import types

from infra.emulators.pubsub.filters import FilterError, compile_filter
from infra.emulators.unplayed import INSTEAD

MAX_REQUEST_BYTES = 10_000_000
_MAX_MESSAGES = 1000
_MAX_ATTRIBUTES = 100
_MAX_KEY_BYTES = 256
_MAX_VALUE_BYTES = 1024

_NAME = r"projects/[a-z0-9][a-z0-9:.-]*/{kind}/(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{{2,254}}"
_TOPIC = re.compile(_NAME.format(kind="topics"))
_SUBSCRIPTION = re.compile(_NAME.format(kind="subscriptions"))

_DEFAULT_ACK_DEADLINE = 10
_DEFAULT_ATTEMPTS = 5
_DEFAULT_BACKOFF = (timedelta(seconds=10), timedelta(seconds=600))
_DEFAULT_RETENTION = timedelta(days=7)

# What this server does not play it refuses, rather than accept it without effect.
_UNPLAYED = (
    "bigquery_config",
    "cloud_storage_config",
    "bigtable_config",
    "enable_message_ordering",
    "enable_exactly_once_delivery",
    "retain_acked_messages",
    "message_transforms",
)
_UNPLAYED_TOPIC = ("schema_settings", "ingestion_data_source_settings", "message_transforms")
_UPDATABLE = frozenset(
    {
        "push_config",
        "ack_deadline_seconds",
        "retry_policy",
        "dead_letter_policy",
        "message_retention_duration",
        "expiration_policy",
        "labels",
    }
)


class Refused(Exception):
    """The request is answered with `code`, a grpc.StatusCode, instead of a result."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def invalid(reason: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, reason)


def unplayed(what: str) -> Refused:
    message = f"The embedded Pub/Sub does not play {what}: {INSTEAD}"
    return Refused(grpc.StatusCode.UNIMPLEMENTED, message)


def check_topic(topic: types.Topic) -> None:
    """Raises Refused unless `topic` can be created."""
    if not _TOPIC.fullmatch(topic.name):
        raise invalid(f"Invalid topic name: {topic.name!r}")
    for field in _UNPLAYED_TOPIC:
        if getattr(topic, field):
            raise unplayed(field)


def check_publish(request: types.PublishRequest) -> None:
    """Raises Refused unless every message of `request` can be published: all are, or none."""
    if not request.messages:
        raise invalid("A publish request holds at least one message")
    if len(request.messages) > _MAX_MESSAGES:
        raise invalid(f"A publish request holds at most {_MAX_MESSAGES} messages")
    if types.PublishRequest.pb(request).ByteSize() > MAX_REQUEST_BYTES:
        raise invalid(f"A publish request has at most {MAX_REQUEST_BYTES} bytes")
    for message in request.messages:
        if not message.data and not message.attributes:
            raise invalid("Some data or attributes must be non-empty")
        if len(message.ordering_key.encode()) > _MAX_VALUE_BYTES:
            raise invalid(f"An ordering key has at most {_MAX_VALUE_BYTES} bytes")
        _check_attributes(message.attributes)


def _check_attributes(attributes: Mapping[str, str]) -> None:
    if len(attributes) > _MAX_ATTRIBUTES:
        raise invalid(f"A message has at most {_MAX_ATTRIBUTES} attributes")
    for key, value in attributes.items():
        if not key:
            raise invalid("An attribute key must not be empty")
        if key.startswith("goog"):
            raise invalid(f"The attribute key {key!r} starts with the reserved goog")
        if len(key.encode()) > _MAX_KEY_BYTES:
            raise invalid(f"An attribute key has at most {_MAX_KEY_BYTES} bytes")
        if len(value.encode()) > _MAX_VALUE_BYTES:
            raise invalid(f"An attribute value has at most {_MAX_VALUE_BYTES} bytes")


def complete(asked: types.Subscription) -> types.Subscription:
    """The subscription that `asked` describes, with the service's defaults where it is silent.

    Raises Refused for what the service refuses. Whether its topics exist is not looked at here.
    """
    if not _SUBSCRIPTION.fullmatch(asked.name):
        raise invalid(f"Invalid subscription name: {asked.name!r}")
    for field in _UNPLAYED:
        if getattr(asked, field):
            raise unplayed(field)
    try:
        compile_filter(asked.filter)
    except FilterError as error:
        raise invalid(f"Invalid filter: {error}") from error
    config = types.Subscription(asked)
    config.state = types.Subscription.State(types.Subscription.State.ACTIVE)
    config.ack_deadline_seconds = config.ack_deadline_seconds or _DEFAULT_ACK_DEADLINE
    if not 10 <= config.ack_deadline_seconds <= 600:
        raise invalid("ack_deadline_seconds is not between 10 and 600")
    if "message_retention_duration" not in config:
        config.message_retention_duration = _DEFAULT_RETENTION
    if not timedelta(minutes=10) <= config.message_retention_duration <= timedelta(days=31):
        raise invalid("message_retention_duration is not between 10 minutes and 31 days")
    _complete_push(config)
    _complete_retry(config)
    _complete_dead_letters(config)
    return config


def change(
    current: types.Subscription, asked: types.Subscription, paths: Sequence[str]
) -> types.Subscription:
    """`current` with the fields named by `paths` taken from `asked`; raises Refused as above."""
    if not paths:
        raise invalid("update_mask names no field")
    changed = types.Subscription(current)
    for path in paths:
        if path not in _UPDATABLE:
            raise invalid(f"Invalid update_mask: {path!r} cannot be changed")
        setattr(changed, path, getattr(asked, path) if path in asked else None)
    return complete(changed)


def _complete_push(config: types.Subscription) -> None:
    push = config.push_config
    if "no_wrapper" in push:
        raise unplayed("no_wrapper")
    if not push.push_endpoint:
        if "oidc_token" in push:
            raise invalid("An oidc_token needs a push_endpoint")
        return
    try:
        url = urlsplit(push.push_endpoint)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        usable = False
    # http besides the real service's https: functions on this machine have no certificate.
    if not usable:
        raise invalid(f"Invalid push endpoint: {push.push_endpoint!r}")
    if "oidc_token" in push and "@" not in push.oidc_token.service_account_email:
        raise invalid("An oidc_token needs a service_account_email")


def _complete_retry(config: types.Subscription) -> None:
    if "retry_policy" not in config:
        return
    policy = config.retry_policy
    if "minimum_backoff" not in policy:
        policy.minimum_backoff = _DEFAULT_BACKOFF[0]
    if "maximum_backoff" not in policy:
        policy.maximum_backoff = _DEFAULT_BACKOFF[1]
    shortest, longest = policy.minimum_backoff, policy.maximum_backoff
    if not timedelta(0) <= shortest <= longest <= timedelta(seconds=600):
        raise invalid("A back-off lies between 0 and 600 s, its minimum not above its maximum")


def _complete_dead_letters(config: types.Subscription) -> None:
    if "dead_letter_policy" not in config:
        return
    policy = config.dead_letter_policy
    if not _TOPIC.fullmatch(policy.dead_letter_topic):
        raise invalid(f"Invalid dead-letter topic name: {policy.dead_letter_topic!r}")
    policy.max_delivery_attempts = policy.max_delivery_attempts or _DEFAULT_ATTEMPTS
    if not 5 <= policy.max_delivery_attempts <= 100:
        raise invalid("max_delivery_attempts is not between 5 and 100")
