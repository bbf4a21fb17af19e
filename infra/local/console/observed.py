"""One remote call, as the stack's own services have seen it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Seen twice: when it begins, and with its end. Times are seconds since 1970."""

    id: int
    call: str  # as docs/local.md names the calls
    function: str | None = None  # who makes it; None of a service, or if nobody knows
    request: str  # as text
    began: float
    ended: float | None = None
    status: str = ""
    response: str = ""  # as text
    is_failed: bool = False
    fault: str | None = None  # the switch that broke it
