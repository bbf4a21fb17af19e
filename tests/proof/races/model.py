"""The rules of a call, told a second time in few lines: what the product is held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

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
    """Who may send a signal, what it makes of which call, and who is told of it."""

    sender: str
    was: str
    to: str
    notices: tuple[Notice, ...]

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
)
_REJECT = Rule(
    "receiver",
    "ringing",
    "rejected",
    (
        Notice("caller", "call:rejected", ("rejected",), "call_rejected"),
        _elsewhere("Declined elsewhere", "rejected_elsewhere", "rejected"),
    ),
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
    "caller", "accepted", "ended", (Notice("receiver", "call:ended", ("ended",)),)
)
_END_OF_RECEIVER = Rule(
    "receiver", "accepted", "ended", (Notice("caller", "call:ended", ("ended",)),)
)

# Nobody's signal: the ring's time is over.
TIMED_OUT = Rule(
    "nobody",
    "ringing",
    "missed",
    (
        Notice("caller", "call:timeout", ("missed",), says=("No answer", "timeout")),
        Notice("receiver", "call:cancelled", ("missed",), "call_cancelled", ("Timeout", "timeout")),
    ),
)

RULES = {
    "call:cancel": (_CANCEL,),
    "call:reject": (_REJECT,),
    "call:accept": (_ACCEPT,),
    "call:end": (_CANCEL, _REJECT, _END_OF_CALLER, _END_OF_RECEIVER),
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call as its document has it: while it rings it has no reason, and nobody to name."""

    caller: str
    receiver: str
    status: str = "ringing"
    answered_by: str | None = None
    ended_by: str | None = None
    reason: str | None = None
    answered_on: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class Signal:
    name: str
    call: str
    sender: str
    reason: str  # no other signal has it
    place: Place = NOWHERE  # on which device its sender acts


def judge(call: Call | None, signal: Signal) -> tuple[Verdict, Call | None]:
    """The verdict on a signal, and the call from then on."""
    if call is None or signal.sender not in (call.caller, call.receiver):
        return (False, "not_found"), call
    rules = rules_for(call, signal)
    if not rules:
        return (False, "forbidden"), call
    for rule in rules:
        if rule.was == call.status:
            after = replace(call, status=rule.to, reason=signal.reason)
            if rule.to != "accepted":
                return (True, rule.to), replace(after, ended_by=signal.sender)
            by, place = signal.sender, signal.place
            return (True, rule.to), replace(after, answered_by=by, answered_on=place)
    # Who answers where the call was answered already must not take the call for his.
    is_elsewhere = call.status == "accepted" and call.answered_on.is_same(signal.place) is False
    is_repeat = call.status in [rule.to for rule in rules] and not is_elsewhere
    return (is_repeat, f"already_{call.status}"), call


def rules_for(call: Call, signal: Signal) -> Sequence[Rule]:
    """Those by which its sender may send it, however the call stands."""
    rules = RULES[signal.name]
    return [rule for rule in rules if signal.sender == getattr(call, rule.sender)]


def explain(
    calls: Mapping[str, Call], signals: Sequence[Signal], verdicts: Sequence[Verdict]
) -> Mapping[str, Call] | None:
    """The calls after `signals`, sent at once; None if no order of them gives these verdicts."""
    for order in permutations(range(len(signals))):
        after = dict(calls)
        given: dict[int, Verdict] = {}
        for place in order:
            id = signals[place].call
            given[place], call = judge(after.get(id), signals[place])
            if call is not None:
                after[id] = call
        if [given[place] for place in range(len(signals))] == list(verdicts):
            return after
    return None
