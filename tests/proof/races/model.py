"""The rules of a call, told a second time in few lines: what the product is held against."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

Verdict = tuple[bool, str]  # `ok` and `outcome`


@dataclass(frozen=True, slots=True)
class Place:
    """On which of his devices somebody is, as far as anybody knows: what the app calls it, and
    which phone has registered there."""

    name: str | None = None
    registered: str | None = None

    def is_same(self, other: "Place") -> bool | None:
        """None: nobody knows."""
        pairs = ((self.name, other.name), (self.registered, other.registered))
        known = [one == another for one, another in pairs if one and another]
        return any(known) if known else None


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Notice:
    """How a party is told of it: its event, and the type of its message by FCM, if there is one.

    It is true in these statuses alone. `says` are its reason and its cause, where the reason is not
    the signal's. `is_elsewhere`: a party is told of what it did itself, on other devices than the
    one on which it did so.
    """

    whom: str
    event: str
    true: tuple[str, ...]
    push: str | None = None
    says: tuple[str, str] | None = None
    is_elsewhere: bool = False

    def reaches_socket(self, acted: Place, place: Place, *, was_there: bool) -> bool:
        """Whether a socket is told that is not the one by which the party `acted`; `was_there`: it
        was open by then."""
        is_same = acted.is_same(place)
        return not self.is_elsewhere or (was_there if is_same is None else not is_same)

    def reaches_device(self, acted: Place, device: Place) -> bool:
        return self.push is not None and (not self.is_elsewhere or acted.is_same(device) is False)


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may send a signal, what it makes of which call, who is told of it, and its cause."""

    sender: str
    was: str | None  # None: there is no call yet
    to: str
    notices: tuple[Notice, ...]
    cause: str | None = None

    def told(self, call: "Call") -> dict[str, Notice]:
        """By user. Who calls himself is told the first of two."""
        told: dict[str, Notice] = {}
        for notice in self.notices:
            told.setdefault(getattr(call, notice.whom), notice)
        return told


def _elsewhere(reason: str, cause: str, *true: str) -> Notice:
    says = (reason, cause)
    return Notice("receiver", "call:cancelled", true, "call_cancelled", says, is_elsewhere=True)


_CANCEL = Rule(
    "caller",
    "ringing",
    "cancelled",
    (Notice("receiver", "call:cancelled", ("cancelled",), "call_cancelled"),),
    "caller_cancelled",
)
_REJECT = Rule(
    "receiver",
    "ringing",
    "rejected",
    (
        Notice("caller", "call:rejected", ("rejected",), "call_rejected"),
        _elsewhere("Declined elsewhere", "rejected_elsewhere", "rejected"),
    ),
    "rejected",
)
_ACCEPT = Rule(
    "receiver",
    "ringing",
    "accepted",
    (
        Notice("caller", "call:accepted", ("accepted",)),
        _elsewhere("Answered elsewhere", "answered_elsewhere", "accepted", "ended"),
    ),
)
_END_OF_CALLER = Rule(
    "caller", "accepted", "ended", (Notice("receiver", "call:ended", ("ended",)),), "ended"
)
_END_OF_RECEIVER = Rule(
    "receiver", "accepted", "ended", (Notice("caller", "call:ended", ("ended",)),), "ended"
)

RULES = {
    "call:cancel": (_CANCEL,),
    "call:reject": (_REJECT,),
    "call:accept": (_ACCEPT,),
    "call:end": (_CANCEL, _REJECT, _END_OF_CALLER, _END_OF_RECEIVER),
}

# How a call begins to ring that its caller asks for by a socket. Nobody is caught up with its ring
# once it is over.
INITIATED = Rule(
    "caller", None, "ringing", (Notice("receiver", "call:incoming", ("ringing",), "incoming_call"),)
)


def _silenced(status: str, reason: str, cause: str) -> Notice:
    return Notice("receiver", "call:cancelled", (status,), "call_cancelled", (reason, cause))


# What ends a ring when nobody does: no signal of anybody's, and no verdict. That the caller is gone
# is taken for his own doing.
TIMED_OUT = Rule(
    "nobody",
    "ringing",
    "missed",
    (
        Notice("caller", "call:timeout", ("missed",), says=("No answer", "timeout")),
        _silenced("missed", "Timeout", "timeout"),
    ),
    "timeout",
)
GONE = Rule(
    "caller",
    "ringing",
    "cancelled",
    (_silenced("cancelled", "Caller disconnected", "caller_gone"),),
    "caller_gone",
)
TIMERS = {"ring:ended": TIMED_OUT, "caller:gone": GONE}


