"""Rounds in which all meet that can end a ring: an accept, a cancel, a `call:end`, the ring's own
end, and the caller's leaving. One wins, and the model says who is told what of that."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from google.cloud.firestore import AsyncClient

from infra.client import https
from infra.emulators.faults import Fault, Kind
from infra.local.stack import Options, Stack
from tests.proof.handset import JSON, Answer, Handset, Sender, Told
from tests.proof.races.documents import Deliveries
from tests.proof.races.excuses import is_catching_up_excused, is_leaving_excused
from tests.proof.races.model import (
    GONE,
    NOWHERE,
    Call,
    Place,
    Signal,
    Step,
    Verdict,
    explanations,
    meanings,
)
from tests.proof.races.run import Run, WrongEnd, answered
from tests.proof.races.telling import Audience, Telling
from tests.support.pace import ANY_RATE, BACKOFF

GRACE_SECONDS = 1  # for which a caller may be gone
ROUND_SECONDS = 6  # more or less


def options(logs: Path, *, google: bool = False) -> Options:
    """A stack on which all may meet: callers are soon missed, and a backend hears of it."""
    return Options(
        port=0,
        google=google,
        backoff=BACKOFF,
        webhook_backoff=BACKOFF,
        webhook_paths=("/calls",),
        settings={**ANY_RATE, "CALLER_GRACE_SECONDS": str(GRACE_SECONDS), "RING_SECONDS": "120"},
        logs=logs,
    )


_RING_SECONDS = 5  # the shortest ring
# From when the caller's grace is over until the ring ends. Its task is held up for so long, as it
# may be late, so that all meet.
_EARLY_SECONDS = 0.5
# By turns each of them has a start of so much, which the others follow within as much again. A task
# takes longer than a signal, which goes without a queue.
_START_SECONDS, _TASK_SECONDS = 0.03, 0.03


class Hook(NamedTuple):
    """What the app's backend is told of a change; what is missing of it is None."""

    call: str
    status: str
    was: str | None
    by: str | None
    cause: str | None
    reason: str | None


class _Said(NamedTuple):
    """A signal, the handset that it was sent by, if any, and the answer."""

    signal: Signal
    by: Handset | None
    answer: Answer

    @property
    def is_repeat(self) -> bool:
        """Whether what it asks for was, or may have been, done before."""
        verdict, is_again = self.answer
        return is_again or (verdict["ok"] and verdict["outcome"].startswith("already_"))

    def meanings(self) -> Sequence[Verdict]:
        """What the answer may mean. Raises WrongEnd."""
        verdict, is_again = self.answer
        if verdict.get("callId") != self.signal.call:
            raise WrongEnd(f"{self.signal} was answered {verdict}")
        said = (bool(verdict["ok"]), str(verdict["outcome"]))
        return meanings(self.signal, said, is_again=is_again)


@dataclass(frozen=True, slots=True)
class Meetings:
    """What all lanes share."""

    stack: Stack
    documents: AsyncClient
    deliveries: Deliveries
    run: Run
    hooks: dict[str, list[Hook]] = field(default_factory=dict)  # by call, in the order of truth

    async def lane(self, name: str, wires: tuple[str, str], after: float) -> None:
        """Plays rounds between one pair, one after the other, as long as there are any."""
        await asyncio.sleep(after)
        async with _lane(self, name, wires) as lane:
            for number in self.run.numbers:
                if self.run.is_over:
                    break
                call = f"{name}_{number}"
                with self.run.round(call):
                    await lane.play(call, number)
            await lane.compare()

    async def check_hooks(self, patience: float) -> None:
        """The app's backend has heard all of it, and nothing else, in the order of truth."""
        assert self.stack.backend
        expected = Counter(hook for hooks in self.hooks.values() for hook in hooks)
        deadline = time.monotonic() + patience
        while True:
            taken = [each.data for each in self.stack.backend.taken]
            at = {_hook(data): data["occurredAt"] for data in taken if data["callId"] in self.hooks}
            if at.keys() >= expected.keys() or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.5)
        self.run.compare(expected, dict.fromkeys(at, 1))
        for call, hooks in self.hooks.items():
            times = [at.get(hook, 0) for hook in hooks]
            if times != sorted(set(times)) and call not in self.run.failed:
                self.run.row.wrong += 1
                self.run.row.findings.append(f"in no order: {hooks} at {times}")


