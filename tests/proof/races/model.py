"""The rules of a call, told a second time in a dozen lines: what the product is held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

Verdict = tuple[bool, str]  # `ok` and `outcome`


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may send a signal, what it makes of which call, and how who is told of it."""

    sender: str
    was: str
    to: str
    tells: str
    event: str
    push: str | None


_CANCEL = Rule("caller", "ringing", "cancelled", "receiver", "call:cancelled", "call_cancelled")
_REJECT = Rule("receiver", "ringing", "rejected", "caller", "call:rejected", "call_rejected")

RULES = {
    "call:cancel": (_CANCEL,),
    "call:reject": (_REJECT,),
    "call:accept": (Rule("receiver", "ringing", "accepted", "caller", "call:accepted", None),),
    "call:end": (
        _CANCEL,
        _REJECT,
        Rule("caller", "accepted", "ended", "receiver", "call:ended", None),
        Rule("receiver", "accepted", "ended", "caller", "call:ended", None),
    ),
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


@dataclass(frozen=True, slots=True)
class Signal:
    name: str
    call: str
    sender: str
    reason: str  # no other signal has it


def judge(call: Call | None, signal: Signal) -> tuple[Verdict, Call | None]:
    """The verdict on a signal, and the call from then on."""
    if call is None or signal.sender not in (call.caller, call.receiver):
        return (False, "not_found"), call
    rules = rules_for(call, signal)
    if not rules:
        return (False, "forbidden"), call
    for rule in rules:
        if rule.was == call.status:
            by = {"answered_by" if rule.to == "accepted" else "ended_by": signal.sender}
            return (True, rule.to), replace(call, status=rule.to, reason=signal.reason, **by)
    is_repeat = call.status in [rule.to for rule in rules]
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
