"""The port to the app's backend, which follows what becomes of calls."""

from datetime import datetime
from typing import Protocol


class Unwanted(Exception):
    """The receiver wants no more webhooks at this URL: it answered 410."""


class NotTaken(Exception):
    """The receiver may not have the webhook; trying again may help. `status` is None without an
    answer."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class Webhooks(Protocol):
    """Posts webhooks to URLs."""

    async def post(self, url: str, id: str, body: str, now: datetime) -> None:
        """Posts `body`, signed at `now`; `id` is the same each time. Raises Unwanted, NotTaken."""
