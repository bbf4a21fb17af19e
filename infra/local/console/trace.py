"""A trace: what a client's signal, a task, a look of sweep or a closed socket has led to."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from infra.local.console.kinds import CONNECT, Kind, Root

UNKNOWN = "unknown"  # the function of a call that may have been any one's
_UNSEEN_SECONDS = 1.0


@dataclass(slots=True, kw_only=True)
class Span:
    """One remote call of a trace; times are seconds since 1970."""

    id: int
    call: str
    kind: Kind
    function: str  # which the call is to, or which made it
    began: float
    attempt: int  # counts how often this function has asked the same, from 1
    request: str  # to be shown: secrets left out, and not longer than a person reads
    ended: float | None = None
    status: str = ""
    response: str = ""  # as `request`
    is_failed: bool = False
    fault: str | None = None  # the switch that broke it

    def runs(self, function: str, at: float) -> bool:
        """Whether `function` works on this, at that time."""
        if self.kind.serves != function or at < self.began:
            return False
        return self.ended is None or at <= self.ended

    @property
    def outcome(self) -> str:
        if self.ended is None:
            return "running"
        return "failed" if self.is_failed else "ok"

    @property
    def seconds(self) -> float | None:
        return None if self.ended is None else self.ended - self.began


@dataclass(slots=True, kw_only=True)
class Trace:
    """The calls that belong together, and what they are about."""

    id: int
    root: Root
    started: float
    event: str | None = None
    call: str | None = None
    connection: str | None = None
    ranks: dict[str, int] = field(default_factory=dict)  # of its users: the caller's is the lowest
    outcome: str | None = None
    spans: dict[int, Span] = field(default_factory=dict)
    # By what others are known to belong to it: the signals that its commits have written, and the
    # hashes of the events that it has published.
    signals: set[str] = field(default_factory=set)
    published: set[int] = field(default_factory=set)
    asked: Counter[tuple[str, str, int]] = field(default_factory=Counter)

    def runs(self, function: str, at: float) -> bool:
        """Whether `function` works for this trace, at that time."""
        if any(span.runs(function, at) for span in self.spans.values()):
            return True
        first = next(iter(self.spans.values()), None)
        if first is None or first.kind.serves or first.function != function:
            return False
        # It began by something that nobody saw, and that may still go on.
        return at <= self.started + self.seconds + _UNSEEN_SECONDS

    def work_of(self, span: Span) -> Span:
        """The frame, delivery or task at which its function worked as it made this call; the call
        itself if it is one, or if nobody has seen that."""
        if span.kind.serves:
            return span
        works = (each for each in self.spans.values() if each.runs(span.function, span.began))
        return next(works, span)

    @property
    def users(self) -> list[str]:
        """The caller, if he is known, before the others."""
        return sorted(self.ranks, key=lambda user: self.ranks[user])

    @property
    def is_connect(self) -> bool:
        """Whether it began by a handshake, which is about no call."""
        return any(span.call == CONNECT for span in self.spans.values())

    @property
    def is_running(self) -> bool:
        return any(span.ended is None for span in self.spans.values())

    @property
    def seconds(self) -> float:
        """From its start to the end of its last call that has one."""
        ends = (span.ended or span.began for span in self.spans.values())
        return max((end - self.started for end in ends), default=0.0)


def shown(trace: Trace) -> dict[str, Any]:
    """A trace as the page has it, without its spans."""
    return {
        "id": str(trace.id),
        "root": trace.root.value,
        "event": trace.event,
        "call": trace.call,
        "users": trace.users,
        "outcome": trace.outcome,
        "started": round(trace.started * 1000, 1),
        "ms": _ms(trace.seconds),
    }


def shown_span(trace: Trace, span: Span) -> dict[str, Any]:
    """A span as the page has it: its start is that from its trace's."""
    return {
        "id": str(span.id),
        "trace": str(trace.id),
        "call": span.call,
        "label": span.kind.label,
        "function": span.function,
        "start": _ms(span.began - trace.started),
        "ms": None if span.seconds is None else _ms(span.seconds),
        "outcome": span.outcome,
        "status": span.status,
        "attempt": span.attempt,
        "fault": span.fault,
    }


def as_text(trace: Trace) -> str:
    """A trace for a bug report: an aligned table of its calls."""
    about = (("call", trace.call), ("users", ", ".join(trace.users)), ("outcome", trace.outcome))
    named = "; ".join(f"{name}: {value}" for name, value in about if value)
    rows = [("start ms", "ms", "function", "call", "outcome"), *_rows(trace)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{trace.event or trace.root.value}{'; ' if named else ''}{named}", ""]
    for start, took, *rest in rows:
        numbers = [start.rjust(widths[0]), took.rjust(widths[1])]
        words = [word.ljust(width) for word, width in zip(rest, widths[2:], strict=True)]
        lines.append("  ".join([*numbers, *words]).rstrip())
    return "\n".join(lines) + "\n"


def _rows(trace: Trace) -> Iterator[tuple[str, str, str, str, str]]:
    for span in sorted(trace.spans.values(), key=lambda span: (span.began, span.id)):
        attempt = f" (attempt {span.attempt})" if span.attempt > 1 else ""
        fault = f", broken by {span.fault}" if span.fault else ""
        took = "" if span.seconds is None else f"{span.seconds * 1000:.1f}"
        outcome = f"{span.outcome} {span.status}".strip()
        start = f"{(span.began - trace.started) * 1000:.1f}"
        yield start, took, span.function, f"{span.call}{attempt}", f"{outcome}{fault}"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
