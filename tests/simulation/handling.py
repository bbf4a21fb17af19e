"""One request that a function handles: what it is about, and what went wrong meanwhile."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from functions.calls.event import CallEvent
from functions.published import ConnectionAdmitted, ConnectionOpened, Published


@dataclass(frozen=True, slots=True)
class Harm:
    """Something that went wrong at `at`, with one `target` (a connection or a token) or at large."""

    at: float
    what: str
    target: str | None = None


@dataclass(eq=False, slots=True)
class Handling:
    """`said` is what the client's frame asked, if it asked for something; `event`, `message` and
    `attempt` are those of a delivery."""

    number: int
    function: str
    about: str
    said: Any = None
    event: Published | None = None
    message: str = ""
    attempt: int = 0
    began: float = 0.0
    ended: float | None = None
    is_killed: bool = False
    harms: list[Harm] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.function} {self.number}"

    @property
    def signal_id(self) -> str | None:
        """The signal that it is about, if it is about one."""
        if isinstance(self.event, CallEvent):
            return self.event.signal_id
        return self.said.signal_id if self.said else None

    @property
    def connection(self) -> str | None:
        """The connection that has been opened or admitted, if that is what it is about."""
        if isinstance(self.event, ConnectionOpened | ConnectionAdmitted):
            return self.event.connection_id
        return None

    @property
    def is_copy(self) -> bool:
        return isinstance(self.event, CallEvent) and self.event.served is None


current: ContextVar[Handling] = ContextVar("current")
