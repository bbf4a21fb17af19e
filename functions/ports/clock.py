"""The port to the clock."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time, in UTC."""

    def __call__(self) -> datetime: ...


def system_clock() -> datetime:
    """The time of this machine, in UTC."""
    return datetime.now(UTC)
