"""The invariants of a ring: whatever goes wrong, it is heard, it ends, and nobody hears wrongly."""

from collections import Counter

from tests.proof.faults.judge import ERROR, Judgement, verdicts
from tests.proof.faults.points import WEBHOOK_PATHS
from tests.proof.faults.ringing.flows import INITIATE, Heard, ends_of, heard_in, tokens_of
from tests.proof.faults.ringing.played import RingPlayed


def judge_ring(played: RingPlayed) -> Judgement:
    """Of a ring with which nothing is under way any more."""
    found = Judgement()
    found.wrong += verdicts(played)
    if played.is_late:
        found.wrong.append("it took too long until all had heard of it")
    if not played.is_harmed:
        found.wrong.append("it did not come to what was to go wrong")
    if played.told_too_soon:
        found.wrong.append("a phone was told that the call had ended while it was ringing")
    if played.is_early:
        found.wrong.append("the ring ended before its time was over")
    if played.case.flow == INITIATE and not played.is_scheduled:
        found.lost.append("nobody will end the ring")
    found.wrong += [f"the outbox still has an event of {call}" for call in played.outbox]
    (status,) = played.statuses.values()
    if status not in ends_of(played.case):
        found.wrong.append(f"the call is {status}")
    expected = heard_in(played.case, status)
    _phones(played, expected, found)
    _pushes(played, expected, found)
    _hooks(played, expected, found)
    return found


def _phones(played: RingPlayed, expected: Heard, found: Judgement) -> None:
    for name, told in played.phones.items():
        due = expected.told_of(name, played.cast.call)
        for each in due:
            _count(told[each], f"{name} was told {each.event} ({each.reason})", played, found)
        if strange := [each for each in told if each not in due and each != ERROR]:
            found.wrong.append(f"{name} was told what it should not hear: {strange}")


def _pushes(played: RingPlayed, expected: Heard, found: Judgement) -> None:
    due = {
        (token, type, played.cast.call): device
        for device, token in tokens_of(played.cast).items()
        for type in expected.pushed.get(device, ())
    }
    for push, device in due.items():
        _count(played.pushes[push], f"{device}'s device was pushed {push[1]}", played, found)
    if strange := Counter(played.pushes) - Counter(dict.fromkeys(due, 1_000)):
        found.wrong.append(f"a device was pushed what it should not be: {dict(strange)}")


def _hooks(played: RingPlayed, expected: Heard, found: Judgement) -> None:
    """Every URL of the app's backend has every event, once or more often."""
    due = {(path, each, played.cast.call) for path in WEBHOOK_PATHS for each in expected.hooks}
    found.lost += [f"the backend was never told {hook}" for hook in due - set(played.hooks)]
    if strange := set(played.hooks) - due:
        found.wrong.append(f"the backend was told something untrue: {strange}")


def _count(times: int, what: str, played: RingPlayed, found: Judgement) -> None:
    """Once, and once more for each fault: what was told may have to be told again."""
    found.duplicated |= times > 1
    if not times:
        found.lost.append(f"{what} never")
    elif times > 1 + played.faults:
        found.wrong.append(f"{what} {times} times")
