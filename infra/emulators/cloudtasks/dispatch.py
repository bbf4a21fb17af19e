"""One attempt at a task: one HTTP request, one answer.

https://cloud.google.com/tasks/docs/creating-http-target-tasks#handler
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import httpx
from google.cloud.tasks_v2 import types

from infra.emulators.auth.tokens import Sign, account_claims

# What a task can't say of itself, and what HTTP itself says.
_REPLACED = ("host", "content-length", "user-agent", "transfer-encoding", "connection")
_RESERVED = ("x-google-", "x-appengine-", "x-cloudtasks-")


@dataclass(frozen=True, slots=True)
class History:
    """The attempts before this one."""

    attempts: int = 0
    answers: int = 0  # those with an answer that was no 5xx
    last_status: int | None = None  # None: there was no answer
    reason: str = ""  # why the last one failed


class Dispatcher:
    """Sends tasks to their targets; an async context."""

    def __init__(self, now: Callable[[], datetime], sign: Sign) -> None:
        self._now = now
        self._sign = sign
        self._client = httpx.AsyncClient(
            timeout=None,  # noqa: S113 - the dispatch deadline is the time-out, and it bounds the whole
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            trust_env=False,  # a proxy of the developer's network is none of Cloud Tasks' business
        )
        for name in list(self._client.headers):  # what httpx says of itself, Cloud Tasks does not
            del self._client.headers[name]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def send(self, task: types.Task, history: History, deadline: float) -> int | None:
        """The status that the target answers within `deadline` seconds; None without an answer. A
        redirect, which may be followed, is not."""
        request = task.http_request
        headers = [*_own(request), *self._said(task, history)]
        try:
            async with asyncio.timeout(deadline):
                response = await self._client.request(
                    request.http_method.name, request.url, content=request.body, headers=headers
                )
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL):
            return None
        return response.status_code

    def _said(self, task: types.Task, history: History) -> Iterator[tuple[str, str]]:
        """What Cloud Tasks itself says of a task."""
        *_, queue, _, name = task.name.split("/")
        yield "User-Agent", "Google-Cloud-Tasks"
        yield "X-CloudTasks-QueueName", queue
        yield "X-CloudTasks-TaskName", name
        yield "X-CloudTasks-TaskRetryCount", str(history.attempts)
        yield "X-CloudTasks-TaskExecutionCount", str(history.answers)
        yield "X-CloudTasks-TaskETA", f"{task.schedule_time.timestamp():.6f}"
        if history.last_status is not None:
            yield "X-CloudTasks-TaskPreviousResponse", str(history.last_status)
        if history.reason:
            yield "X-CloudTasks-TaskRetryReason", history.reason
        if "oidc_token" in task.http_request:
            yield "Authorization", f"Bearer {self._token(task.http_request)}"

    def _token(self, request: types.HttpRequest) -> str:
        """By which the target knows the service account that the task speaks for."""
        audience = request.oidc_token.audience or request.url
        email = request.oidc_token.service_account_email
        return self._sign(account_claims(email, audience, self._now()))


def _own(request: types.HttpRequest) -> Iterator[tuple[str, str]]:
    """The headers that the task brings, but for those that are ignored or replaced."""
    for name, value in request.headers.items():
        lower = name.lower()
        is_replaced = lower == "authorization" and "oidc_token" in request
        if not (is_replaced or lower in _REPLACED or lower.startswith(_RESERVED)):
            yield name, value