@dataclass(frozen=True, slots=True)
class Call:
    """A call as its document has it: while it rings it has no reason, and nobody to name."""

    caller: str
    receiver: str
    status: str = "ringing"
    answered_by: str | None = None
    ended_by: str | None = None
    reason: str | None = None
    cause: str | None = None
    answered_on: Place = NOWHERE

    @property
    def stored(self) -> dict[str, str | None]:
        """What its document says of all that; a field that is None is missing there."""
        return {
            "status": self.status,
            "answeredBy": self.answered_by,
            "endedBy": self.ended_by,
            "reason": self.reason,
            "cause": self.cause,
        }


@dataclass(frozen=True, slots=True)
class Signal:
    """What somebody sends; or what a timer does in his name, in nobody's if it is empty."""

    name: str
    call: str
    sender: str
    reason: str  # no other signal has it
    place: Place = NOWHERE  # on which device its sender acts

    @classmethod
    def of_timer(cls, name: str, id: str, call: Call) -> "Signal":
        """The ring's time is over, or its caller is gone."""
        reason = {"ring:ended": "No answer", "caller:gone": "Caller disconnected"}[name]
        return cls(name, id, getattr(call, TIMERS[name].sender, ""), reason)


@dataclass(frozen=True, slots=True)
class Step:
    """A signal has changed its call by a rule."""

    signal: Signal
    rule: Rule
    call: Call  # from then on

    @classmethod
    def of_ring(cls, id: str, call: Call) -> "Step":
        """Its caller has initiated it."""
        return cls(Signal("call:initiate", id, call.caller, ""), INITIATED, call)


def judge(call: Call | None, signal: Signal) -> tuple[Verdict, Call | None]:
    """The verdict on a signal of somebody's, and the call from then on."""
    verdict, step = _judged(call, signal)
    return verdict, step.call if step else call


def _judged(call: Call | None, signal: Signal) -> tuple[Verdict, Step | None]:
    if call is None or signal.sender not in (call.caller, call.receiver):
        return (False, "not_found"), None
    rules = rules_for(call, signal)
    if not rules:
        return (False, "forbidden"), None
    for rule in rules:
        if rule.was == call.status:
            return (True, rule.to), _step(call, signal, rule)
    # Who answers where the call was answered already must not take the call for his.
    is_elsewhere = call.status == "accepted" and call.answered_on.is_same(signal.place) is False
    is_repeat = call.status in [rule.to for rule in rules] and not is_elsewhere
    return (is_repeat, f"already_{call.status}"), None


def _step(call: Call, signal: Signal, rule: Rule) -> Step:
    after = replace(call, status=rule.to, reason=signal.reason, cause=rule.cause)
    if rule.to == "accepted":
        after = replace(after, answered_by=signal.sender, answered_on=signal.place)
    else:
        after = replace(after, ended_by=signal.sender or None)
    return Step(signal, rule, after)


def rules_for(call: Call, signal: Signal) -> Sequence[Rule]:
    """Those by which its sender may send it, however the call stands."""
    rules = RULES[signal.name]
    return [rule for rule in rules if signal.sender == getattr(call, rule.sender)]


def _struck(call: Call | None, timer: Signal) -> Step | None:
    rule = TIMERS[timer.name]
    return _step(call, timer, rule) if call and call.status == rule.was else None


def explanations(
    calls: Mapping[str, Call], signals: Sequence[Signal], verdicts: Sequence[Verdict | None]
) -> Iterator[Sequence[Step]]:
    """What may have happened when `signals` were sent at once and these `verdicts` came of it: what
    changed the calls, one after the other. One for each order of the signals that gives the
    verdicts; that of a timer is None, whether or not it has changed anything."""
    if not signals:
        yield ()
    for number, signal in enumerate(signals):
        call = calls.get(signal.call)
        is_timer = signal.name in TIMERS
        verdict, step = (None, _struck(call, signal)) if is_timer else _judged(call, signal)
        if verdict == verdicts[number]:
            after = {**calls, signal.call: step.call} if step else calls
            rest = slice(number), slice(number + 1, None)
            others, theirs = ([*of[rest[0]], *of[rest[1]]] for of in (signals, verdicts))
            for later in explanations(after, others, theirs):
                yield (step, *later) if step else later


def meanings(signal: Signal, verdict: Verdict, *, is_again: bool) -> Sequence[Verdict]:
    """What a verdict may say: who had to say it again may have changed the call the first time,
    and then it may have gone on."""
    status = verdict[1].removeprefix("already_")
    before = {rule.was for rules in RULES.values() for rule in rules if rule.to == status}
    done = [rule.to for rule in RULES[signal.name] if rule.to in (status, *before)]
    return [verdict, *((True, to) for to in done)] if is_again else [verdict]
