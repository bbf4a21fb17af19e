"""Rounds of accept against cancel: two phones answer one call at the same time, one may win; or the
caller's backend cancels it for him, or the ring's own end races both. The receiver's tablet falls
silent in any case. Of rounds in which all of that meets, and more, see `meeting`."""

import asyncio
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice

from google.cloud.firestore import AsyncClient

from infra.client import https
from infra.client.calls import client_at
from infra.local.stack import Stack
from tests.proof.handset import WIRES, Answer, Handset, Sender, Told
from tests.proof.inbox import Inbox, Push
from tests.proof.races.documents import Deliveries, expiring, until_delivered
from tests.proof.races.excuses import was_over_before_it_rang
from tests.proof.races.meeting import ROUND_SECONDS, Meetings
from tests.proof.races.run import PATIENCE, PAUSE_SECONDS, Run, WrongEnd, answered
from tests.proof.table import Row

_RING_SECONDS = 5  # the shortest ring
_RINGS, _APART_SECONDS = 3, 0.3  # those that a lane begins one after the other
_HEAT = 10  # rounds that share one write before and one look after, which spares Firestore
_SIGNAL_SECONDS = 0.02  # from the frame to the verdict, more or less
_HOOKS_SECONDS = 60  # in which a webhook comes, also after the sockets' and the phones' turn


class Against(Enum):
    """What an accept races."""

    CANCEL = "accept against cancel"
    BACKEND = "accept against the backend's cancel"
    TIME = "accept against cancel and the ring's end"
    ALL = "accept against cancel, end, the ring's end and the caller's leaving"


async def run_rounds(
    stack: Stack, count: int, at_once: int, against: Against = Against.CANCEL
) -> Row:
    """Plays `count` rounds, `at_once` of them at a time, each between two phones, or between the
    receiver's phone and the caller's backend; the receiver has a tablet besides. Those against time
    are played three times as many at a time, or they would take for ever. Those of all need a stack
    with the `options` of `meeting`.

    Plays fewer once there are findings enough. The row's `fault` says who won how often.
    """
    name = f"RACE_{uuid.uuid4().hex[:8]}"
    run = Run(Row("races", against.value), stack.logs, iter(range(count)))
    inbox = Inbox(stack, name)
    lanes = [(f"{name}_{lane}", WIRES[lane % len(WIRES)]) for lane in range(at_once)]
    if against is Against.ALL:
        await _meet(stack, lanes, run)
    else:
        async with asyncio.TaskGroup() as playing:
            for lane, wires in lanes:
                playing.create_task(_lane(stack, lane, wires, run, against))
    run.row.fault += (
        f" ({', '.join(f'{times:,} {end}' for end, times in sorted(run.wins.items()))})"
    )
    await _check_pushes(inbox, run, against)
    return run.row


