"""The work of one delivery by a service that delivers at least once."""

from collections.abc import Awaitable

from functions.attempt import NotDelivered
from functions.ports.publisher import PublishFailed
from functions.ports.scheduler import NotScheduled
from functions.ports.store import StoreUnavailable
from functions.telemetry import Log

log = Log(__name__)


async def is_done(work: Awaitable[None]) -> bool:
    """Does the work; false if it raises anything, and is to be delivered again."""
    try:
        await work
    except (NotDelivered, NotScheduled, PublishFailed, StoreUnavailable) as error:
        log.warning("will be retried", error=f"{type(error).__name__}: {error}")
        return False
    except Exception:  # else the framework would log the error, in its own form
        log.exception("delivery failed")
        return False
    return True
