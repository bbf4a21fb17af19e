"""What somebody must be told of a signal: on which phones and devices, and how often."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Literal

from tests.proof.handset import Handset, Told
from tests.proof.inbox import Push
from tests.proof.races.excuses import is_excused
from tests.proof.races.model import Call, Rule, Signal

_FRESH_SECONDS = 10.0  # a third of an event's life: a slow machine catches up within the rest


class Finding(AssertionError):
    """Something came out wrong. `kind` is the column of the table that counts it."""

    def __init__(self, kind: Literal["lost", "wrong"], what: str) -> None:
        super().__init__(what)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Audience:
    """Who can be told at one moment."""

    phones: frozenset[Handset]  # that are open
    devices: frozenset[tuple[str, str]]  # living ones: token and user


@dataclass(eq=False, slots=True)
class Telling:
    """One signal that changed a call, and who is to know."""

    signal: Signal
    rule: Rule
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

    @classmethod
    def of(
        cls,
        signal: Signal,
        rule: Rule,
        call: Call,
        before: Audience,
        after: Audience,
        sent_at: float,
    ) -> "Telling":
        tells: str = getattr(call, rule.tells)
        phones = [{phone for phone in at.phones if phone.user == tells} for at in (before, after)]
        tokens = [{token for token, user in at.devices if user == tells} for at in (before, after)]
        return cls(
            signal=signal,
            rule=rule,
            caller=call.caller,
            tells=tells,
            phones=phones[0] & phones[1],
            tokens=tokens[0] & tokens[1] if rule.push else set(),
            maybe_phones=phones[0] ^ phones[1],
            maybe_tokens=tokens[0] ^ tokens[1] if rule.push else set(),
            sent_at=sent_at,
        )

    @property
    def told(self) -> Told:
        return Told(self.rule.event, self.signal.call, self.signal.reason)

    def overtake(self) -> None:
        """The call goes on before all must have been told: who has not been may never be."""
        self.is_over = True
        self.maybe_phones |= self.phones
        self.maybe_tokens |= self.tokens
        self.phones, self.tokens = set(), set()

    def note_device(self, token: str, user: str) -> None:
        """A device registers later: of an event that was repeated, it may get the copy."""
        if self.rule.push and self.repeats and self.tells == user:
            self.maybe_tokens.add(token)

    def note_phones(self, phones: Iterable[Handset]) -> Iterator[Handset]:
        """Phones that connect later are told what was missed, while it is true and not expired.

        Gives those that must be: it has yet to expire for long.
        """
        known = self.phones | self.maybe_phones
        for phone in phones:
            if phone.user == self.tells and phone not in known and not self.is_over:
                self.maybe_phones.add(phone)
                if monotonic() - self.sent_at < _FRESH_SECONDS:
                    yield phone

    def push(self, token: str) -> Push:
        assert self.rule.push
        data = {"type": self.rule.push, "callId": self.signal.call, "callerId": self.caller}
        if self.rule.push == "call_rejected":
            data["reason"] = self.signal.reason
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
    once = {telling.told for telling in tellings if phone in telling.phones}
    # Who connects meanwhile may be told by who delivers the event and by who catches up with it.
    twice = {telling.told for telling in tellings if phone in telling.maybe_phones}
    for told, times in phone.told().items():
        if told not in once | twice:
            raise Finding("wrong", f"{phone} should not have been told {told}")
        if times > 1 + (told in twice) and not is_excused(logs, told.call):
            raise Finding("wrong", f"{phone} was told {times} times: {told}")


def _pushes(of: Iterable[tuple[Telling, set[str], int]]) -> Counter[Push]:
    pushes: Counter[Push] = Counter()
    for telling, tokens, times in of:
        for token in tokens:
            pushes[telling.push(token)] += times
    return pushes
