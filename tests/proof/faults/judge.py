"""The invariants: what must be true of a case, whatever went wrong on its way."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from infra.client.flows import REJECT
from tests.proof.faults.played import Played
from tests.proof.faults.points import WEBHOOK_PATHS
from tests.proof.handset import Told

_ELSEWHERE = "Declined elsewhere"
ERROR = Told("", "", "")  # API Gateway's own frame, when a function died over one


@dataclass
class Judgement:
    """What breaks an invariant, in sentences; `duplicated` breaks none by itself."""

    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    duplicated: bool = False


def judge(played: Played) -> Judgement:
    """Of a case whose event reached all it could, with nothing under way any more."""
    found = Judgement()
    found.wrong += verdicts(played)
    if played.is_late:
        found.wrong.append("the event took too long to reach all it could")
    if not played.is_harmed:
        found.wrong.append("it did not come to what was to go wrong")
    if played.told_too_soon:
        found.wrong.append("a phone was told that the call had ended while it was ringing")
    for call, status in played.statuses.items():
        if status != played.case.flow.status:
            found.wrong.append(f"{call} is {status}")
    found.wrong += [f"the outbox still has the event of {call}" for call in played.outbox]
    for told in played.told:
        _phone(played, told, found)
    _senders_phones(played, found)
    _pushes(played, found)
    _hooks(played, found)
    _old_ring(played, found)
    return found


def verdicts(played: Played) -> Iterator[str]:
    """Each verdict is true: `ok` says that the signal did it, or had done it before."""
    status = played.case.flow.status
    possible = {(True, status)}
    unknown = {(False, "unavailable")} if played.case.harms_the_answer(played.cast) else set()
    for verdict in played.verdicts:
        said = None if verdict is None else (verdict["ok"], verdict["outcome"])
        if said is not None and said not in possible | unknown:
            yield f"the sender was told {said}"
        # Who was told nothing, or that nobody knows, may have succeeded all the same.
        if said is None or not said[0]:
            possible = {(True, status), (True, f"already_{status}")}
        else:
            possible = {(True, status)} if len(played.statuses) > 1 else possible


def _phone(played: Played, told: Counter[Told], found: Judgement) -> None:
    event = played.case.flow.event
    by_call = Counter({each: count for each, count in told.items() if each.event == event})
    for call in played.statuses:
        times = sum(count for each, count in by_call.items() if each.call == call)
        found.duplicated |= times > 1
        if not times:
            found.lost.append(f"a phone was never told of {call}")
        elif times > _at_most(played):
            found.wrong.append(f"a phone was told {times} times of {call}")
    true = {Told(event, call, played.reason) for call in played.statuses}
    strange = [each for each in told if each not in true]
    if strange:
        found.wrong.append(f"a phone was told something untrue: {strange}")


def _senders_phones(played: Played, found: Judgement) -> None:
    """Who declines on one phone silences his other one; but for that, the sender's phones are told
    nothing. If he declines over HTTPS, nobody knows on which phone."""
    case = played.case
    others = played.bystanders[0 if case.comes_over_https else 1 :] if case.flow == REJECT else []
    due = {Told("call:cancelled", call, _ELSEWHERE) for call in played.statuses}
    for told in others:
        for each in due:
            found.duplicated |= told[each] > 1
            if not told[each]:
                found.lost.append(f"another phone of the sender's was never told of {each.call}")
            elif told[each] > _at_most(played) * (2 if played.old_ring else 1):
                found.wrong.append(f"a phone was told {told[each]} times to stop ringing")
    for told in played.bystanders:
        strange = [
            each
            for each in told
            if each not in (due if any(told is other for other in others) else ())
        ]
        if strangers := [each for each in strange if each != ERROR]:
            found.wrong.append(f"somebody was told who should not know: {strangers}")


def _at_most(played: Played) -> int:
    """Once more for each fault: what was told may have to be told again."""
    return 1 if played.is_exact else 1 + played.faults


def _pushes(played: Played, found: Judgement) -> None:
    case, cast = played.case, played.cast
    if case.backend_pushes:
        _wanted(played, found)
        return
    tokens = cast.tokens[:1] if case.second_token_dies else cast.tokens
    expected = {(token, case.flow.push, call) for token in tokens for call in played.statuses}
    for push in expected:
        times = played.pushes[push]
        found.duplicated |= times > 1
        if not times:
            found.lost.append(f"{push} was never pushed")
        elif times > _at_most(played):
            found.wrong.append(f"{push} was pushed {times} times")
    if strange := set(played.pushes) - expected:
        found.wrong.append(f"a phone was pushed something untrue: {strange}")


def _wanted(played: Played, found: Judgement) -> None:
    """One URL is asked for each push, once or more often, and nobody else pushes."""
    for call in played.statuses:
        asked = (WEBHOOK_PATHS[0], played.cast.told, call)
        times = played.wanted.pop(asked, 0)
        found.duplicated |= times > 1
        if not times:
            found.lost.append(f"the backend was never asked to push {call}")
        elif times > _at_most(played):
            found.wrong.append(f"the backend was asked {times} times to push {call}")
    if strange := {*played.wanted, *played.pushes}:
        found.wrong.append(f"somebody else was asked to push, or pushed: {strange}")


def _hooks(played: Played, found: Judgement) -> None:
    """Every URL of the app's backend has every event, once or more often."""
    expected = {
        (path, played.case.flow.status, call) for path in WEBHOOK_PATHS for call in played.statuses
    }
    found.lost += [f"the backend was never told {hook}" for hook in expected - set(played.hooks)]
    if strange := set(played.hooks) - expected:
        found.wrong.append(f"the backend was told something untrue: {strange}")
    if played.is_device_forgotten and played.gone_hooks != set(WEBHOOK_PATHS):
        found.lost.append(f"of a device that is gone only these were told: {played.gone_hooks}")


def _old_ring(played: Played, found: Judgement) -> None:
    """A call that rings again must not be silenced by what is left of its old ring."""
    old, point = played.old_ring, played.case.point
    if old is None or point is None:
        return
    if point.is_late and not old.is_excused:
        if old.told_in_the_end != old.told:
            found.wrong.append(
                "a phone was told of the old ring while the new one rang: "
                f"{old.told} times by then, {old.told_in_the_end} in the end"
            )
        if old.pushed_in_the_end > old.pushed:
            found.wrong.append("a phone was pushed of the old ring while the new one rang")
    elif max(old.told_in_the_end) > _at_most(played):
        found.wrong.append(f"phones were told {old.told_in_the_end} times of the old ring")
