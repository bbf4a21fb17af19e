"""The port to the service that calls `ring` when a task is due."""

from datetime import datetime
from typing import Protocol

from functions.scheduled import Scheduled


class NotScheduled(Exception):
    """The task was not confirmed; it may have been taken all the same."""


class Scheduler(Protocol):
    """Schedules tasks, each of which comes at least once. `warm_up` opens the channel that the
    first task would have to wait for."""

    async def schedule(self, task: Scheduled, at: datetime) -> None:
        """Has `ring` called with `task`, not before `at`; at once if that is past. Raises
        NotScheduled."""

    async def warm_up(self) -> None: ...
