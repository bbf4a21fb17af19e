"""Which remote calls belong together. Pure: no clock, no network.

A trace begins by a client's frame, an HTTPS request, a task, a look of sweep or a closed socket.
Another call belongs to one trace or to none. A delivery belongs to that whose signal it names, or
which has published it. What a function asks of a service belongs to the trace

1. for which the function works, and whose signal the request names;
2. for which it works, and whose call, connection or users the request names, in this order;
3. whose signal it names, then whose call, though the function no longer works for it;
4. for which it works, if that is only one.

Of several that are as good, it is the newest. What is asked by a function of which nobody knows
which one it is counts as asked by the one that works, if only one does. A request to `api` by its
own address is not seen: what `api` asks for without one begins a trace, too, to which belongs what
it asks within a second.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from infra.local.console.kinds import COMMIT, CONNECT, PUBLISH, Root, kind_of
from infra.local.console.mentions import mentions
from infra.local.console.observed import Observed
from infra.local.console.reading import (
    Said,
    Words,
    outcome_in,
    published_in,
    said_in_frame,
    said_in_request,
)
from infra.local.console.redaction import shown_text
from infra.local.console.trace import UNKNOWN, Span, Trace

TRACES_LIMIT = 200
SPANS_LIMIT = 5000  # of all traces
SPANS_OF_ONE_LIMIT = 500
_USERS_LIMIT = 8
_EVENT_CHARACTERS = 100
_BY_HTTPS = "api"  # which is also asked by its own address, where nobody sees the request


class Traces:
    """The newest traces, as they grow."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._traces: dict[int, Trace] = {}  # the oldest first
        self._of_span: dict[int, Trace] = {}

    def take(self, observed: Observed) -> tuple[Trace, Span] | None:
        """Adds a call when it begins, and again when it has ended. The span that is new or has
        changed, and its trace; None for a call that belongs to none."""
        trace = self._of_span.get(observed.id)
        if trace is None:
            trace = self._home(observed)
            if trace is None or len(trace.spans) >= SPANS_OF_ONE_LIMIT:
                return None
            self._begin(trace, observed)
        span = trace.spans[observed.id]
        if observed.ended is not None and span.ended is None:
            self._end(trace, span, observed)
        return trace, span

    def all(self, about: str | None = None) -> Iterator[Trace]:
        """The newest first; those that are `about` a call or a user."""
        newest_first = reversed(list(self._traces.values()))
        return (
            trace
            for trace in newest_first
            if about is None or about == trace.call or about in trace.users
        )

    def get(self, id: int) -> Trace | None:
        return self._traces.get(id)

    def of_span(self, id: int) -> tuple[Trace, Span] | None:
        trace = self._of_span.get(id)
        return (trace, trace.spans[id]) if trace else None

    # Where a call belongs

    def _home(self, observed: Observed) -> Trace | None:
        kind = kind_of(observed.call)
        if kind.root:
            return self._again(observed) or self._new(observed, kind.root)
        if kind.serves:
            return self._delivered(observed)
        found = self._asked_for(observed)
        if found is None and observed.function == _BY_HTTPS:
            return self._new(observed, Root.REQUEST)
        return found

    def _again(self, observed: Observed) -> Trace | None:
        """The trace of a task that was tried before."""
        if kind_of(observed.call).root is not Root.TASK:
            return None
        key = _asked(observed, "ring")
        return self._newest(lambda trace: trace.root is Root.TASK and key in trace.asked)

    def _delivered(self, observed: Observed) -> Trace | None:
        """The trace of an event that is delivered, or of a webhook."""
        text = observed.request
        return (
            self._newest(lambda trace: _names_signal(trace, text))
            or self._newest(lambda trace: hash(text) in trace.published)
            or self._newest(lambda trace: _names_call(trace, text))
        )

    def _asked_for(self, observed: Observed) -> Trace | None:
        """The trace for which a function asks something of a service."""
        text, function = observed.request, observed.function or self._running_at(observed.began)

        def works(trace: Trace) -> bool:
            return function is not None and trace.runs(function, observed.began)

        working = [trace for trace in self.all() if works(trace)]
        for names in (_names_signal, _names_call, _names_connection, _names_user):
            if found := [trace for trace in working if names(trace, text)]:
                return found[0]
        for names in (_names_signal, _names_call):
            found = [trace for trace in self.all() if names(trace, text)]
            # Sweep republishes what many traces wrote, at once.
            if found and not (working and len(found) > 1):
                return found[0]
        return working[0] if len(working) == 1 else None

    def _newest(self, holds: Callable[[Trace], bool]) -> Trace | None:
        return next(filter(holds, self.all()), None)

    def _running_at(self, at: float) -> str | None:
        """The one function that works at that time; None if none does, or several."""
        working = {
            span.kind.serves
            for trace in self._traces.values()
            for span in trace.spans.values()
            if span.kind.serves and span.runs(span.kind.serves, at)
        }
        return working.pop() if len(working) == 1 else None

    # What a trace learns

    def _new(self, observed: Observed, root: Root) -> Trace:
        trace = Trace(id=observed.id, root=root, started=observed.began)
        said = _said(observed)
        if said.event:
            trace.event = self._words.events.get(said.event, said.event)[:_EVENT_CHARACTERS]
            trace.call = said.call(self._words)
        elif root is Root.TASK:
            trace.call = Said(data=said.data).call(self._words)
        service, _, _ = observed.call.partition(".")
        if service == "integration":
            trace.connection = observed.request.partition(" ")[0]
        self._traces[trace.id] = trace
        self._forget()
        return trace

    def _begin(self, trace: Trace, observed: Observed) -> None:
        kind = kind_of(observed.call)
        function = kind.serves or observed.function or self._running_at(observed.began) or UNKNOWN
        asked = _asked(observed, function)
        trace.asked[asked] += 1
        trace.spans[observed.id] = Span(
            id=observed.id,
            call=observed.call,
            kind=kind,
            function=function,
            began=observed.began,
            attempt=trace.asked[asked],
            request=shown_text(observed.request),
        )
        trace.started = min(trace.started, observed.began)
        self._of_span[observed.id] = trace
        if self._is_its_own(trace, function):
            self._learn(trace, observed)
        if observed.call == PUBLISH:
            trace.published.update(map(hash, published_in(observed.request)))

    def _is_its_own(self, trace: Trace, function: str) -> bool:
        """Whether what `function` asks for says what the trace is about: it is the one by which the
        trace began. Sweep looks at what others have left, and of a socket that was closed, only
        those who come after learn whose it was."""
        first = next(iter(trace.spans.values()))
        if trace.root in (Root.SWEEP, Root.CLOSE):
            return trace.root is Root.CLOSE
        return function == (first.kind.serves or first.function)

    def _learn(self, trace: Trace, observed: Observed) -> None:
        text = observed.request
        found = self._words.call_in(text) if observed.call.startswith("firestore.") else None
        if found and not trace.is_connect:
            trace.call = trace.call if trace.call and mentions(text, trace.call) else found
        if observed.call == COMMIT and trace.call:
            known = {signal for other in self._traces.values() for signal in other.signals}
            signals = self._words.signals_in(text, trace.call)
            trace.signals.update(signal for signal in signals if signal not in known)
        self._learn_users(trace, text)

    def _learn_users(self, trace: Trace, text: str) -> None:
        for user, rank in self._words.users_in(text).items():
            if user in trace.ranks or len(trace.ranks) < _USERS_LIMIT:
                trace.ranks[user] = min(rank, trace.ranks.get(user, rank))

    def _end(self, trace: Trace, span: Span, observed: Observed) -> None:
        span.ended = observed.ended
        span.status, span.is_failed = observed.status, observed.is_failed
        span.response = shown_text(observed.response)
        span.fault = observed.fault
        if self._is_its_own(trace, span.function):
            self._learn_users(trace, observed.response)
        if span.kind.root:
            trace.outcome = outcome_in(observed.response) or trace.outcome

    # What is forgotten

    def _forget(self) -> None:
        while len(self._traces) > TRACES_LIMIT or len(self._of_span) > SPANS_LIMIT:
            oldest = next(iter(self._traces.values()))
            # Polls and pings would drive out the calls.
            idle = (each for each in self._traces.values() if not each.call)
            forgotten = next((each for each in idle if not each.is_running), oldest)
            if forgotten is list(self._traces.values())[-1]:  # the one that is new
                forgotten = oldest
            del self._traces[forgotten.id]
            for span in forgotten.spans:
                del self._of_span[span]


def _said(observed: Observed) -> Said:
    service, _, method = observed.call.partition(".")
    match service:
        case _ if observed.call == CONNECT:
            return Said(method)
        case "integration":
            return said_in_frame(observed.request.partition(" ")[2])
        case "front":
            target, _, body = observed.request.partition(" ")
            return said_in_request(method, target, body)
        case "task":
            return replace(said_in_request("", "", observed.request), event=None)
        case _:
            return Said()


def _asked(observed: Observed, function: str) -> tuple[str, str, int]:
    return observed.call, function, hash(observed.request)


def _names_signal(trace: Trace, text: str) -> bool:
    return any(mentions(text, signal) for signal in trace.signals)


def _names_call(trace: Trace, text: str) -> bool:
    return trace.call is not None and mentions(text, trace.call)


def _names_connection(trace: Trace, text: str) -> bool:
    return trace.connection is not None and mentions(text, trace.connection)


def _names_user(trace: Trace, text: str) -> bool:
    return any(mentions(text, user) for user in trace.users)
