"""Sees all that happens, and holds each of it against the model at once."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

from functions.calls.call import Call, CallId, Status
from functions.calls.event import CallEvent, Recipient
from functions.clients.device import Device, Platform
from functions.ports.push_sender import PushOutcome
from functions.ports.store import StoredCall
from functions.published import ConnectionAccepted
from tests.proof.races.model import Notice, Verdict
from tests.simulation.births import Births
from tests.simulation.device import Devices
from tests.simulation.due import Check, Due
from tests.simulation.handling import Handling, current
from tests.simulation.model import (
    INITIATE,
    INITIATED,
    Asked,
    Calls,
    Commit,
    Moment,
    acted_on,
    senders,
)
from tests.simulation.phone import Phone, Said
from tests.simulation.stage import Stage

_KEPT = 59.9  # seconds for which it is known whose a closed connection was
_TRIES = 3  # conflicts in a row that end a signal
GRACE = 10.0  # seconds for which a caller may be without a connection


@dataclass(frozen=True, slots=True)
class Told:
    """`target` is a connection's id, or a token."""

    at: float
    target: str
    by: Handling
    heard: bool
    notice: Notice


class Witness:
    """What it finds wrong are sentences, each with the names that it is about. `committed_at` gives
    the signal that changed a call at a time, in Unix milliseconds."""

    def __init__(
        self,
        stage: Stage,
        devices: Devices,
        committed_at: Callable[[CallId, int], str | None],
        phones: Sequence[Phone],
    ) -> None:
        self._stage = stage
        self._devices = devices
        self._committed_at = committed_at
        self._phones = phones
        self.births = Births(self.find)
        self.calls = Calls()
        self.said: dict[str, Said] = {}  # by what no other frame says
        self.commits: list[Commit] = []
        self.told_of: dict[str, list[Told]] = defaultdict(list)  # by signal id
        self.expired: set[tuple[str, str]] = set()  # function and signal id
        self.turned_away: set[str] = set()  # connections that nobody could open in time
        self.wrong: list[tuple[str, tuple[str, ...]]] = []

    def find(self, sentence: str, *about: object) -> None:
        self._stage.say("WRONG:", sentence)
        self.wrong.append((sentence, tuple(map(str, about))))

    def failed(self, context: dict[str, Any]) -> None:
        """Something was raised where nobody waits for it."""
        self.find(f"{context['message']}: {context.get('exception')!r}")

    def asked(self, said: Said) -> None:
        """A frame about a call is on its way."""
        self.said[said.what] = said
        self.births.said(said)

    # Calls

    def changed(self, id: CallId, stored: StoredCall, sender: str | None) -> None:
        """The call's document was written, by the app's backend or for a signal of `sender`."""
        now, by = self._stage.now, current.get(None)
        said: Asked | None = by.said if by else None
        before = self.calls.last(id)
        moment = Moment(now, stored.call, said)
        if isinstance(said, Said) and stored.call.status is Status.ACCEPTED:
            moment = replace(moment, answered_on=acted_on(said, now))
        elif before:
            moment = replace(moment, answered_on=before.answered_on)
        self.calls.moments[id].append(moment)
        by_whom = f"for {said}" if said else "by the backend"
        self._stage.say(f"{id} is {stored.call.status} {by_whom}")
        if said and said.commit and not self._is_rung_again(id, said, before):
            self.find(f"{said} changed the call twice", said.call)
        if isinstance(said, Said) and said.name == INITIATE:
            self._rang(said, sender, before, stored.call)
        elif said:
            assert before
            self._changed(said, sender, before, stored.call)

    def _is_rung_again(self, id: CallId, said: Asked, before: Moment | None) -> bool:
        """Whether `said` bore the call cancelled, was not told so, and found that the app's backend
        had it ring by then: of such a ring, it tells the receiver."""
        if before is None or before.said or before.call.status is not Status.RINGING:
            return False
        born = (each for each in self.calls.moments[id] if each.said is said)
        return next(born).call.status is Status.CANCELLED

    def _changed(self, said: Asked, sender: str | None, before: Moment, after: Call) -> None:
        """What there was."""
        match said:
            case Due():
                self._timed_out(said, sender, before, after)
            case Check():
                self._found_gone(said, sender, before, after)
            case Said():
                assert sender
                self._committed(said, sender, before, after)

    def _rang(self, said: Said, sender: str | None, before: Moment | None, after: Call) -> None:
        """A call was created, or began to ring."""
        now, whose = self._stage.now, senders(said, self._stage.now)
        if after.caller not in whose or sender not in (None, after.caller):
            self.find(f"{said} has {after.caller} call", said.call)
        if after.receiver != said.receiver:
            self.find(f"{said} has {after.receiver} called", said.call)
        if after.status is Status.CANCELLED:
            if before or not self.births.may_be_cancelled(said, after.caller, now):
                self.find(f"{said} had the call born cancelled", said.call)
            said.commit = Commit.of_born_cancelled(said, now)
        else:
            was = before and self._ring_verdict(said, after.caller, before)
            if (after.status, after.signal_id) != (Status.RINGING, said.signal_id):
                self.find(f"{said} made the call {after.status}, which was {was}", said.call)
            if was not in (None, (True, "ringing")):
                self.find(f"{said} made a call ring anew that was {was}", said.call)
            said.commit = Commit.of_ring(said, before, after, now)
            if before is None:
                self.births.born(after.id, after.caller, said.commit)
        self.commits.append(said.commit)

    def _ring_verdict(self, said: Said, sender: str, moment: Moment) -> Verdict:
        """What `said` of `sender` is answered if the call is as at this moment."""
        call = moment.call
        last = next((c for c in self.commits if c.said.signal_id == call.signal_id), None)
        was_told = last.rule is INITIATED if last else call.is_ours
        was_told = was_told and call.signal_id is not None
        return moment.ring_verdict(said, sender, was_told=was_told)

    def _found_gone(self, check: Check, sender: str | None, before: Moment, after: Call) -> None:
        now, call = self._stage.now, before.call
        assert check.handling
        was = (call.status, call.caller, check.caller)
        if was != (Status.RINGING, sender, sender) or after.status is not Status.CANCELLED:
            problem = f"made the call {after.status} for {sender}, which was {was}"
            self.find(f"{check} {problem}", check.call)
        for phone in self._phones:
            if phone.is_surely(check.caller, check.handling.began, now):
                self.find(f"{check} cancelled it, though there is {phone}", check.call, phone)
        rings = (c.said for c in self.commits if c.rule is INITIATED and c.said.call == check.call)
        left = [said.spell.left_at for said in rings if isinstance(said, Said)]
        if not any(at is not None and at + GRACE <= now for at in left):
            self.find(f"{check} cancelled it too soon: its caller left at {left}", check.call)
        check.commit = Commit.of_check(check, before, now)
        self.commits.append(check.commit)

    def _timed_out(self, due: Due, sender: str | None, before: Moment, after: Call) -> None:
        now, call = self._stage.now, before.call
        was = (call.status, call.signal_id)
        if sender or was != (Status.RINGING, due.ring) or after.status is not Status.MISSED:
            problem = f"made the call {after.status} for {sender}, which was {was}"
            self.find(f"{due} {problem}", due.call)
        if now < due.rings_until:
            self.find(f"{due} ended the ring too soon", due.call)
        due.commit = Commit.of_time_out(due, before, now)
        self.commits.append(due.commit)

    def _committed(self, said: Said, sender: str, before: Moment, after: Call) -> None:
        now = self._stage.now
        if sender not in senders(said, now):
            self.find(f"{said} changed the call for {sender}", said.call)
        verdicts = before.verdicts(said, sender, acted_on(said, now))
        if not any(ok and to == after.status.value for (ok, _), to in verdicts):
            was = before.call.status
            self.find(f"{said} made the call {after.status}, which was {was}", said.call)
        if before.call.status is after.status:
            self.find(f"{said} changed what was {after.status} already", said.call)
        rules = [rule for rule in before.rules(said, sender) if rule.to == after.status.value]
        if rules:
            said.commit = Commit.of(said, rules[0], before, now)
            self.commits.append(said.commit)

    def answered(self, said: Said, verdict: dict[str, Any] | None) -> None:
        """The reply to a frame was written; None: its sender gets API Gateway's error."""
        self._stage.say(f"{said} is answered {verdict}")
        self._devices.answered(said, bool(verdict and verdict["ok"]))
        if said.call is None or verdict is None:
            return
        given = (bool(verdict["ok"]), str(verdict["outcome"]))
        if given == (False, "not_found"):
            self.births.answered_not_found(said, self._stage.now)
        if problem := self._problem(said, given, verdict.get("field")):
            self.find(f"{said} was answered {given}, {problem}", said.call)

    def _problem(self, said: Said, given: tuple[bool, str], field: str | None) -> str | None:
        assert said.handling
        assert said.call
        began, now = said.handling.began, self._stage.now
        moments = list(self.calls.during(said.call, began, now))
        was_there = any(self.calls.during(said.call, 0, began))
        if given[1] == "unavailable":
            # It was not there, or its cancel, and then it was.
            states = len(moments) + (not was_there) + self.births.may_conflict(said)
            is_harmed = said.handling.harms or states > _TRIES
            return None if is_harmed else "though nothing went wrong"
        if said.commit:
            is_it = given == said.commit.verdict
            return None if is_it else f"but made the call {said.commit.rule.to}"
        whose = senders(said, now)
        if given == (False, "forbidden") and field == "connection":
            return None if None in whose else "though it was sent before the goodbye"
        left_at = said.spell.left_at
        if given == (False, "invalid") and left_at is not None and now - left_at > _KEPT:
            return None
        possible = {
            verdict
            for moment, user in product(moments, filter(None, whose))
            for verdict in self._verdicts(said, user, moment)
        }
        if not was_there and said.name != INITIATE:
            possible.add((False, "not_found"))
        possible = {each for each in possible if not (each[0] and "already" not in each[1])}
        return None if given in possible else f"and not one of {sorted(possible)}"

    def _verdicts(self, said: Said, sender: str, moment: Moment) -> set[Verdict]:
        """All that `sender` may be answered if the call is as at this moment."""
        if said.name == INITIATE:
            return {self._ring_verdict(said, sender, moment)}
        acted = acted_on(said, self._stage.now)
        return {verdict for verdict, _ in moment.verdicts(said, sender, acted)}

    # Who is told

    def told(
        self, phone: Phone, event: str, data: dict[str, Any], by: Handling, *, heard: bool
    ) -> None:
        """A frame that was posted has reached a socket; not `heard`: the client drops it."""
        named = _named(data)
        self._stage.say(f"{phone} is told {event} {named} by {by}")
        said = self._said_in(data, by)
        if said is None or said.commit is None or said.signal_id is None:
            self.find(f"{phone} was told of {said} before its commit", data["callId"])
            return
        commit: Commit = said.commit
        for_it = [each for user, each in commit.notices.items() if self._is_for(phone, user, by)]
        if not for_it:
            problem = f"{phone} was told of {said}, which is not for it"
            self.find(problem, said.call, phone.socket.id)
            return
        now, words = self._stage.now, (event, data["callId"], named)
        fitting = [n for n in for_it if (n.event, said.call, commit.reason(n)) == words]
        if not fitting:
            self.find(f"{phone} was told {words}: {said}", said.call)
            return
        notice = fitting[0]
        self.told_of[said.signal_id].append(Told(now, phone.socket.id, by, heard, notice))
        if True not in commit.reaches_phone(notice, phone, by.began, now):
            problem = f"{phone} was told of {said}, which may have been done there"
            self.find(problem, said.call, phone.socket.id)
        last = self.calls.last(str(said.call))
        if commit.rule is INITIATED and last and data["callerId"] != last.call.caller:
            self.find(f"{phone} was told that {data['callerId']} calls: {said}", said.call)
        if notice.says and data["cause"] != notice.says[1]:
            self.find(f"{phone} was told {data['cause']} of {said}", said.call)
        self._check(commit, notice, by, str(phone))

    def _said_in(self, data: dict[str, Any], by: Handling) -> Asked | None:
        """What somebody is told of: the reason names it, unless it is the same for all."""
        if said := self.said.get(_named(data)):
            return said
        if by.said:
            asked: Asked = by.said
            return asked
        committed = partial(self._committed_at, data["callId"], data["timestamp"])
        # Who delivers a ring may tell of its end as well.
        return self._said_by(committed() if by.is_of_ring else by.signal_id or committed())

    def _said_by(self, signal_id: str | None) -> Asked | None:
        """What has made a commit by this id."""
        found = (each.said for each in self.commits if each.said.signal_id == signal_id)
        return next(found, None)

    def _is_for(self, phone: Phone, user: str, by: Handling) -> bool:
        """Whether it was his at some time since `by` began."""
        return any(
            spell.user == user and not ((over := spell.over_since()) and over < by.began)
            for spell in phone.spells
        )

    def pushed(self, device: Device, event: CallEvent, recipient: Recipient) -> PushOutcome:
        """A message has reached FCM."""
        by = current.get()
        outcome = self._devices.outcome(device.address)
        self._stage.say(f"{device.address} is pushed {event.reason} by {by}: {outcome.name}")
        said = self.said.get(event.reason or "") or self._said_by(event.signal_id)
        if said is None or said.commit is None:
            self.find(f"{device.address} was pushed {said} before its commit", event.call_id)
            return outcome
        commit: Commit = said.commit
        notice = commit.notices.get(recipient.user_id)
        if notice is None or not self._devices.may_be(device.address, device.user, by.began):
            self.find(f"{device.address} was pushed {said}, not for its user", said.call)
            return outcome
        if outcome is PushOutcome.SENT:
            told = Told(self._stage.now, device.address, by, heard=True, notice=notice)
            self.told_of[event.signal_id].append(told)
        given = (recipient.push and recipient.push.type, event.reason_for(recipient))
        reason = None if commit.rule is INITIATED else commit.reason(notice)
        if given != (notice.push, reason):
            self.find(f"{device.address} was pushed {given} of {said}", said.call)
        if notice.push == "incoming_call":
            runs = self._devices.platforms(device.address, device.user, by.began, self._stage.now)
            if runs == {Platform.IOS}:
                self.find(f"{device.address}, an iPhone, was pushed {said}", said.call)
        known = self._devices.places(device.address, device.user, by.began, self._stage.now)
        if True not in commit.reaches_device(notice, known):
            problem = f"{device.address} was pushed {said}, which may have been done there"
            self.find(problem, said.call)
        self._check(commit, notice, by, device.address)
        return outcome

    def _check(self, commit: Commit, notice: Notice, by: Handling, whom: str) -> None:
        """Of what somebody is told, whoever it is: it lives, and it is not of an old ring."""
        said = commit.said
        if by.began > commit.expires_last:
            self.find(f"{whom} was told of {said} when it had expired", said.call)
        since = by.began if by.is_late else by.reloaded_at
        if since is None:
            return
        assert said.call
        moments = self.calls.during(said.call, since, self._stage.now)
        if all(commit.is_disproved(notice, moment) for moment in moments):
            self.find(f"{whom} was told of {said} late, when it was no longer true", said.call)

    # Logs

    @contextmanager
    def listening(self) -> Iterator[None]:
        logger, handler = logging.getLogger("functions"), _Listener(self)
        propagates, logger.propagate = logger.propagate, False
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.propagate = propagates

    def logged(self, record: logging.LogRecord) -> None:
        by = current.get(None)
        self._stage.say(f"{by} logs", record.getMessage(), getattr(record, "fields", ""))
        if record.exc_info:
            error = record.exc_info[1]
            self.find(f"{by} logged a traceback: {type(error).__name__}: {error}", by)
        if by and by.signal_id and record.getMessage() == "expired":
            self.expired.add((by.function, by.signal_id))
        if by and isinstance(by.event, ConnectionAccepted) and record.getMessage() == "too late":
            self.turned_away.add(by.event.connection_id)


def _named(data: dict[str, Any]) -> str:
    """By what it is known: a ring has no reason, but what its caller has noted."""
    return str(data.get("reason") or data.get("note"))


class _Listener(logging.Handler):
    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self._witness = witness

    def emit(self, record: logging.LogRecord) -> None:
        self._witness.logged(record)
