"""What must be true when nothing is under way any more."""

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain, pairwise

from functions.calls.call import Status
from functions.clients.device import Platform
from functions.inbound.pubsub import RETRY
from tests.memory.database import Database
from tests.proof.races.model import Notice
from tests.simulation.device import Devices
from tests.simulation.handling import COMMITTING, Handling, Harm
from tests.simulation.model import INITIATED, Commit
from tests.simulation.phone import Phone
from tests.simulation.pubsub import Topic
from tests.simulation.tasks import Queue
from tests.simulation.weather import Weather
from tests.simulation.witness import Told, Witness

_PENDING = 6.2  # seconds before `sweep` takes an event up
AGAIN = 15.0  # seconds for one more delivery, with Pub/Sub's longest back-off before it
AT_ONCE = 3.0  # seconds in which all are told if nothing goes wrong
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
    queue: Queue
    _harms: dict[str, list[Harm]] = field(init=False)  # by signal, and by connection

    def __post_init__(self) -> None:
        self._harms = defaultdict(list)
        for handling in self.handlings:
            if handling.harms:
                for key in filter(None, (handling.signal_id, handling.connection)):
                    self._harms[key] += handling.harms
        for key, harm in self.topic.harms:
            self._harms[key].append(harm)

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
        harms = self.harms(commit, phone.socket.id)
        for spell in phone.spells:
            if spell.user == user and spell.admitted_at is not None:
                gone = min(self.end(phone), spell.left_at or self.end(phone))
                is_later = spell.admitted_at > commit.at
                if self._is_unopened(phone) or (is_later and spell.asking.harms):
                    continue  # or nobody was asked to tell what it has missed
                since = spell.admitted_at
                last = max(self.deadline(commit, since, harms), commit.expires_last)
                if False in commit.reaches_phone(notice, phone, commit.began, last):
                    continue
                whom = str(phone)
                self._must(commit, notice, whom, "deliver", since, gone, harms, is_later=is_later)

    def _device(
        self, commit: Commit, user: str, notice: Notice, token: str, told: list[Told]
    ) -> None:
        copies = self.topic.published[str(commit.said.signal_id)] - 1
        self._at_most(commit, token, told, max(copies, 0))
        harms = self.harms(commit, token)
        deadline = self.deadline(commit, commit.at, harms)
        known = self.devices.places(token, user, commit.began, deadline)
        is_passed_over = False in commit.reaches_device(notice, known)
        is_his = self.devices.is_surely(token, user, commit.at, deadline)
        if notice.push == "incoming_call":  # on Apple's phones nothing but a VoIP push rings
            runs = self.devices.platforms(token, user, commit.began, deadline)
            is_passed_over = is_passed_over or Platform.IOS in runs
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
        deadline = self.deadline(commit, since, harms)
        if self.is_dead(str(said.signal_id)):
            return
        is_true = self.is_true(commit, notice, deadline)
        if deadline < min(gone, commit.expires_first) and is_true:
            problem = f"{whom} was never told of {said}, by {deadline:.3f} at the latest"
            self.witness.find(problem, said.call, whom)
        last = commit.expires_last
        # A ring ends just as it expires, and may be dropped as it is no longer true.
        until = last + AT_ONCE if commit.rule is INITIATED else last
        is_there = gone > last and self.is_true(commit, notice, until)
        is_counted = (function, said.signal_id) in self.witness.expired
        if is_there and not is_later and not is_counted:
            problem = f"{whom} was never told of {said}, and nobody said that it had expired"
            self.witness.find(problem, said.call, whom)

    def deadline(self, commit: Commit, since: float, harms: list[Harm]) -> float:
        first = max(commit.at, since)
        if not harms:
            return first + AT_ONCE
        healed = max(first, self.weather.heals, *(harm.at for harm in harms))
        due = max(healed, commit.at + _PENDING)
        # After the last look there was nothing to be looked for.
        look = next((at for at in self.looks if at >= due), due)
        return look + AGAIN

    def is_true(self, commit: Commit, notice: Notice, until: float) -> bool:
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
        if len(told) < 2:
            return
        told = [each for each in told if not self._is_once_more(commit, each)]
        is_by_copy = any(each.by.is_copy for each in told)
        allowed = 1 + more + len(self.harms(commit, None if is_by_copy else target))
        if len(told) > allowed:
            problem = f"{target} was told {len(told)} times of {commit.said}, not {allowed} at most"
            self.witness.find(problem, commit.said.call, target)
        for first, second in pairwise(told):
            noted = self._noted(first)
            if noted is not None and second.by.is_late and second.by.began > noted:
                problem = f"{target} was told of {commit.said} by {first.by}, and by {second.by}"
                self.witness.find(problem, commit.said.call, target)

    def _is_once_more(self, commit: Commit, told: Told) -> bool:
        """Whether it was told by who has told of the ring, or found that somebody had: that has
        overtaken its end."""
        by = told.by
        if by.is_of_ring and by.signal_id != commit.said.signal_id:
            return True
        rings = (each for each in self.witness.commits if each.said.call == commit.said.call)
        # If the look failed, the next attempt to catch the connection up takes it once more.
        return by.connection is not None and any(
            each.by.connection == by.connection and each.target == told.target
            for ring in rings
            if ring.rule is INITIATED and ring is not commit
            for each in self.witness.told_of[str(ring.said.signal_id)]
        )

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

    def harms(self, commit: Commit, target: str | None) -> list[Harm]:
        """What went wrong with the event; of a `target`, not what did with somebody else only."""
        of_signal = self._harms[str(commit.said.signal_id)]
        if target is None:
            return of_signal
        harms = (*of_signal, *self._harms[target])
        return [each for each in harms if each.target in (None, target)]

    def harms_of_ring(self) -> list[Harm]:
        """What went wrong with `ring`, and on the way to it."""
        of_handlings = (each.harms for each in self.handlings if each.function == "ring")
        return [*self.topic.harms_of_ring, *self.queue.harms, *chain(*of_handlings)]

    def _is_unopened(self, phone: Phone) -> bool:
        """Whether that it is open was noted nowhere, though its client may have been told."""
        id = phone.socket.id
        return id in self.witness.turned_away or self.is_dead(id)

    def is_dead(self, key: str) -> bool:
        return any(key == dead for _, dead in self.topic.dead_letters)

    def end(self, phone: Phone) -> float:
        return _FOR_EVER if phone.gone_at is None else phone.gone_at