@asynccontextmanager
async def _lane(meetings: Meetings, name: str, wires: tuple[str, str]) -> AsyncIterator["_Lane"]:
    stack = meetings.stack
    caller, receiver = f"{name}_CALLER", f"{name}_RECEIVER"
    async with (
        Handset.dialled(stack, receiver, wires[1]) as phone,
        Handset.dialled(stack, receiver, wires[0], "tablet") as tablet,
        https.client(stack.functions["api"]) as http,
    ):
        app = https.App(http, stack.token(caller))
        backend = https.Backend(http, stack.values["API_KEY"]).on_behalf_of(caller)
        calling = await Handset.dial(stack, caller, wires[0])
        lane = _Lane(meetings, calling, phone, tablet, app, backend)
        try:
            for handset in (calling, phone, tablet):
                token = lane.token(handset)
                await handset.insist("device:register", token=token, platform="android")
            yield lane
        finally:
            await lane.caller.hang_up()


@dataclass(slots=True)
class _Lane:
    """A caller who hangs up in each round and connects anew after it, and a receiver with a phone
    and a tablet."""

    meetings: Meetings
    caller: Handset
    phone: Handset
    tablet: Handset
    app: Sender  # of the caller, by HTTPS
    backend: Sender
    expected: dict[Handset, Counter[Told]] = field(default_factory=dict)
    truths: Counter[Told] = field(default_factory=Counter)  # that any of the caller's may hear

    def __post_init__(self) -> None:
        self.expected = {self.phone: Counter(), self.tablet: Counter()}

    def token(self, handset: Handset) -> str:
        return f"{handset.user}_{handset.device or 'phone'}"

    async def play(self, call: str, number: int) -> None:
        """One round. Raises WrongEnd, and TimeoutError."""
        before = Call(self.caller.user, self.phone.user)
        if not self.caller.is_open:  # the round before went wrong
            self.caller = await self._dial()
        verdict = await self.caller.insist(
            "call:initiate", callId=call, receiverId=before.receiver, ringSeconds=_RING_SECONDS
        )
        if verdict["outcome"] not in ("ringing", "already_ringing"):
            raise WrongEnd(f"it did not ring: {verdict}")
        ends_at = verdict["ringsUntil"] / 1000
        check = Fault(Kind.HOLD, "task.rings", (f'"{call}"', "caller.check"))
        with self.meetings.stack.faults.during(check):
            await _sleep_until(ends_at - GRACE_SECONDS - _EARLY_SECONDS)
            left_at = await self._leave(number)
            moments = _moments(number, ends_at)
            said, is_late = await asyncio.gather(
                self._send(call, number, moments), _release(check, moments["caller:gone"])
            )
            self.meetings.run.late += is_late
        steps = await self._happened(call, before, said, left_at + GRACE_SECONDS, ends_at)
        await self._check_told(call, steps, said)

    async def _dial(self) -> Handset:
        return await Handset.dial(self.meetings.stack, self.caller.user, self.caller.wire)

    async def _leave(self, number: int) -> float:
        """The caller vanishes. When he began to, in seconds since the epoch."""
        at = time.time()
        match number // 6 % 2, self.caller.wire:
            case 0, _:
                await self.caller.hang_up()
            case _, wire if wire == JSON:
                await self.caller.die()
            case _:
                await self.caller.leave()
        self.meetings.run.allow(self.truths, self.caller.told())
        return at

    async def _send(self, call: str, number: int, moments: Mapping[str, float]) -> Sequence[_Said]:
        """Three signals at about the same time, and what each sender is answered."""
        caller, receiver = self.caller.user, self.phone.user
        places = {
            self.phone: Place(registered=self.token(self.phone)),
            self.tablet: Place(self.tablet.device, self.token(self.tablet)),
        }

        async def send(name: str, by: Handset | Sender) -> _Said:
            handset = by if isinstance(by, Handset) else None
            user, place = (receiver, places[handset]) if handset else (caller, NOWHERE)
            signal = Signal(name, call, user, f"{call} {name}", place)
            await _sleep_until(moments[name])
            return _Said(signal, handset, await answered(by, name, call, signal.reason))

        return await asyncio.gather(
            send("call:accept", self.phone),
            send("call:cancel", (self.app, self.backend)[number % 2]),
            send("call:end", (self.phone, self.tablet, self.app)[number % 3]),
        )

    async def _happened(
        self,
        call: str,
        before: Call,
        said: Sequence[_Said],
        gone_at: float,
        ends_at: float,
    ) -> Sequence[Step]:
        """What explains all the verdicts and the call's document. Raises WrongEnd."""
        document = self.meetings.documents.collection("calls").document(call)
        stored = (await document.get()).to_dict() or {}
        fields = {name: stored.get(name) for name in before.stored}
        timers = [Signal.of_timer(name, call, before) for name in ("ring:ended", "caller:gone")]
        signals = [*(each.signal for each in said), *timers]
        for verdicts in product(*(each.meanings() for each in said)):
            for steps in explanations({call: before}, signals, [*verdicts, None, None]):
                if steps and steps[-1].call.stored == fields:
                    _check_not_early(steps[-1], stored, gone_at, ends_at)
                    return steps
        answers = [(each.signal.name, each.answer) for each in said]
        raise WrongEnd(f"nothing explains {answers} and {fields}")

    async def _check_told(self, call: str, steps: Sequence[Step], said: Sequence[_Said]) -> None:
        """Waits until all have heard of it, the caller when he has connected again; what else
        anybody hears, `compare` finds. Raises TimeoutError."""
        caller, ended = self.caller.user, steps[-1]
        began = Step.of_ring(call, Call(caller, self.phone.user))
        sent_by = {each.signal: each.by for each in said}
        tellings = [
            telling
            for step in (began, *steps)
            for telling in self._tellings(step, sent_by.get(step.signal))
        ]
        for telling in tellings:
            for handset in telling.phones:
                self.expected[handset][telling.told] += 1
        # So does a look at the caller that finds his cancel, which is the same as what it would do.
        repeats = sum(each.is_repeat for each in said) + (ended.call.status == GONE.to)
        self._note(call, steps, tellings, repeats)
        missed = [
            each.told
            for each in tellings
            if each.tells == caller and ended.call.status in each.notice.true
        ]
        self.truths.update(missed)
        if not await self._is_delivered(call):
            return
        self.caller = await self._dial()
        for handset, told in ((phone, each.told) for each in tellings for phone in each.phones):
            await handset.hears(told)
        for told in missed:
            await self._catches_up(told)
        for handset in self.expected:
            self._check_order(handset, [each.told for each in tellings if handset in each.phones])

    async def _is_delivered(self, call: str) -> bool:
        """Waits until it is. False if it is not, as the gateway says that it could not note that a
        socket has closed: then the rest can't be judged. Raises TimeoutError."""
        run = self.meetings.run
        try:
            await self.meetings.deliveries.until_delivered(call)
        except TimeoutError as error:
            run.not_left += 1
            if not is_leaving_excused(run.logs, run.not_left):
                raise TimeoutError(f"an event of {call} stayed pending") from error
            run.failed.add(call)
            return False
        return True

    async def _catches_up(self, told: Told) -> None:
        """Waits until the caller is told what he missed. Raises TimeoutError, unless the gateway
        says that it could not ask for it."""
        run = self.meetings.run
        try:
            await self.caller.hears(told)
        except TimeoutError:
            run.not_caught_up += 1
            if not is_catching_up_excused(run.logs, run.not_caught_up):
                raise

    def _check_order(self, handset: Handset, told: Sequence[Told]) -> None:
        """A phone can tell which event is the later one, though the later may come first: nothing
        holds one event back until another has come. Raises WrongEnd."""
        times = [handset.times[each] for each in told]
        decided = [each.decided for each in times]
        if decided != sorted(set(decided)):
            raise WrongEnd(f"{handset} can't tell the order of {told} by {decided}")
        came = [each.came for each in times]
        self.meetings.run.overtaken += came != sorted(came)

    def _note(
        self, call: str, steps: Sequence[Step], tellings: Sequence[Telling], repeats: int
    ) -> None:
        """What devices and the app's backend must be told. What is said again, before it is known
        to be delivered, is published again: then FCM makes one message of two for the phone."""
        run = self.meetings.run
        for telling in tellings:
            pushes = Counter(map(telling.push, telling.tokens))
            run.pushes.update(pushes)
            if telling.rule is steps[-1].rule:
                run.repeats.update(dict.fromkeys(pushes, repeats))
        self.meetings.hooks[call] = [
            Hook(call, "ringing", None, self.caller.user, None, None),
            *(_hook_of(call, step) for step in steps),
        ]
        run.wins[_name(steps)] += 1

    def _tellings(self, step: Step, sent_by: Handset | None = None) -> Iterable[Telling]:
        """Whom the model tells of a step. The caller has no socket just then."""
        signal, call = step.signal, step.call
        caller, receiver = call.caller, call.receiver
        phone, tablet = self.token(self.phone), self.token(self.tablet)
        there = Audience(
            phones={
                self.phone: [Place(registered=phone)],
                self.tablet: [Place(self.tablet.device, tablet)],
            },
            devices={
                (phone, receiver): Place(registered=phone),
                (tablet, receiver): Place(registered=tablet),
                (self.token(self.caller), caller): NOWHERE,
            },
        )
        for user, notice in step.rule.told(call).items():
            told = Telling.of(signal, sent_by, step.rule, notice, caller, user, time.monotonic())
            told.reach(there, there)
            yield told

    async def compare(self) -> None:
        """All that the phones have heard."""
        for handset, expected in self.expected.items():
            await handset.catch_up()
            self.meetings.run.compare(expected, handset.told())
        self.meetings.run.allow(self.truths, self.caller.told())


