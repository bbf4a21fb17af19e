"""What must be true of a client whose handshake a fault has struck."""

from collections import Counter
from collections.abc import Iterator

from tests.proof.faults.judge import Judgement
from tests.proof.handshake.cast import Told
from tests.proof.handshake.play import Played


def judge(played: Played) -> Judgement:
    """Of a case with nothing under way any more."""
    found = Judgement()
    found.wrong += played.failures
    cast = played.cast
    # Nobody knows what has reached a client that was disconnected: it is told again in each of its
    # sessions. And each once more for the fault.
    _party("the client", played.client, cast.clients, played.sessions + 1, found)
    _party("its peer", played.peer, cast.peers, 2, found)
    found.wrong += [*_verdicts(played), *_documents(played)]
    return found


def _party(
    who: str, told: Counter[Told], expected: frozenset[Told], most: int, found: Judgement
) -> None:
    for event, call in expected - told.keys():
        found.lost.append(f"{who} was never told {event} of {call}")
    for (event, call), times in told.items():
        if (event, call) not in expected:
            found.wrong.append(f"{who} was told {event} of {call}, which is not so")
        found.duplicated |= times > 1
        if times > most:
            found.wrong.append(f"{who} was told {event} of {call} {times} times")


def _verdicts(played: Played) -> Iterator[str]:
    """What was said again may have been carried out the first time."""
    cast = played.cast
    expected = {
        f"call:cancel {cast.ringing}": "cancelled",
        f"call:initiate {cast.begun}": "ringing",
        f"call:cancel {cast.begun}": "cancelled",
    }
    for said, outcome in expected.items():
        verdict = played.verdicts.get(said)
        if verdict is None:
            yield f"{said} got no verdict"
        elif not verdict["ok"] or verdict["outcome"] not in (outcome, f"already_{outcome}"):
            yield f"{said} got {dict(verdict)}"


def _documents(played: Played) -> Iterator[str]:
    cast = played.cast
    for call in cast.calls:
        if played.statuses.get(call) != "cancelled":
            yield f"{call} is {played.statuses.get(call)}"
        changes = 2 if call == cast.begun else 1
        if played.changes.get(call) != changes:
            yield f"{call} has changed {played.changes.get(call)} times, not {changes}"
