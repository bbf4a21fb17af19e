"""What lies between the core and the ports in memory: it takes time, fails and loses replies."""

from collections.abc import Callable
from typing import Protocol, TypeVar

_Reply = TypeVar("_Reply")


class CallFailed(Exception):
    """The remote call failed, or its reply was lost; it may have been done."""


class Network(Protocol):
    """Carries every remote call of the ports in memory."""

    async def call(self, name: str, about: str, serve: Callable[[], _Reply]) -> _Reply:
        """Has `serve` do the call and gives its reply. Raises CallFailed.

        `name` is what the adapter would call, as "firestore.Commit"; `about` names whatever it is
        about.
        """
