"""What somebody must be told of a signal: on which phones and devices, and how often."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Literal

from tests.proof.handset import Handset, Told
from tests.proof.inbox import Push
from tests.proof.races.excuses import is_excused
from tests.proof.races.model import Notice, Place, Rule, Signal

_FRESH_SECONDS = 10.0  # a third of an event's life: a slow machine catches up within the rest


class Finding(AssertionError):
    """Something came out wrong. `kind` is the column of the table that counts it."""

    def __init__(self, kind: Literal["lost", "wrong"], what: str) -> None:
        super().__init__(what)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Audience:
    """Who can be told at one moment, and on which device each is known to be, or has been."""

    phones: Mapping[Handset, Sequence[Place]]  # that are open
    devices: Mapping[tuple[str, str], Place]  # living ones: token and user


@dataclass(eq=False, slots=True)
class Telling:
    """One signal that changed a call, and one user who is to know."""

    signal: Signal
    rule: Rule
    notice: Notice
    caller: str
    tells: str
    phones: set[Handset]  # which must be told once,
    tokens: set[str]  # and which must be sent one message
    # What came or went meanwhile may have been told, or may not.
    maybe_phones: set[Handset]
    maybe_tokens: set[str]
    sent_at: float  # monotonic, in seconds
    # Repeated before it was known to be delivered, it is published again. Sockets are not told
    # twice then; FCM is, which makes one message of them for the phone.
    repeats: int = 0
    is_over: bool = False  # the call has gone on since, so that nobody may be caught up with this
    passed_over: set[Handset] = field(default_factory=set)

    def go_on(self, status: str) -> None:
        """The call has this status from now on."""
        self.is_over |= status not in self.notice.true

    @classmethod
    def of(
        cls,
        signal: Signal,
        sent_by: Handset | None,
        rule: Rule,
        notice: Notice,
        caller: str,
        tells: str,
        sent_at: float,
    ) -> "Telling":
        """Nobody is told so far: `reach` says who is. It was `sent_by` a phone, or by none."""
        made = cls(signal, rule, notice, caller, tells, set(), set(), set(), set(), sent_at)
        # No phone is silenced by what was done on it.
        made.passed_over = {sent_by} if sent_by and notice.is_elsewhere else set()
        return made

    def reach(self, before: Audience, after: Audience) -> None:
        """Tells whoever could be told while the signal was under way. Whoever came meanwhile may
        have come in time."""
        for phone in {**before.phones, **after.phones}:
            was, became = before.phones.get(phone, ()), after.phones.get(phone, ())
            since = became[max(len(was) - 1, 0) :] or was[-1:]
            reaches = [self._reaches(phone, place, was_there=True) for place in since]
            if was and became and all(reaches):
                self.phones.add(phone)
            elif any(reaches):
                self.maybe_phones.add(phone)
        tokens = [
            {
                token
                for (token, user), place in at.devices.items()
                if user == self.tells and self.reaches_device(place)
            }
            for at in (before, after)
        ]
        self.tokens, self.maybe_tokens = tokens[0] & tokens[1], tokens[0] ^ tokens[1]

    def _reaches(self, phone: Handset, place: Place, *, was_there: bool) -> bool:
        """Whether a phone is told that is known to be at this place."""
        is_his = phone.user == self.tells and phone not in self.passed_over
        acted = self.signal.place
        return is_his and self.notice.reaches_socket(acted, place, was_there=was_there)

    def reaches_device(self, place: Place) -> bool:
        return self.notice.reaches_device(self.signal.place, place)

    @property
    def told(self) -> Told:
        reason = self.notice.says[0] if self.notice.says else self.signal.reason
        return Told(self.notice.event, self.signal.call, reason)

    def overtake(self) -> None:
        """The call goes on before all must have been told: who has not been may never be."""
        self.is_over = True
        self.maybe_phones |= self.phones
        self.maybe_tokens |= self.tokens
        self.phones, self.tokens = set(), set()

    def note_device(self, token: str, user: str) -> None:
        """A device registers later: of an event that was repeated, it may get the copy."""
        if self.notice.push and self.repeats and self.tells == user:
            self.maybe_tokens.add(token)

    def note_phone(self, phone: Handset, places: Sequence[Place]) -> bool:
        """A phone that connects later is told what was missed, while it is true and not expired;
        it was known to be at one of these `places` after the other.

        Whether it must be: it has yet to expire for long.
        """
        is_known = phone in self.phones | self.maybe_phones
        reaches = [self._reaches(phone, place, was_there=False) for place in places]
        if is_known or self.is_over or not any(reaches):
            return False
        self.maybe_phones.add(phone)
        return all(reaches) and monotonic() - self.sent_at < _FRESH_SECONDS

    def push(self, token: str) -> Push:
        assert self.notice.push
        data = {"type": self.notice.push, "callId": self.signal.call, "callerId": self.caller}
        if self.notice.push == "call_rejected":
            data["reason"] = self.signal.reason
        if self.notice.says:
            data["cause"] = self.notice.says[1]
        return Push.of(token, data)


def missing_pushes(tellings: Iterable[Telling], came: Counter[Push]) -> Counter[Push]:
    return _pushes((telling, telling.tokens, 1) for telling in tellings) - came


def check_pushes(tellings: Iterable[Telling], came: Counter[Push], logs: Path) -> None:
    """Raises Finding when a message came too often without need, or to whom it was not for."""
    allowed = _pushes(
        (telling, telling.tokens | telling.maybe_tokens, 1 + telling.repeats)
        for telling in tellings
    )
    for push in came - allowed:
        if push not in allowed:
            raise Finding("wrong", f"not to be sent: {push}")
        if not is_excused(logs, push.call):
            raise Finding("wrong", f"sent {came[push]} times: {push}")


def duplicated_pushes(tellings: Iterable[Telling], came: Counter[Push]) -> int:
    """How many messages came again, as they may after a repeat."""
    once = _pushes((telling, telling.tokens | telling.maybe_tokens, 1) for telling in tellings)
    return (came - once).total()


def check_told(tellings: Iterable[Telling], phone: Handset, logs: Path) -> None:
    """Raises Finding when a phone was told twice without need, or what is not for it."""
    allowed: Counter[Told] = Counter()
    for telling in tellings:
        # Who connects meanwhile may be told by who delivers the event and by who catches up with
        # it.
        is_maybe = phone in telling.maybe_phones
        allowed[telling.told] += 2 if is_maybe else phone in telling.phones
    for told, times in phone.told().items():
        if not allowed[told]:
            raise Finding("wrong", f"{phone} should not have been told {told}")
        if times > allowed[told] and not is_excused(logs, told.call):
            raise Finding("wrong", f"{phone} was told {times} times: {told}")


def _pushes(of: Iterable[tuple[Telling, set[str], int]]) -> Counter[Push]:
    pushes: Counter[Push] = Counter()
    for telling, tokens, times in of:
        for token in tokens:
            pushes[telling.push(token)] += times
    return pushes
