"""Calls between a few users on a real stack, held against the model signal by signal."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from time import monotonic

from google.cloud.firestore import AsyncClient

from infra.client.calls import Calls
from infra.local.stack import Stack
from tests.proof.handset import Answer, Handset
from tests.proof.inbox import Inbox
from tests.proof.races.documents import until_delivered
from tests.proof.races.excuses import is_catching_up_excused
from tests.proof.races.model import (
    RULES,
    TIMERS,
    Call,
    Place,
    Signal,
    Step,
    Verdict,
    explanations,
    meanings,
)
from tests.proof.races.population import Change, Population, Register
from tests.proof.races.tasks import Tasks
from tests.proof.races.telling import (
    Audience,
    Finding,
    Telling,
    check_pushes,
    check_told,
    missing_pushes,
)

# What the app's backend makes of a call that nobody answered, and of one that is over.
_BACKEND = {"ringing": "missed", "accepted": "ended"}
_RING_SECONDS = 120  # longer than anybody looks


@dataclass(frozen=True, slots=True)
class Frame:
    """A signal to be sent; `by` None stands for a user who may: of two, `phone` says which."""

    signal: str
    by: int | None
    phone: int  # of those that the user has
    device: int | None = None  # on which it says that it is


class World:
    """What signals tell may arrive while the next are sent; before somebody comes or goes, all of
    it must have. Every method raises Finding, or TimeoutError where something did not come."""

    def __init__(self, stack: Stack, documents: AsyncClient, name: str) -> None:
        self.name = name
        self.tellings: list[Telling] = []
        self.sent = 0  # signals
        self.steps: list[str] = []  # what happened, for who has to understand a finding
        self._logs = stack.logs
        self._documents = documents
        self._people = Population(stack, documents, name)
        self._inbox = Inbox(stack, name)
        self._backend = Calls(stack.firestore, stack.project)
        self._tasks = Tasks(stack)
        self._calls: dict[str, Call] = {}
        self._initiated: dict[str, Handset] = {}  # calls, and the phones that have done so
        self._looked: set[str] = set()  # calls whose callers were looked at, and were there
        self._settled = 0  # tellings
        self._missed: list[tuple[Handset, Telling]] = []  # what phones will be told that came late

    async def begin(self) -> None:
        await self._people.begin()

    async def ring(self, caller: int, receiver: int) -> str:
        """Makes a new call ring; gives its id."""
        call = f"{self.name}_CALL_{len(self._calls)}"
        await self._ring(call, self._people.users[caller], self._people.users[receiver])
        return call

    async def initiate(self, caller: int, receiver: int) -> str:
        """The same, by a phone of the caller's. If one of his connections is dead and nobody knows,
        he would not be missed, so then his backend makes it ring."""
        user, told = self._people.users[caller], self._people.users[receiver]
        if self._people.is_haunted(user):
            return await self.ring(caller, receiver)
        await self.settle()
        id, call = f"{self.name}_CALL_{len(self._calls)}", Call(user, told)
        phone = await self._phone(user, 0, [])
        before, began = self._people.audience(), monotonic()
        answer = await phone.insist(
            "call:initiate", callId=id, receiverId=told, ringSeconds=_RING_SECONDS
        )
        self.sent += 1
        self.steps.append(f"{user} initiates {id} to {told} → {answer}")
        if answer["outcome"] not in ("ringing", "already_ringing"):
            raise Finding("wrong", self.steps[-1])
        self._note_step(Step.of_ring(id, call), phone, before, began)
        self._initiated[id] = phone
        await self.settle()  # who has the end before the ring is told it once more
        return id

    async def time_out(self, call: str, frames: Sequence[Frame], after: float = 0) -> None:
        """Signals are sent, and so many seconds later the ring's time is over, or has been: what
        sees to that comes once or more often, whatever has become of the call."""
        if call in self._initiated:
            await self.send(call, frames, timer="ring:ended", after=after)

    async def abandon(self, call: str, frames: Sequence[Frame]) -> None:
        """All phones of the caller hang up, and he is missed while the other party sends signals.
        His other calls are missed as well."""
        caller = self._calls[call].caller
        if self._may_end_by_itself(call):
            await self.settle()
            for phone in self._people.open_phones(caller):
                await phone.hang_up()
            self.steps.append(f"{caller} hangs up")
            others = [each for each in frames if self._sender(call, each) != caller]
            await self.send(call, others, timer="caller:gone")

    async def ring_again(self, call: str) -> None:
        """Makes a call ring that has ended, by its backend: one that was initiated stays."""
        was = self._calls[call]
        if was.status != "ringing" and call not in self._initiated:
            await self._ring(call, was.caller, was.receiver)

    async def pass_by(self, call: str) -> None:
        """Has the app's backend end a call in its own way."""
        status = _BACKEND.get(self._calls[call].status)
        if status is not None:
            await self.settle()  # or what comes late would be told no more
            await self._documents.collection("calls").document(call).update({"status": status})
            self._calls[call] = replace(self._calls[call], status=status)
            self._go_on(call)
            self.steps.append(f"{call} is {status}")

    async def send(
        self,
        call: str,
        frames: Sequence[Frame],
        meanwhile: Change | None = None,
        timer: str | None = None,
        after: float = 0,
    ) -> None:
        """Sends signals at once, each by another phone, and has something change meanwhile, or the
        call's ring end by itself `after` so many seconds."""
        if meanwhile is not None or self._goes_on(call, frames):
            await self.settle()  # or what comes late of the call would be told no more
        phones: list[Handset] = []
        signals: list[Signal] = []
        devices: list[dict[str, str]] = []
        for frame in frames:
            sender = self._sender(call, frame)
            phones.append(await self._phone(sender, frame.phone, phones))
            self.sent += 1
            place = self._people.places[phones[-1]][-1]
            named = self._people.device(sender, frame.device)
            place = Place(named or place.name, place.registered)
            signals.append(Signal(frame.signal, call, sender, f"reason {self.sent}", place))
            devices.append({"deviceId": named} if named else {})
        before, began = self._people.audience(), monotonic()
        answers = [
            phone.say(signal.name, callId=call, reason=signal.reason, **device)
            for phone, signal, device in zip(phones, signals, devices, strict=True)
        ]
        timers = [Signal.of_timer(timer, call, self._calls[call])] if timer else []
        verdicts, _, _ = await asyncio.gather(
            asyncio.gather(*answers),
            self._change(meanwhile, busy=phones),
            asyncio.gather(*(self._tasks.carry_out(each.name, call, after) for each in timers)),
        )
        self._judge(signals, phones, verdicts, timers, before, began)
        await self._miss_callers()

    async def change(self, change: Change) -> None:
        await self.settle()
        await self._change(change)
        await self._miss_callers()

    async def kill_token(self, token: int) -> None:
        await self.settle()
        self._people.kill_token(token)
        self.steps.append(f"token {token} dies")

    async def haunt(self, user: int, wire: str) -> None:
        if any(self._is_calling(self._people.users[user], call) for call in self._initiated):
            return  # as of `initiate`
        await self.settle()
        await self._people.haunt(user, wire)
        self.steps.append(f"user {user} has a dead {wire} connection")

    async def settle(self) -> None:
        """Waits until all who must be told are, and looks whether nobody else was."""
        await self._until_caught_up()
        tellings = self.tellings[self._settled :]
        if tellings:
            await until_delivered(self._documents, {told.signal.call for told in tellings})
            for phone, told in ((p, each.told) for each in tellings for p in each.phones):
                same = [each for each in self.tellings if phone in each.phones]
                await phone.hears(told, sum(each.told == told for each in same))
            await self._until_pushed()
            await self._people.until_forgotten()
            self._settled = len(self.tellings)
            self.steps.append("all are told")
        self._check_nobody_else_was_told()

    async def end(self) -> None:
        """Settles, and looks whether Firestore holds what it should; then all hang up."""
        await self.settle()
        for phone in self._people.open_phones():
            await phone.catch_up()
        self._check_nobody_else_was_told()
        for id, call in self._calls.items():
            stored = (await self._documents.collection("calls").document(id).get()).to_dict() or {}
            fields = {name: stored.get(name) for name in call.stored}
            if fields != call.stored:
                raise Finding("wrong", f"{id} is stored as {fields}, and should be {call}")
        await self._people.check()
        await self.leave()
        await self._miss_callers()
        await self.settle()

    async def leave(self) -> None:
        await self._people.leave()

    def _may_end_by_itself(self, call: str) -> bool:
        return call in self._initiated and self._calls[call].status == "ringing"

    def _is_calling(self, user: str, call: str) -> bool:
        return self._may_end_by_itself(call) and self._calls[call].caller == user

    async def _miss_callers(self) -> None:
        """Who has initiated calls that ring, and has no phone any more, is missed now: or he would
        be at some time or other. Who has another than he has initiated it with is not."""
        for timer in self._left():
            await self._tasks.carry_out(timer.name, timer.call)
            self._looked.add(timer.call)
        for timer in self._gone():
            before, began = self._people.audience(), monotonic()
            await self._tasks.carry_out(timer.name, timer.call)
            self._judge([], [], [], [timer], before, began)

    def _gone(self) -> list[Signal]:
        """What becomes of callers who have no phone any more."""
        return [each for each in self._looks() if not self._people.open_phones(each.sender)]

    def _left(self) -> list[Signal]:
        """Looks at callers who have, and were not looked at before."""
        due = [each for each in self._looks() if each.call not in self._looked]
        return [each for each in due if self._people.open_phones(each.sender)]

    def _looks(self) -> list[Signal]:
        """All that are to be: at who has hung up that phone by which he has initiated a call."""
        return [
            Signal.of_timer("caller:gone", id, self._calls[id])
            for id, phone in self._initiated.items()
            if self._may_end_by_itself(id) and not phone.is_open
        ]

    async def _ring(self, call: str, caller: str, receiver: str) -> None:
        await self.settle()
        await self._backend.ring(call, caller, receiver)
        self._calls[call] = Call(caller, receiver)
        self._go_on(call)
        self.steps.append(f"{call} rings, of {caller} to {receiver}")

    def _go_on(self, call: str) -> None:
        """What was told of the call may be true no longer."""
        for telling in self.tellings:
            if telling.signal.call == call:
                telling.go_on(self._calls[call].status)

    def _sender(self, call: str, frame: Frame) -> str:
        if frame.by is not None or call not in self._calls:
            return self._people.users[frame.by or 0]
        rules = RULES[frame.signal]
        sender: str = getattr(self._calls[call], rules[frame.phone % len(rules)].sender)
        return sender

    def _goes_on(self, call: str, frames: Sequence[Frame]) -> bool:
        """Whether one of them changes a call that no longer rings."""
        known = self._calls.get(call)
        rules = [rule for frame in frames for rule in RULES[frame.signal]]
        return bool(known and known.status in [r.was for r in rules if r.was != "ringing"])

    async def _phone(self, user: str, number: int, busy: Sequence[Handset]) -> Handset:
        if free := self._people.free_phone(user, number, busy):
            return free
        await self.settle()
        self.steps.append(f"{user} has one phone more")
        phone = await self._people.dial(user)
        self._note_phones()
        return phone

    def _note_phones(self) -> None:
        """Who has connected is told what its user has missed."""
        for telling, phone in product(self.tellings, self._people.open_phones()):
            if telling.note_phone(phone, self._people.places[phone]):
                self._missed.append((phone, telling))

    async def _until_caught_up(self) -> None:
        """Raises TimeoutError, unless the gateway says that it could not ask for it."""
        try:
            for phone, telling in self._missed:
                if not telling.is_over:  # or the call may have gone on before the phone was told
                    await phone.hears(telling.told)
        except TimeoutError:
            if not is_catching_up_excused(self._logs):
                raise
        self._missed.clear()

    async def _change(self, change: Change | None, busy: Sequence[Handset] = ()) -> None:
        if change is None:
            return
        await self._people.apply(change, busy)
        self._note_phones()
        self.steps.append(f"{change}")
        if isinstance(change, Register):
            for telling in self.tellings:
                telling.note_device(
                    self._people.token(change.token), self._people.users[change.user]
                )

    def _judge(
        self,
        signals: Sequence[Signal],
        phones: Sequence[Handset],
        answers: Sequence[Answer],
        timers: Sequence[Signal],
        before: Audience,
        began: float,
    ) -> None:
        """Asks the model, and notes who must be told. Raises Finding."""
        said = [f"{each} → {answer}" for each, answer in zip(signals, answers, strict=True)]
        self.steps.append(" ∥ ".join([*said, *map(str, timers)]))
        # Of callers who have hung up meanwhile, some may have been missed already.
        gone = [each for each in self._gone() if each not in timers]
        explained = self._explained(signals, answers, timers) or self._explained(
            signals, answers, [*timers, *gone]
        )
        if explained is None or [verdict.get("callId") for verdict, _ in answers] != [
            signal.call for signal in signals
        ]:
            raise Finding("wrong", f"no order explains: {self.steps[-1]}")
        verdicts, steps = explained
        sent_by = dict(zip(signals, phones, strict=True))
        for step in steps:
            self._note_step(step, sent_by.get(step.signal), before, began)
        for signal, (ok, outcome) in zip(signals, verdicts, strict=True):
            if ok and outcome.startswith("already_"):
                self._note_repeat(signal)
        for timer in timers:
            is_done = TIMERS[timer.name].to == self._calls[timer.call].status
            if is_done and timer not in [step.signal for step in steps]:
                self._note_repeat(timer)
        self._note_overtaken()
        for id in {signal.call for signal in (*signals, *timers)} & self._calls.keys():
            self._go_on(id)

    def _note_step(self, step: Step, by: Handset | None, before: Audience, began: float) -> None:
        """The call is so from now on, and those are told whom the model tells."""
        now = self._people.audience()
        signal, call = step.signal, step.call
        for user, notice in step.rule.told(call).items():
            telling = Telling.of(signal, by, step.rule, notice, call.caller, user, began)
            telling.reach(before, now)
            self.tellings.append(telling)
            self._people.expect_pruning(telling)
        self._calls[signal.call] = call

    def _explained(
        self, signals: Sequence[Signal], answers: Sequence[Answer], timers: Sequence[Signal]
    ) -> tuple[Sequence[Verdict], Sequence[Step]] | None:
        """What the answers mean by the model, and what has changed the calls."""
        every, unheard = [*signals, *timers], [None] * len(timers)
        for verdicts in product(*map(_meanings, signals, answers)):
            for steps in explanations(self._calls, every, [*verdicts, *unheard]):
                return verdicts, steps
        return None

    def _note_repeat(self, signal: Signal) -> None:
        for telling in self.tellings[self._settled :]:
            if telling.signal.call == signal.call:
                telling.repeats += 1

    def _note_overtaken(self) -> None:
        """Of signals at once, one may have made the call go on from where another has left it."""
        for late, early in product(self.tellings[self._settled :], repeat=2):
            is_next = late.signal.call == early.signal.call and late.rule.was == early.rule.to
            if is_next and late.rule.to not in early.notice.true:
                early.overtake()

    async def _until_pushed(self) -> None:
        def complete(pushes: object) -> bool:
            return not missing_pushes(self.tellings, self._inbox.pushes())

        try:
            await self._inbox.until(complete)
        except TimeoutError as error:
            missing = missing_pushes(self.tellings, self._inbox.pushes())
            raise TimeoutError(f"not sent: {missing}") from error

    def _check_nobody_else_was_told(self) -> None:
        for phone in self._people.phones:
            check_told(self.tellings, phone, self._logs)
        check_pushes(self.tellings, self._inbox.pushes(), self._logs)


def _meanings(signal: Signal, answer: Answer) -> Sequence[Verdict]:
    fields, is_again = answer
    return meanings(signal, (bool(fields["ok"]), str(fields["outcome"])), is_again=is_again)