def _check_not_early(last: Step, stored: Mapping[str, Any], gone_at: float, ends_at: float) -> None:
    """Raises WrongEnd if a timer has ended the call before its time."""
    due = {"ring:ended": ends_at, "caller:gone": gone_at}.get(last.signal.name, 0)
    ended_at: datetime = stored["endedAt"]
    if ended_at.timestamp() < due:
        raise WrongEnd(f"{last.signal.name} came {due - ended_at.timestamp():.3f} s too soon")


def _name(steps: Sequence[Step]) -> str:
    first = steps[0].signal.name
    names = {"ring:ended": "timed out", "caller:gone": "whose caller was gone"}
    return names.get(first, " and ".join(step.call.status for step in steps))


def _hook_of(call: str, step: Step) -> Hook:
    rule, after = step.rule, step.call
    by = step.signal.sender or None
    return Hook(call, rule.to, rule.was, by, after.cause, after.reason)


def _hook(data: Mapping[str, Any]) -> Hook:
    more = (data[name] for name in ("previousStatus", "by", "cause", "reason"))
    return Hook(data["callId"], data["status"], *more)


def _moments(number: int, ends_at: float) -> Mapping[str, float]:
    """When each of them begins but for the ring's own end, in seconds since the epoch."""
    draw = Random(number)  # noqa: S311 - nobody's secret
    names = ("call:accept", "call:cancel", "call:end", "caller:gone", "ring:ended")
    first = draw.choice(names)
    moments = {name: draw.uniform(0, _START_SECONDS) for name in names}
    moments[first] = -_START_SECONDS
    moments["caller:gone"] -= _TASK_SECONDS
    if first == "ring:ended":
        moments = {name: after + 2 * _START_SECONDS for name, after in moments.items()}
    return {name: ends_at + after for name, after in moments.items()}


async def _sleep_until(at: float) -> None:
    await asyncio.sleep(max(at - time.time(), 0))


async def _release(check: Fault, at: float) -> bool:
    """Lets the task of the look at the caller go. Whether it was not there yet."""
    await _sleep_until(at)
    is_late = not check.met
    check.release()
    return is_late
