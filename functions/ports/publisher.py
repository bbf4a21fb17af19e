"""Where events are published for the functions that take them from there."""

from typing import Protocol

from functions.published import Published


class PublishFailed(Exception):
    """Nobody confirmed the event; it may have been published all the same."""


class Publisher(Protocol):
    async def publish(self, *events: Published) -> None:
        """All of them or none. Raises PublishFailed."""

    async def warm_up(self) -> None: ...
