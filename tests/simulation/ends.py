"""What must be true when nothing is under way any more."""

from dataclasses import dataclass
from itertools import pairwise

from functions.calls.call import Status
from functions.inbound.pubsub import RETRY
from tests.memory.database import Database
from tests.proof.races.model import Notice
from tests.simulation.device import Devices
from tests.simulation.handling import COMMITTING, Handling, Harm
from tests.simulation.model import Commit
from tests.simulation.phone import Phone
from tests.simulation.pubsub import Topic
from tests.simulation.weather import Weather
from tests.simulation.witness import Told, Witness

_PENDING = 6.2  # seconds before `sweep` takes an event up
_AGAIN = 15.0  # seconds for one more delivery, with Pub/Sub's longest back-off before it
_AT_ONCE = 3.0  # seconds in which all are told if nothing goes wrong
_FOR_EVER = float("inf")
_BEFORE = 3.0  # a connection that was admitted no longer ago may be told twice: it is caught up


@dataclass
class Ends:
    """Judges what has come of every commit. `looks` are the times at which `sweep` looked."""

    witness: Witness
    phones: list[Phone]
    devices: Devices
    database: Database
    topic: Topic
    weather: Weather
    handlings: list[Handling]
    looks: list[float]

    def judge(self) -> None:
        for entry in self.database.entries.values():
            if entry.pending_since:
                name = f"{entry.event.call_id}:{entry.event.signal_id}"
                self.witness.find(f"{name} is still pending", entry.event.call_id)
        for id, moments in self.witness.calls.moments.items():
            call = moments[-1].call
            if call.status is Status.RINGING and call.is_ours:
                self.witness.find(f"{id} rings for ever", id)
        for commit in self.witness.commits:
            for user, notice in commit.notices.items():
                self._user(commit, user, notice)

    def _user(self, commit: Commit, user: str, notice: Notice) -> None:
        of_signal = self.witness.told_of[str(commit.said.signal_id)]
        told = [each for each in of_signal if each.notice is notice]
        for phone in self.phones:
            its = [each for each in told if each.target == phone.socket.id]
            self._phone(commit, user, notice, phone, its)
        for token in self.devices.claims if notice.push else ():
            its = [each for each in told if each.target == token]
            self._device(commit, user, notice, token, its)

    # At least once

    def _phone(
        self, commit: Commit, user: str, notice: Notice, phone: Phone, told: list[Told]
    ) -> None:
        # The outbox notes sockets, not users: of one that was both parties', it can't tell which of
        # them has the event.
        if len({spell.user for spell in phone.spells} & commit.notices.keys()) < 2:
            self._at_most(commit, phone.socket.id, told, self._caught_up(commit, user, phone))
        if any(each.heard for each in told):
            return
        harms = self._harms(commit, phone.socket.id)
        for spell in phone.spells:
            if spell.user == user and spell.admitted_at is not None:
                gone = min(self._end(phone), spell.left_at or self._end(phone))
                is_later = spell.admitted_at > commit.at
                if self._is_unopened(phone) or (is_later and spell.asking.harms):
                    continue  # or nobody was asked to tell what it has missed
                since = spell.admitted_at
                last = max(self._deadline(commit, since, harms), commit.expires_last)
                if False in commit.reaches_phone(notice, phone, commit.began, last):
                    continue
                whom = str(phone)
                self._must(commit, notice, whom, "deliver", since, gone, harms, is_later=is_later)

    def _device(
        self, commit: Commit, user: str, notice: Notice, token: str, told: list[Told]
    ) -> None:
        copies = self.topic.published[str(commit.said.signal_id)] - 1
        self._at_most(commit, token, told, max(copies, 0))
        harms = self._harms(commit, token)
        deadline = self._deadline(commit, commit.at, harms)
        known = self.devices.places(token, user, commit.began, deadline)
        is_passed_over = False in commit.reaches_device(notice, known)
        is_his = self.devices.is_surely(token, user, commit.at, deadline)
        if not told and is_his and not is_passed_over:
            self._must(commit, notice, token, "push", 0.0, _FOR_EVER, harms, is_later=False)

    def _must(
        self,
        commit: Commit,
        notice: Notice,
        whom: str,
        function: str,
        since: float,
        gone: float,
        harms: list[Harm],
        *,
        is_later: bool,
    ) -> None:
        """Who could be told was told, or the event expired and somebody said so."""
        said = commit.said
        deadline = self._deadline(commit, since, harms)
        if self._is_dead(str(said.signal_id)):
            return
        is_true = self._is_true(commit, notice, deadline)
        if deadline < min(gone, commit.expires_first) and is_true:
            problem = f"{whom} was never told of {said}, by {deadline:.3f} at the latest"
            self.witness.find(problem, said.call, whom)
        last = commit.expires_last
        is_there = gone > last and self._is_true(commit, notice, last)
        is_counted = (function, said.signal_id) in self.witness.expired
        if is_there and not is_later and not is_counted:
            problem = f"{whom} was never told of {said}, and nobody said that it had expired"
            self.witness.find(problem, said.call, whom)

    def _deadline(self, commit: Commit, since: float, harms: list[Harm]) -> float:
        first = max(commit.at, since)
        if not harms:
            return first + _AT_ONCE
        healed = max(first, self.weather.heals, *(harm.at for harm in harms))
        due = max(healed, commit.at + _PENDING)
        # After the last look there was nothing to be looked for.
        look = next((at for at in self.looks if at >= due), due)
        return look + _AGAIN

    def _is_true(self, commit: Commit, notice: Notice, until: float) -> bool:
        said = commit.said
        assert said.call
        moments = self.witness.calls.during(said.call, commit.at, until)
        since = [moment for moment in moments if moment.said is said or moment.at > commit.at]
        return not any(commit.is_disproved(notice, moment) for moment in since)

    # At most once

    def _at_most(self, commit: Commit, target: str, told: list[Told], more: int) -> None:
        """Once, and once more for each thing that went wrong.

        A copy does not know whom the gateway has told as long as the first delivery hangs, be it
        at somebody else's socket.
        """
        is_by_copy = any(each.by.is_copy for each in told)
        allowed = 1 + more + len(self._harms(commit, None if is_by_copy else target))
        if len(told) > allowed:
            problem = f"{target} was told {len(told)} times of {commit.said}, not {allowed} at most"
            self.witness.find(problem, commit.said.call, target)
        for first, second in pairwise(told):
            noted = self._noted(first)
            if noted is not None and second.by.is_late and second.by.began > noted:
                problem = f"{target} was told of {commit.said} by {first.by}, and by {second.by}"
                self.witness.find(problem, commit.said.call, target)

    def _noted(self, told: Told) -> float | None:
        """Since when it has stood in the outbox, if the request that told it had to note it."""
        by = told.by
        if by.is_harmed(told.target) or by.function in COMMITTING:
            return None
        notes = by.function == "deliver" or by.is_late or by.status == RETRY
        return by.ended if notes else None

    def _caught_up(self, commit: Commit, user: str, phone: Phone) -> int:
        """How often both who delivers the event and who catches up with it may have told it."""
        return sum(
            spell.user == user
            and (spell.admitted_at is None or spell.admitted_at > commit.at - _BEFORE)
            for spell in phone.spells
        )

    def _harms(self, commit: Commit, target: str | None) -> list[Harm]:
        """What went wrong with the event; of a `target`, not what did with somebody else only."""
        id = commit.said.signal_id
        of_handlings = (
            harm
            for handling in self.handlings
            if handling.harms and (handling.signal_id == id or handling.connection == target)
            for harm in handling.harms
        )
        of_topic = (harm for key, harm in self.topic.harms if key in (id, target))
        harms = (*of_handlings, *of_topic)
        return [each for each in harms if target is None or each.target in (None, target)]

    def _is_unopened(self, phone: Phone) -> bool:
        """Whether that it is open was noted nowhere, though its client may have been told."""
        id = phone.socket.id
        return id in self.witness.turned_away or self._is_dead(id)

    def _is_dead(self, key: str) -> bool:
        return any(key == dead for _, dead in self.topic.dead_letters)

    def _end(self, phone: Phone) -> float:
        return _FOR_EVER if phone.gone_at is None else phone.gone_at
