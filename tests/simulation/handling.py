"""One request that a function handles: what it is about, and what went wrong meanwhile."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from functions.calls.call import Status
from functions.calls.event import CallEvent
from functions.published import ConnectionAccepted, ConnectionAdmitted, Published
from tests.simulation.clock import START

# Seconds after its decision that a first delivery need not read the call, and what is lost where
# times are kept in milliseconds.
_PROMPT = 2.0 + 0.002


COMMITTING = ("gateway", "ring")  # who tell at once what they have committed


@dataclass(frozen=True, slots=True)
class Harm:
    """Something that went wrong, with one `target` (a connection or a token) or at large."""

    at: float
    what: str
    target: str | None = None


@dataclass(eq=False, slots=True)
class Handling:
    """`said` is what the client's frame asked, or a task, if it asked for something; `event`,
    `message` and `attempt` are those of a delivery."""

    number: int
    function: str
    about: str
    said: Any = None
    event: Published | None = None
    message: str = ""
    attempt: int = 0
    began: float = 0.0
    ended: float | None = None
    reloaded_at: float | None = None  # when it looked what had become of its own commit
    status: int | None = None  # of its response, if there was one
    harms: list[Harm] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.function} {self.number}"

    @property
    def signal_id(self) -> str | None:
        """The signal that it tells of, if it tells of one."""
        if isinstance(self.event, CallEvent):
            return None if self.function == "ring" else self.event.signal_id
        return self.said.signal_id if self.said else None

    @property
    def own_entry(self) -> str | None:
        """The outbox entry of the signal that its frame asks for."""
        return f"{self.said.call}:{self.said.signal_id}" if self.said else None

    @property
    def connection(self) -> str | None:
        """The connection that has been opened or admitted, if that is what it is about."""
        if isinstance(self.event, ConnectionAccepted | ConnectionAdmitted):
            return self.event.connection_id
        return None

    @property
    def is_copy(self) -> bool:
        return isinstance(self.event, CallEvent) and self.event.served is None

    @property
    def is_of_ring(self) -> bool:
        return isinstance(self.event, CallEvent) and self.event.status is Status.RINGING

    @property
    def is_late(self) -> bool:
        """Whether it must look at the call, and at who has the event, before it tells anybody."""
        if self.function in COMMITTING:
            return False
        if not isinstance(self.event, CallEvent) or self.is_copy or self.attempt > 1:
            return True
        if self.is_of_ring:  # told after its end, it would go on for ever
            return True
        decided = self.event.timestamp / 1000 - START.timestamp()
        return self.began - decided > _PROMPT

    def is_harmed(self, target: str) -> bool:
        """Whether something went wrong with `target` or at large."""
        return any(harm.target in (None, target) for harm in self.harms)


current: ContextVar[Handling] = ContextVar("current")
