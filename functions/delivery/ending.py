"""The end of a ring that nobody ends: a task is scheduled when it begins, and taken when it is
due."""

from functions.calls.call import Status
from functions.calls.event import CallEvent
from functions.delivery.commit import Received
from functions.delivery.signaling import Signaling
from functions.ports.scheduler import Scheduler
from functions.scheduled import RingEnds
from functions.telemetry import Log

log = Log(__name__)


class Ending:
    """Ends rings in time."""

    def __init__(self, signaling: Signaling, scheduler: Scheduler) -> None:
        self._signaling = signaling
        self._scheduler = scheduler

    async def began(self, event: CallEvent) -> None:
        """Schedules the end of the ring that `event` tells of. Costs 1 CreateTask; an event of
        anything else costs nothing.

        Run twice, it makes two tasks, the second of which finds the ring ended. Raises
        NotScheduled.
        """
        if event.status is not Status.RINGING or event.rings_until_ms is None:
            return
        task = RingEnds(
            call_id=event.call_id, signal_id=event.signal_id, rings_until_ms=event.rings_until_ms
        )
        await self._scheduler.schedule(task, task.rings_until)
        log.info("end scheduled", ringsUntil=task.rings_until)

    async def ended(self, task: RingEnds, received: Received) -> None:
        """Ends the ring that the task is for, at the costs of `Signaling.time_out`.

        Safe to run twice. Raises StoreUnavailable and PublishFailed.
        """
        verdict = await self._signaling.time_out(
            task.call_id, task.signal_id, task.rings_until, received
        )
        log.info("ring timed out", outcome=verdict.outcome, cause=verdict.cause)
