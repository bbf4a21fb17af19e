"""The rules of a call, told a second time in a dozen lines: what the product is held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

Verdict = tuple[bool, str]  # `ok` and `outcome`


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may send a signal, what it makes of the call, and how who is told of it."""

    sender: str
    to: str
    tells: str
    event: str
    push: str | None


RULES = {
    "call:cancel": Rule("caller", "cancelled", "receiver", "call:cancelled", "call_cancelled"),
    "call:reject": Rule("receiver", "rejected", "caller", "call:rejected", "call_rejected"),
    "call:accept": Rule("receiver", "accepted", "caller", "call:accepted", None),
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
    rule = RULES[signal.name]
    if call is None or signal.sender not in (call.caller, call.receiver):
        return (False, "not_found"), call
    if signal.sender != getattr(call, rule.sender):
        return (False, "forbidden"), call
    if call.status != "ringing":
        return (call.status == rule.to, f"already_{call.status}"), call
    by = {"answered_by" if rule.to == "accepted" else "ended_by": signal.sender}
    return (True, rule.to), replace(call, status=rule.to, reason=signal.reason, **by)


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
