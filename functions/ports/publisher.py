"""The port to the topic, from which `deliver` and `push` take events."""

from typing import Protocol

from functions.published import Published


class PublishFailed(Exception):
    """The events were not confirmed; they may have been published all the same."""


class Publisher(Protocol):
    """Publishes events. `warm_up` opens the channel that the first event would have to wait for."""

    async def publish(self, *events: Published) -> None:
        """Publishes all of `events` or none. Raises PublishFailed."""

    async def warm_up(self) -> None: ...
