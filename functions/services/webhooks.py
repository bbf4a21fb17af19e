"""The app's backend: webhooks are posted to it, signed as Standard Webhooks has it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook

from functions.addresses import is_public
from functions.ports.webhooks import NotTaken, Unwanted
from functions.services.http import Http, NoAnswer
from functions.settings import WebhookSettings

_TIMEOUT_SECONDS = 15.0  # with what is read before, well within the subscriptions' ack deadline


class HttpWebhooks:
    """Posts webhooks, signed with each of the secrets, the current one first."""

    def __init__(self, http: Http, secrets: Sequence[str]) -> None:
        self._http = http
        self._signers = [Webhook(secret) for secret in secrets]

    async def post(self, url: str, id: str, body: str, now: datetime) -> None:
        """1 POST."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Unring",
            "webhook-id": id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(each.sign(id, now, body) for each in self._signers),
        }
        try:
            answer = await self._http.send("POST", url, headers, body.encode())
        except NoAnswer as error:
            raise NotTaken(str(error)) from error
        if answer.status == 410:
            raise Unwanted(url)
        if not 200 <= answer.status < 300:  # a redirect, too, may lead anywhere
            raise NotTaken(f"HTTP {answer.status}", answer.status)


def connect(settings: WebhookSettings) -> HttpWebhooks:
    """The backend's webhooks, which go to public addresses alone but on one's own machine."""
    http = Http(
        _TIMEOUT_SECONDS,
        only_status=True,
        may_connect_to=None if settings.webhook_private_addresses else is_public,
    )
    secrets = (settings.webhook_secret, settings.webhook_secret_previous)
    return HttpWebhooks(http, [each for each in secrets if each])