async def _meet(stack: Stack, lanes: Sequence[tuple[str, tuple[str, str]]], run: Run) -> None:
    documents = client_at(stack.firestore, stack.project)
    meetings = Meetings(stack, documents, Deliveries(documents), run)
    async with expiring(documents), asyncio.TaskGroup() as playing:
        for number, (lane, wires) in enumerate(lanes):
            # Not all of them wait at a time, and then all act.
            playing.create_task(meetings.lane(lane, wires, number * ROUND_SECONDS / len(lanes)))
    await meetings.check_hooks(_HOOKS_SECONDS)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two phones and the receiver's tablet, each registered, who sends the cancel, and the app's
    backend."""

    caller: Handset
    receiver: Handset
    tablet: Handset
    canceller: Sender
    backend: https.Backend

    @property
    def handsets(self) -> tuple[Handset, ...]:
        return self.caller, self.receiver, self.tablet


@dataclass(frozen=True, slots=True)
class _Win:
    """What came of one round."""

    outcome: str
    call: str
    pair: _Pair

    @property
    def told(self) -> dict[Handset, Told]:
        """Whom it is told, and how."""
        caller, receiver, tablet = self.pair.handsets
        match self.outcome:
            case "cancelled":
                return dict.fromkeys((receiver, tablet), self._cancelled(self.call))
            case "missed":
                timeout = Told("call:timeout", self.call, "No answer")
                return {
                    caller: timeout,
                    **dict.fromkeys((receiver, tablet), self._cancelled("Timeout")),
                }
            case _:
                accepted = Told("call:accepted", self.call, self.call)
                return {caller: accepted, tablet: self._cancelled("Answered elsewhere")}

    def _cancelled(self, reason: str) -> Told:
        return Told("call:cancelled", self.call, reason)

    @property
    def pushes(self) -> list[Push]:
        """One to each device that is to fall silent."""
        fields = {
            "type": "call_cancelled",
            "callId": self.call,
            "callerId": self.pair.caller.user,
        }
        causes = {"accepted": "answered_elsewhere", "missed": "timeout"}
        if cause := causes.get(self.outcome):
            fields["cause"] = cause
        _, receiver, tablet = self.pair.handsets
        silenced = [tablet] if self.outcome == "accepted" else [receiver, tablet]
        return [Push.of(_token(handset), fields) for handset in silenced]


async def _lane(
    stack: Stack, name: str, wires: tuple[str, str], run: Run, against: Against
) -> None:
    """Plays rounds with one pair of phones, one after the other, as long as there are any."""
    documents = client_at(stack.firestore, stack.project)
    expected: dict[Handset, Counter[Told]] = defaultdict(Counter)
    is_timed = against is Against.TIME
    async with _pair(stack, name, wires, against) as pair:
        while not run.is_over and (
            heat := list(islice(run.numbers, _RINGS if is_timed else _HEAT))
        ):
            calls = {f"{name}_{number}": number for number in heat}
            if is_timed:
                wins = await _play_to_the_end(pair, calls, run)
            else:
                await _ring(documents, pair, calls)
                wins = [win async for win in _play(pair, calls, run)]
            await _check_documents(documents, wins, run.row)
            for win in wins:
                for phone, told in win.told.items():
                    expected[phone][told] += 1
                run.wins[win.outcome] += 1
                run.pushes.update(win.pushes)
        for phone in pair.handsets:
            await phone.catch_up()
            came = Counter({t: n for t, n in phone.told().items() if t.event != "call:incoming"})
            run.compare(expected[phone], came)


async def _play(pair: _Pair, calls: Mapping[str, int], run: Run) -> AsyncIterator[_Win]:
    """One round after the other."""
    for call, number in calls.items():
        if run.is_over:
            return
        with run.round(call):
            win = await _decided(pair, call, number)
            await _heard(win)
            yield win


async def _play_to_the_end(pair: _Pair, calls: Mapping[str, int], run: Run) -> list[_Win]:
    """Rounds that begin one after the other, each about when its ring is over."""

    async def play(call: str, number: int, after: float) -> list[_Win]:
        await asyncio.sleep(after)
        with run.round(call):
            left = await _ring_for_a_while(pair, call) - time.time()
            await asyncio.sleep(left + _before_the_end(number))
            return [await _decided(pair, call, number)]
        return []

    plays = [play(*each, place * _APART_SECONDS) for place, each in enumerate(calls.items())]
    played = await asyncio.gather(*plays)
    wins = []
    for win in (each for some in played for each in some):
        with run.part(win.call):  # one after the other: a phone's events are read by one at a time
            await _heard(win)
            wins.append(win)
    return wins


async def _ring_for_a_while(pair: _Pair, call: str) -> float:
    """When the ring ends, in seconds since the epoch. Raises TimeoutError."""
    for _ in range(PATIENCE):
        verdict = await pair.backend.ring(
            call, pair.caller.user, pair.receiver.user, ringSeconds=_RING_SECONDS
        )
        if verdict["ok"]:
            ends: int = verdict["ringsUntil"]
            return ends / 1000
        await asyncio.sleep(PAUSE_SECONDS)
    raise TimeoutError(f"{call} did not ring: {verdict}")


def _before_the_end(number: int) -> float:
    """Seconds from the end of a ring to its first signal: the task takes its time as well."""
    return (number % 8 - 2) * _SIGNAL_SECONDS


@asynccontextmanager
async def _pair(
    stack: Stack, name: str, wires: tuple[str, str], against: Against
) -> AsyncIterator[_Pair]:
    async with (
        Handset.dialled(stack, f"{name}_CALLER", wires[0]) as caller,
        Handset.dialled(stack, f"{name}_RECEIVER", wires[1]) as receiver,
        Handset.dialled(stack, f"{name}_RECEIVER", wires[0], "tablet") as tablet,
        https.client(stack.functions["api"]) as http,
    ):
        backend = https.Backend(http, stack.values["API_KEY"])
        pair = _Pair(caller, receiver, tablet, caller, backend)
        if against is Against.BACKEND:
            pair = replace(pair, canceller=backend.on_behalf_of(caller.user))
        for phone in pair.handsets:
            await phone.insist("device:register", token=_token(phone), platform="android")
        yield pair


async def _ring(documents: AsyncClient, pair: _Pair, calls: Iterable[str]) -> None:
    parties = {"callerId": pair.caller.user, "receiverId": pair.receiver.user}
    batch = documents.batch()
    for call in calls:
        batch.set(documents.collection("calls").document(call), {**parties, "status": "ringing"})
    await batch.commit()


async def _decided(pair: _Pair, call: str, number: int) -> _Win:
    """Plays one round until both verdicts are there. Raises WrongEnd, and TimeoutError."""
    frames: list[tuple[Sender, str]] = [
        (pair.canceller, "call:cancel"),
        (pair.receiver, "call:accept"),
    ]
    if number % 2:
        frames.reverse()
    # Of two frames sent in one go, each is decided before the other is written. With a head start
    # of up to the time that a signal takes, the first is elsewhere on its way each time.
    head_start = number // 2 % 10 / 10 * _SIGNAL_SECONDS

    async def send(sender: Sender, signal: str, after: float) -> Answer:
        await asyncio.sleep(after)
        return await answered(sender, signal, call, call)

    answers = await asyncio.gather(send(*frames[0], 0), send(*frames[1], head_start))
    signals = [signal for _, signal in frames]
    outcome = _winner(call, dict(zip(signals, answers, strict=True)))
    return _Win(outcome, call, pair)


async def _heard(win: _Win) -> None:
    """Returns once all who are to know were told. Raises TimeoutError."""
    for phone, told in win.told.items():
        await phone.hears(told)


def _winner(call: str, answers: Mapping[str, Answer]) -> str:
    """The outcome that both verdicts agree on. Raises WrongEnd when there is none.

    Who had to say it again may have won the first time. Nobody has, if the ring's end was sooner.
    """
    missed = {"ok": False, "outcome": "already_missed", "callId": call}
    if all(verdict == missed for verdict, _ in answers.values()):
        return "missed"
    for signal, other, outcome in (
        ("call:cancel", "call:accept", "cancelled"),
        ("call:accept", "call:cancel", "accepted"),
    ):
        (won, again), (lost, _) = answers[signal], answers[other]
        outcomes = (outcome, f"already_{outcome}") if again else (outcome,)
        wins = [{"ok": True, "outcome": each, "callId": call} for each in outcomes]
        if won in wins and lost == {**wins[0], "ok": False, "outcome": f"already_{outcome}"}:
            return outcome
    raise WrongEnd(f"the verdicts were {answers}")


async def _check_documents(documents: AsyncClient, wins: Sequence[_Win], row: Row) -> None:
    """Waits until all is delivered; then each call must be the winner's."""
    try:
        await until_delivered(documents, {win.call for win in wins})
    except TimeoutError as error:
        row.lost += 1
        row.findings.append(str(error))
    calls = documents.collection("calls")
    stored = documents.get_all([calls.document(win.call) for win in wins])
    status = {call.id: call.get("status") async for call in stored}
    for win in wins:
        if status[win.call] != win.outcome:
            row.wrong += 1
            row.findings.append(f"{win.call} was {win.outcome}, and is {status[win.call]}")


async def _check_pushes(inbox: Inbox, run: Run, against: Against) -> None:
    """One message to each device that is to ring or to fall silent, and no other to anybody's."""
    with suppress(TimeoutError):  # the comparison says what is missing
        await inbox.until(lambda pushes: pushes >= run.pushes)
    is_of_all = against is Against.ALL
    came = {push: times for push, times in inbox.pushes().items() if is_of_all or not push.rings}
    missing = [push for push in run.pushes.keys() - came.keys() if push.rings]
    spared = {push for push in missing if was_over_before_it_rang(run.logs, push.call)}
    due = {push: times for push, times in run.pushes.items() if push not in spared}
    run.compare(due, came, run.repeats)


def _token(phone: Handset) -> str:
    return f"{phone.user}_{phone.device or 'phone'}"
