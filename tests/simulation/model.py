"""What must be true of a call and its events, told without the product's own decisions."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from functions.calls.call import Call as StoredCall
from functions.calls.call import Status
from tests.proof.races.model import (
    NOWHERE,
    TIMED_OUT,
    Call,
    Notice,
    Place,
    Rule,
    Signal,
    Verdict,
    judge,
    rules_for,
)
from tests.simulation.clock import START
from tests.simulation.due import Check, Due
from tests.simulation.phone import Phone, Said
from tests.simulation.places import places

_LIFE, _SHORTEST, _LONGEST = 30.0, 20.0, 120.0  # seconds that an event may be told
_PUSHED_WITHIN = 20.0  # seconds since the ring's end
_TICK = 0.001  # seconds: a signal is decided in a whole millisecond

INITIATE = "call:initiate"
CANCELS = ("call:cancel", "call:end")  # by its caller, while it rings or before it does

# A call that is not there, or that nobody has told of, begins to ring.
INITIATED = Rule(
    "caller",
    "unknown",
    "ringing",
    (Notice("receiver", "call:incoming", ("ringing",), "incoming_call"),),
)
# Its cancel has come before it.
BORN_CANCELLED = Rule("caller", "unknown", "cancelled", ())
# Nobody's signal: the caller has no connection any more.
CALLER_GONE = Rule(
    "caller",
    "ringing",
    "cancelled",
    (
        Notice(
            "receiver",
            "call:cancelled",
            ("cancelled",),
            "call_cancelled",
            ("Caller disconnected", "caller_gone"),
        ),
    ),
)

Asked = Said | Due | Check  # what makes a commit


@dataclass(frozen=True, slots=True)
class Moment:
    """A call as it stood from `at` on, and whose signal made it so, if one did."""

    at: float
    call: StoredCall
    said: Asked | None
    answered_on: frozenset[Place] = frozenset({NOWHERE})  # where it may have been answered last

    def verdicts(
        self, said: Said, sender: str, acted: frozenset[Place]
    ) -> set[tuple[Verdict, str | None]]:
        """On `said`, if `sender` sent it now from one of these; and the call's status from then
        on."""
        judged = [
            judge(replace(self._call, answered_on=answered), _signal(said, sender, place))
            for answered, place in product(self.answered_on, acted)
        ]
        return {(verdict, after.status if after else None) for verdict, after in judged}

    def ring_verdict(self, said: Said, sender: str, *, was_told: bool) -> Verdict:
        """On `said`, if it is `sender` who wants the call to ring; `was_told`: of this ring."""
        call = self.call
        if (call.caller, call.receiver) != (sender, said.receiver):
            return False, "differs"
        if call.status is not Status.RINGING:
            return False, f"already_{call.status}"
        return True, "already_ringing" if was_told else "ringing"

    def rules(self, said: Said, sender: str) -> Sequence[Rule]:
        """Those by which `sender` may send it."""
        return rules_for(self._call, _signal(said, sender))

    def told(self, rule: Rule) -> dict[str, Notice]:
        """Whom the rule tells, and how."""
        return rule.told(self._call)

    @property
    def _call(self) -> Call:
        return Call(self.call.caller, self.call.receiver, self.call.status.value)


@dataclass(eq=False, slots=True)
class Commit:
    """What a signal did: when, who is to be told, and until when that may be. Its sender may have
    `acted` on any of these devices, as far as the server may know."""

    at: float
    said: Asked
    rule: Rule
    notices: dict[str, Notice]  # by user
    acted: frozenset[Place]
    # It lives from when the signal was decided, which was between its handling's begin and now.
    expires_first: float
    expires_last: float

    @classmethod
    def of(cls, said: Said, rule: Rule, before: Moment, now: float) -> "Commit":
        assert said.handling
        first = _expiry(before.call, said.handling.began)
        last = _expiry(before.call, now)
        return cls(now, said, rule, before.told(rule), acted_on(said, now), first, last)

    @classmethod
    def of_ring(cls, said: Said, before: Moment | None, after: StoredCall, now: float) -> "Commit":
        assert said.handling
        known = before.call.ring_seconds if before else None
        seconds = min(said.seconds, known or said.seconds)
        life = max(seconds, _SHORTEST)
        notices = INITIATED.told(Call(after.caller, after.receiver))
        first, last = said.handling.began + life - _TICK, now + life
        return cls(now, said, INITIATED, notices, frozenset({NOWHERE}), first, last)

    @classmethod
    def of_born_cancelled(cls, said: Said, now: float) -> "Commit":
        """Nobody is told."""
        return cls(now, said, BORN_CANCELLED, {}, frozenset({NOWHERE}), now, now)

    @classmethod
    def of_check(cls, check: Check, before: Moment, now: float) -> "Commit":
        assert check.handling
        first, last = _expiry(before.call, check.handling.began), _expiry(before.call, now)
        notices = before.told(CALLER_GONE)
        return cls(now, check, CALLER_GONE, notices, frozenset({NOWHERE}), first, last)

    @classmethod
    def of_time_out(cls, due: Due, before: Moment, now: float) -> "Commit":
        """Who hears of it so late that he may be called again is not pushed."""
        assert due.handling
        began = due.handling.began
        notices = before.told(TIMED_OUT)
        if began - due.rings_until > _PUSHED_WITHIN:
            notices = {user: replace(notice, push=None) for user, notice in notices.items()}
        first, last = _expiry(before.call, began), _expiry(before.call, now)
        return cls(now, due, TIMED_OUT, notices, frozenset({NOWHERE}), first, last)

    @property
    def verdict(self) -> Verdict:
        """On what made it."""
        if self.rule is BORN_CANCELLED:
            return False, f"already_{self.rule.to}"
        return True, self.rule.to

    @property
    def began(self) -> float:
        """From when on it may have been decided."""
        assert self.said.handling
        return self.said.handling.began

    def reason(self, notice: Notice) -> str:
        if notice.says:
            return notice.says[0]
        assert isinstance(self.said, Said)
        return self.said.what

    def is_disproved(self, notice: Notice, moment: Moment) -> bool:
        """Whether nobody may be told so any more, as far as the call tells."""
        status = moment.call.status.value
        if status not in notice.true:
            return True
        is_same = moment.call.signal_id in (None, self.said.signal_id)
        return status == self.rule.to and not is_same

    def reaches_phone(self, notice: Notice, phone: Phone, first: float, last: float) -> set[bool]:
        """Whether its user's phone is to be told at some time between these two, and not told on
        the device on which he acted himself: both, where that is not sure."""
        if not notice.is_elsewhere:
            return {True}
        if isinstance(self.said, Said) and phone is self.said.phone:
            return {False}
        there = places(phone.name.possible(first, last), phone.registered.possible(first, last))
        return {
            notice.reaches_socket(acted, place, was_there=was_there)
            for acted, place, was_there in product(self.acted, there, self._was_there(phone))
        }

    def reaches_device(self, notice: Notice, devices: set[Place]) -> set[bool]:
        """The same of a device that may be known as any of these."""
        return {
            notice.reaches_device(acted, device) for acted, device in product(self.acted, devices)
        }

    def _was_there(self, phone: Phone) -> set[bool]:
        """Whether it was open when the signal was decided."""
        handshake = phone.handshake.handling
        if handshake.began > self.at:
            return {False}
        is_before = handshake.ended is not None and handshake.ended + _TICK < self.began
        return {True} if is_before else {True, False}


@dataclass
class Calls:
    """Every call as it stood from its first moment on."""

    moments: dict[str, list[Moment]] = field(default_factory=lambda: defaultdict(list))

    def last(self, call: str) -> Moment | None:
        moments = self.moments.get(call)
        return moments[-1] if moments else None

    def during(self, call: str, first: float, last: float) -> Iterator[Moment]:
        """All moments that had their share of this time."""
        moments = self.moments.get(call, [])
        for number, moment in enumerate(moments):
            is_over = number + 1 < len(moments) and moments[number + 1].at < first
            if moment.at <= last and not is_over:
                yield moment


def acted_on(said: Said, now: float) -> frozenset[Place]:
    """On which devices the sender may be taken to be, by who handles it until `now`."""
    assert said.handling
    began, phone = said.handling.began, said.phone
    names = {said.device} if said.device else phone.name.possible(began, now)
    return places(names, phone.registered.possible(began, now))


def senders(said: Said, now: float) -> set[str | None]:
    """Whose the frame may be taken for by who handles it until `now`; None: nobody's."""
    assert said.handling
    spell, spells = said.spell, said.phone.spells
    if spell is not spells[-1]:
        # What its user said before his goodbye is his, as long as one other has come since.
        is_remembered = spell is spells[-2] and said.sent <= (spell.left or said.sent)
        return {spell.user} if is_remembered else {spell.user, None, *(s.user for s in spells)}
    if spell.left is None or said.sent <= spell.left:
        return {spell.user}
    over = spell.over_since()
    return {None} if over is not None and over < said.handling.began else {spell.user, None}


def _signal(said: Said, sender: str, place: Place = NOWHERE) -> Signal:
    assert said.call
    return Signal(said.name, said.call, sender, said.what, place)


def _expiry(call: StoredCall, decided: float) -> float:
    ends = decided + _LIFE
    if call.rings_until and call.status is Status.RINGING:
        ends = (call.rings_until - START).total_seconds()
    return min(max(ends, decided + _SHORTEST), decided + _LONGEST)
