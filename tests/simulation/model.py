"""What must be true of a call and its events, told without the product's own decisions."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from functions.calls.call import Call as StoredCall
from functions.calls.call import Status
from tests.proof.races.model import Call, Rule, Signal, Verdict, judge, rules_for
from tests.simulation.clock import START
from tests.simulation.phone import Said

_LIFE, _SHORTEST, _LONGEST = 30.0, 20.0, 120.0  # seconds that an event may be told


@dataclass(frozen=True, slots=True)
class Moment:
    """A call as it stood from `at` on, and whose signal made it so, if one did."""

    at: float
    call: StoredCall
    said: Said | None

    def verdict(self, said: Said, sender: str) -> tuple[Verdict, str | None]:
        """On `said`, if `sender` sent it now; and the call's status from then on."""
        verdict, after = judge(self._call, _signal(said, sender))
        return verdict, after.status if after else None

    def rules(self, said: Said, sender: str) -> Sequence[Rule]:
        """Those by which `sender` may send it."""
        return rules_for(self._call, _signal(said, sender))

    @property
    def _call(self) -> Call:
        return Call(self.call.caller, self.call.receiver, self.call.status.value)


@dataclass(eq=False, slots=True)
class Commit:
    """What a signal did: when, who is to be told, and until when that may be."""

    at: float
    said: Said
    rule: Rule
    tells: str
    # It lives from when the signal was decided, which was between its handling's begin and now.
    expires_first: float
    expires_last: float

    @classmethod
    def of(cls, said: Said, rule: Rule, before: Moment, now: float) -> "Commit":
        assert said.handling
        tells = getattr(before.call, rule.tells)
        first = _expiry(before.call, said.handling.began)
        return cls(now, said, rule, tells, first, _expiry(before.call, now))

    def is_disproved(self, moment: Moment) -> bool:
        """Whether nobody may be told of it any more, as far as the call tells."""
        if moment.call.status.value != self.rule.to:
            return True
        return moment.call.signal_id not in (None, self.said.signal_id)


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


def _signal(said: Said, sender: str) -> Signal:
    assert said.call
    return Signal(said.name, said.call, sender, said.what)


def _expiry(call: StoredCall, decided: float) -> float:
    ends = decided + _LIFE
    if call.rings_until and call.status is Status.RINGING:
        ends = (call.rings_until - START).total_seconds()
    return min(max(ends, decided + _SHORTEST), decided + _LONGEST)
