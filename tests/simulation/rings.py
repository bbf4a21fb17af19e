"""What must have come of every ring when nothing is under way any more."""

from dataclasses import dataclass, field

from functions.calls.call import Status
from tests.proof.races.model import Notice
from tests.simulation.ends import AGAIN, AT_ONCE, Ends
from tests.simulation.handling import Harm
from tests.simulation.model import INITIATED, Commit
from tests.simulation.phone import Phone, Said, Spell
from tests.simulation.witness import GRACE, Told

_FOR_EVER = float("inf")


@dataclass
class Rings:
    """Judges by the same means as the `ends` of all commits are judged."""

    ends: Ends
    _harms: list[Harm] = field(init=False)

    def __post_init__(self) -> None:
        self._harms = self.ends.harms_of_ring()

    def judge(self) -> None:
        for ring in self.ends.witness.commits:
            if ring.rule is INITIATED:
                for user in ring.notices:
                    for phone in self.ends.phones:
                        self._silenced(ring, user, phone)
                self._given_up(ring)

    # Whoever was told of a ring is told its end

    def _silenced(self, ring: Commit, user: str, phone: Phone) -> None:
        """What has told a phone of the ring after its end has told it the end after that."""
        heard = [each for each in self._told(ring, phone) if each.heard]
        if not heard:
            return
        last = max(heard, key=lambda each: each.at)
        if last.by.is_harmed(last.target):
            return  # a post that was given up may still arrive, at any time
        commits = self.ends.witness.commits
        later = [each for each in commits if each.said.call == ring.said.call and each.at > ring.at]
        if any(told.at > last.at for end in later for told in self._told(end, phone)):
            return
        for end in later:
            if end.at < last.at and user in end.notices:
                self._must(ring, end, end.notices[user], user, phone, last)

    def _must(
        self, ring: Commit, end: Commit, notice: Notice, user: str, phone: Phone, last: Told
    ) -> None:
        ends, id = self.ends, phone.socket.id
        harms = [*ends.harms(ring, id), *ends.harms(end, id)]
        deadline = max(ends.deadline(each, last.at, harms) for each in (ring, end))
        if harms and last.by.function == "deliver":  # whose attempt is made again until it is done
            deadline = max(last.at, ends.weather.heals, *(harm.at for harm in harms)) + AGAIN
        lives = min(ring.expires_first, end.expires_first)
        gone = min((_left(each) for each in phone.spells if each.user == user), default=0.0)
        if ends.is_dead(str(ring.said.signal_id)) or deadline > min(lives, gone, ends.end(phone)):
            return
        is_his = end.reaches_phone(notice, phone, end.began, deadline) == {True}
        if is_his and ends.is_true(end, notice, deadline):
            problem = f"{phone} was told of {ring.said} when it was over, and not told {end.said}"
            ends.witness.find(problem, ring.said.call, phone)

    def _told(self, commit: Commit, phone: Phone) -> list[Told]:
        of_signal = self.ends.witness.told_of[str(commit.said.signal_id)]
        return [each for each in of_signal if each.target == phone.socket.id]

    # Who has no connection any more has given up

    def _given_up(self, ring: Commit) -> None:
        """Whose socket is closed, and who has none any more, does not let it ring on."""
        said = ring.said
        assert isinstance(said, Said)
        closing = said.phone.closing
        if closing is None or closing.ended is None or closing.harms:
            return
        caller = said.spell.user
        if {spell.user for spell in said.phone.spells} != {caller}:
            return  # whose calls those of the socket are is not known any more
        looked = max(closing.ended, ring.at) + GRACE
        spells = [each for phone in self.ends.phones for each in phone.spells]
        spans = [_span(each) for each in spells if each.user == caller]
        gone = max(last for _, last in spans)
        if gone == _FOR_EVER:
            gone = max((last for first, last in spans if first < looked), default=0.0)
        by = (looked if gone <= looked else gone + GRACE) + AT_ONCE
        is_back = any(first < by and last > gone for first, last in spans)
        ends_at = said.handling.began + said.seconds if said.handling else 0.0
        if is_back or by >= ends_at or not self._is_undisturbed(ring, by):
            return
        assert said.call
        for moment in self.ends.witness.calls.during(said.call, ring.at, by):
            if moment.at > ring.at and moment.call.status is not Status.RINGING:
                return  # it has ended; if it rings again, the app's backend has rung it
        for moment in self.ends.witness.calls.during(said.call, by, by):
            call = moment.call
            if call.status is Status.RINGING and call.signal_id == said.signal_id:
                problem = f"{said} rings on at {by:.3f}, though its caller is gone since {gone:.3f}"
                self.ends.witness.find(problem, said.call, said.phone)

    def _is_undisturbed(self, ring: Commit, until: float) -> bool:
        """Whether nothing goes wrong with what looks after the caller."""
        began = ring.began
        harms = (*self._harms, *(ring.said.handling.harms if ring.said.handling else ()))
        return not any(began <= harm.at <= until for harm in harms)


def _left(spell: Spell) -> float:
    return _FOR_EVER if spell.left_at is None else spell.left_at


def _span(spell: Spell) -> tuple[float, float]:
    """For how long a connection may have been its user's."""
    over = spell.over_since()
    return spell.asking.began, _FOR_EVER if over is None else over
