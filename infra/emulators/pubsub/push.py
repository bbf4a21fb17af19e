"""Push delivery: one wrapped message, one POST, one verdict."""

import asyncio
import base64
import functools
import json
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

import httpx
from google.pubsub_v1 import types

from infra.emulators.auth.tokens import Sign, account_claims
from infra.emulators.pubsub.subscription import Delivery

_log = logging.getLogger(__name__)

ACKS = frozenset({102, 200, 201, 202, 204})


class Pusher:
    """Posts deliveries to their endpoints, as many at a time as there are; an async context."""

    def __init__(self, now: Callable[[], datetime], sign: Sign) -> None:
        self._now = now
        self._sign = sign
        self._client = httpx.AsyncClient(
            timeout=None,  # noqa: S113 - the ack deadline is the time-out, and it bounds the whole
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            verify=_certificates(),
            trust_env=False,  # a proxy of the developer's network is none of Pub/Sub's business
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def post(
        self, config: types.Subscription, delivery: Delivery, deadline: float
    ) -> int | None:
        """The status that the endpoint answers within `deadline` seconds; None without an answer.
        What is not in `ACKS` is a nack."""
        push = config.push_config
        headers = {"Content-Type": "application/json"}
        if "oidc_token" in push:
            headers["Authorization"] = f"Bearer {self._token(push)}"
        body = json.dumps(envelope(config, delivery)).encode()
        status: int | None = None
        try:
            async with asyncio.timeout(deadline):
                response = await self._client.post(
                    push.push_endpoint, content=body, headers=headers
                )
        except TimeoutError:
            verdict = "no answer within the ack deadline"
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            verdict = repr(error)
        else:
            status = response.status_code
            if status in ACKS:
                return status
            verdict = f"HTTP {status}"
        _log.info(
            "nack: message %s, attempt %d, of %s: %s",
            delivery.message.id,
            delivery.attempt,
            config.name,
            verdict,
        )
        return status

    def _token(self, push: types.PushConfig) -> str:
        """By which the endpoint knows the service account that the subscription speaks for."""
        audience = push.oidc_token.audience or push.push_endpoint
        email = push.oidc_token.service_account_email
        return self._sign(account_claims(email, audience, self._now()))


def envelope(config: types.Subscription, delivery: Delivery) -> dict[str, Any]:
    """The JSON body of a push; like every proto in JSON it leaves out what is empty."""
    message = delivery.message
    published = rfc3339(message.published)
    fields: dict[str, Any] = {}
    if message.attributes:
        fields["attributes"] = dict(message.attributes)
    if message.data:
        fields["data"] = base64.b64encode(message.data).decode()
    fields |= {"messageId": message.id, "message_id": message.id}
    if message.ordering_key:
        fields["orderingKey"] = message.ordering_key
    fields |= {"publishTime": published, "publish_time": published}
    wrapped: dict[str, Any] = {"message": fields, "subscription": config.name}
    if "dead_letter_policy" in config:
        wrapped["deliveryAttempt"] = delivery.attempt
    return wrapped


def rfc3339(time: datetime) -> str:
    """2026-01-31T12:00:00.123Z"""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Whom an https endpoint is trusted by: read once, as it takes 20 ms of the loop's time."""
    return httpx.create_ssl_context(trust_env=False)
