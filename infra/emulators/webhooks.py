"""A backend that takes webhooks signed as Standard Webhooks has it, and can be told not to.

Knows the secrets that it may be signed with, and nothing of what is sent.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError
from starlette.requests import Request
from starlette.responses import Response

from infra.emulators.faults import Broken, Faults
from infra.emulators.http import Served, peer_of


@dataclass(frozen=True)
class Taken:
    """A webhook that was answered with 204."""

    path: str
    id: str
    body: str
    content: Any  # of its body, which is JSON

    @property
    def type(self) -> str:
        return str(self.content["type"])

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.content["data"]
        return data


class WebhookReceiver(Served):
    """Takes what is signed with one of `secrets`; an async context."""

    def __init__(self, *secrets: str, faults: Faults | None = None) -> None:
        """`faults` sees every webhook, by its id and its body, as the call "webhook.POST"."""
        self.taken: list[Taken] = []
        self.asked = 0
        self._verifiers = [Webhook(secret) for secret in secrets]
        self._faults = faults or Faults()
        self._answers: list[int] = []
        self._changed = asyncio.Event()
        super().__init__()

    @property
    def url(self) -> str:
        """Any path after it is taken too."""
        return self._origin

    def answer(self, *statuses: int) -> None:
        """The next webhooks are answered with these, and not taken."""
        self._answers += statuses

    async def wait_for(
        self, *wanted: str, about: str = "", patience: float = 10.0
    ) -> Sequence[Taken]:
        """One webhook of each type, or at each path, as soon as they are here, whose body contains
        `about`. Raises TimeoutError."""
        async with asyncio.timeout(patience):
            while True:
                self._changed.clear()
                found = [self._first(each, about) for each in wanted]
                if None not in found:
                    return [each for each in found if each]
                await self._changed.wait()

    def _first(self, wanted: str, about: str) -> Taken | None:
        found = self.about(about)
        return next((each for each in found if wanted in (each.type, each.path)), None)

    def about(self, text: str) -> list[Taken]:
        """Those whose body contains `text`."""
        return [each for each in self.taken if text in each.body]

    async def _answer(self, request: Request) -> Response:
        body = (await request.body()).decode()
        headers = dict(request.headers)
        self.asked += 1
        if not any(_is_signed(verifier, body, headers) for verifier in self._verifiers):
            return Response(status_code=HTTPStatus.UNAUTHORIZED)
        if self._answers:
            return Response(status_code=self._answers.pop(0))
        taken = Taken(request.url.path, headers["webhook-id"], body, json.loads(body))

        async def take() -> Response:
            self.taken.append(taken)
            self._changed.set()
            return Response(status_code=HTTPStatus.NO_CONTENT)

        try:
            about = f"{taken.path} {taken.id} {body}"
            return await self._faults.around(
                "webhook.POST", lambda: about, take, lambda: peer_of(request)
            )
        except Broken:
            return Response(status_code=HTTPStatus.SERVICE_UNAVAILABLE)


def _is_signed(verifier: Webhook, body: str, headers: dict[str, str]) -> bool:
    try:
        verifier.verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True
