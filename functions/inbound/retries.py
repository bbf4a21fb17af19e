"""What a service is answered that delivers at least once: it is done, or is to come again."""

from collections.abc import Awaitable

from functions.attempt import NotDelivered
from functions.ports.publisher import PublishFailed
from functions.ports.scheduler import NotScheduled
from functions.ports.store import StoreUnavailable
from functions.telemetry import Log

ACKNOWLEDGED = 204
RETRY = 503

log = Log(__name__)


async def status_of(work: Awaitable[None]) -> int:
    """Does the work of one delivery: RETRY if it raises anything."""
    try:
        await work
    except (NotDelivered, NotScheduled, PublishFailed, StoreUnavailable) as error:
        log.warning("will be retried", error=f"{type(error).__name__}: {error}")
        return RETRY
    except Exception:  # else the framework would log the error, in its own form
        log.exception("delivery failed")
        return RETRY
    return ACKNOWLEDGED
