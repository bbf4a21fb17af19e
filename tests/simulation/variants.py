"""The product with one safeguard taken out each, by a small part put in its place.

Where the safeguard lives in an adapter, its double in memory is broken the same way:
docs/decisions/2026-11-26-variants-of-the-simulation.md says why.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from starlette.requests import Request
from starlette.responses import Response

import functions.calls.decision
import functions.delivery.catchup
import functions.delivery.deliver
import functions.delivery.notify
import functions.delivery.push
import functions.delivery.signaling
import functions.push
from functions.attempt import Attempt, NotDelivered
from functions.calls.call import (
    Actor,
    Call,
    CallId,
    ConnectionId,
    SignalId,
    UnreadableCall,
    UserId,
)
from functions.calls.decision import Decision, decide_timeout
from functions.calls.event import CallEvent, Recipient
from functions.calls.transitions import PushPolicy, Signal
from functions.clients.connection import Connection
from functions.clients.device import Device, FcmAddress, Platform
from functions.delivery.callers import Callers
from functions.delivery.catchup import CatchUp
from functions.delivery.commit import Committed, Committer, NotCommitted, Received
from functions.delivery.notify import notify
from functions.delivery.sweep import Sweeper, Swept
from functions.inbound.pubsub import Handle, receive
from functions.ports.store import Entry, Known, Reloaded, StoredCall, StoreUnavailable
from functions.published import ConnectionAdmitted, ConnectionClosed, Published
from functions.scheduled import CallerCheck
from functions.sessions.close import Closing
from tests.memory.database import Database
from tests.memory.store import MemoryCalls, MemoryConnections, MemoryDevices, MemoryOutbox
from tests.simulation.due import Check
from tests.simulation.handling import current

Patch = pytest.MonkeyPatch


def no_outbox(patch: Patch) -> None:
    put = Database.put_entry

    def update(self: Database, entry: Entry) -> None:
        if self.entry(entry.event):
            put(self, entry)

    patch.setattr(Database, "put_entry", update)


def post_before_commit(patch: Patch) -> None:
    commit = Committer.commit

    async def hasty(
        self: Committer,
        event: CallEvent,
        write: Callable[[], Awaitable[None]],
        received: Received,
    ) -> Committed | NotCommitted:
        await notify(self._sockets, self._codecs, await self._look_up(event), event)
        return await commit(self, event, write, received)

    patch.setattr(Committer, "commit", hasty)


def no_precondition(patch: Patch) -> None:
    commit = MemoryCalls.commit

    class Whatever(datetime):
        def __ne__(self, other: object) -> bool:
            return False

    async def blind(
        self: MemoryCalls, stored: StoredCall, event: CallEvent, on: Connection | None = None
    ) -> None:
        await commit(self, replace(stored, version=Whatever(2026, 1, 1)), event, on)

    patch.setattr(MemoryCalls, "commit", blind)


def no_signal_id(patch: Patch) -> None:
    reload = MemoryCalls.reload

    async def blind(self: MemoryCalls, event: CallEvent) -> Reloaded:
        return replace(await reload(self, event), is_ours=False, entry=None)

    patch.setattr(MemoryCalls, "reload", blind)


def acknowledge_before_sending(patch: Patch) -> None:
    begun: list[asyncio.Task[None]] = []  # for as long as the patch, or they would be collected

    async def hasty(request: Request, project: str, handle: Handle) -> Response:
        async def hand_on(event: Published, attempt: Attempt) -> None:
            with suppress(NotDelivered, StoreUnavailable):
                await handle(event, attempt)

        async def begin(event: Published, attempt: Attempt) -> None:
            begun.append(asyncio.create_task(hand_on(event, attempt)))

        return await receive(request, project, begin)

    patch.setattr(functions.push, "receive", hasty)


def delete_on_disconnect(patch: Patch) -> None:
    async def close(self: MemoryConnections, id: ConnectionId, now: datetime) -> None:
        await self.remote.commit(id, lambda: self.database.connections.pop(id, None))

    patch.setattr(MemoryConnections, "close", close)


def one_mark_per_device(patch: Patch) -> None:
    known, marks = MemoryOutbox.known, "marks of devices"

    async def note(self: MemoryOutbox, event: CallEvent, pushed: Iterable[Device]) -> None:
        of_devices = self.database.__dict__.setdefault(marks, {})
        noted = {device.id: event.signal_id for device in pushed}
        await self.remote.commit(event.signal_id, lambda: of_devices.update(noted))

    async def read(self: MemoryOutbox, event: CallEvent) -> Known:
        found = await known(self, event)
        of_devices = self.database.__dict__.get(marks, {})
        pushed = frozenset(id for id, mark in of_devices.items() if mark == event.signal_id)
        return replace(found, entry=found.entry and replace(found.entry, pushed=pushed))

    patch.setattr(MemoryOutbox, "note_pushed", note)
    patch.setattr(MemoryOutbox, "known", read)


def entry_removed_when_nobody_was_connected(patch: Patch) -> None:
    note = MemoryOutbox.note_served

    async def remove(
        self: MemoryOutbox,
        event: CallEvent,
        served: Collection[ConnectionId],
        now: datetime,
        *,
        is_done: bool,
        dead: Collection[Connection] = (),
    ) -> None:
        await note(self, event, served, now, is_done=is_done, dead=list(dead))
        if is_done and not served:
            self.database.entries.pop((event.call_id, event.signal_id), None)

    patch.setattr(MemoryOutbox, "note_served", remove)


def late_events_do_not_look_at_the_call(patch: Patch) -> None:
    def still_true(self: CallEvent, call: Call | None) -> tuple[Recipient, ...]:
        return self.recipients

    patch.setattr(CallEvent, "still_true", still_true)


def late_commits_do_not_look_at_the_call(patch: Patch) -> None:
    async def unserved(
        self: Committer, event: CallEvent, reloaded: Reloaded
    ) -> Sequence[Connection]:
        return await self._look_up(event)

    patch.setattr(Committer, "_unserved_late", unserved)


def expired_events_are_told(patch: Patch) -> None:
    def never(self: CallEvent, now: datetime) -> bool:
        return False

    patch.setattr(CallEvent, "expired", never)


def goodbyes_are_not_honoured(patch: Patch) -> None:
    async def stay(
        self: Closing,
        connection: Connection,
        namespace: str,
        received_at: datetime | None,
        now: datetime,
    ) -> bool:
        return True

    patch.setattr(Closing, "leave_unless_outdated", stay)


def who_has_left_acts_on(patch: Patch) -> None:
    def owner(self: Connection, received_at: datetime | None) -> UserId | None:
        return self.owner

    patch.setattr(Connection, "sender", owner)


def nobody_is_caught_up(patch: Patch) -> None:
    async def nothing(self: CatchUp, event: ConnectionAdmitted) -> None:
        return

    patch.setattr(CatchUp, "tell", nothing)


def the_actor_is_told_too(patch: Patch) -> None:
    def everybody(event: CallEvent, recipient: Recipient, connection: Connection) -> bool:
        return True

    for module in (functions.delivery.notify, functions.delivery.catchup):
        patch.setattr(module, "is_told", everybody)


def phones_are_pushed_though_nobody_knows_the_device(patch: Patch) -> None:
    def unless_same(event: CallEvent, recipient: Recipient, device: Device) -> bool:
        is_same = event.actor.is_on(device.app_id, device.id)
        return not recipient.is_elsewhere or not is_same

    patch.setattr(functions.delivery.push, "is_pushed", unless_same)
    patch.setattr(Actor, "is_known", property(lambda _: True))


def connections_do_not_know_what_has_registered_on_them(patch: Patch) -> None:
    register = MemoryDevices.register

    async def alone(
        self: MemoryDevices,
        user: UserId,
        address: FcmAddress,
        platform: Platform,
        now: datetime,
        expires: datetime,
        app_id: str | None = None,
        by: ConnectionId | None = None,
    ) -> None:
        await register(self, user, address, platform, now, expires, app_id)

    patch.setattr(MemoryDevices, "register", alone)


def who_answers_elsewhere_takes_the_call_for_his(patch: Patch) -> None:
    def nowhere(call: Call, signal: Signal) -> bool:
        return False

    patch.setattr(functions.calls.decision, "_is_elsewhere", nowhere)


def late_time_outs_are_pushed(patch: Patch) -> None:
    patch.setattr(functions.delivery.signaling, "NO_PUSHES", PushPolicy())


def a_time_out_ends_whatever_rings(patch: Patch) -> None:

    def whichever(call: Call | UnreadableCall | None, ring: SignalId | None) -> Decision:
        return decide_timeout(call, call.signal_id if isinstance(call, Call) else ring)

    patch.setattr(functions.delivery.signaling, "decide_timeout", whichever)


def nobody_looks_for_rings_that_are_overdue(patch: Patch) -> None:
    async def look_away(self: Sweeper, swept: Swept) -> None:
        return

    patch.setattr(Sweeper, "look_for_overdue", look_away)


def a_ring_leaves_no_birth(patch: Patch) -> None:
    put = Database.put_birth

    def of_cancels(
        self: Database, call: CallId, caller: UserId, at: datetime, *, is_cancelled: bool
    ) -> None:
        if is_cancelled:
            put(self, call, caller, at, is_cancelled=True)

    patch.setattr(Database, "put_birth", of_cancels)


def a_cancel_leaves_no_birth(patch: Patch) -> None:
    async def nothing(self: MemoryCalls, call: CallId, caller: UserId, now: datetime) -> bool:
        return True

    patch.setattr(MemoryCalls, "forestall", nothing)


def a_repeat_of_initiate_rings_again(patch: Patch) -> None:
    patch.setattr("functions.delivery.ringing._was_told", lambda *_: False)


def rings_are_told_without_a_look(patch: Patch) -> None:
    def unless_retried(self: Attempt, event: CallEvent, now: datetime) -> bool:
        return event.served is None or self.number != 1

    patch.setattr(Attempt, "is_late", unless_retried)


def nobody_looks_whether_a_ring_has_overtaken_its_end(patch: Patch) -> None:
    async def nothing(*_: object) -> None:
        return

    for module in (functions.delivery.deliver, functions.delivery.catchup):
        patch.setattr(module, "tell_end", nothing)


def iphones_are_rung_by_fcm(patch: Patch) -> None:
    def every(recipient: Recipient, device: Device) -> bool:
        return True

    patch.setattr(functions.delivery.push, "_reaches", every)


def nobody_looks_after_callers(patch: Patch) -> None:
    async def nothing(self: Callers, event: ConnectionClosed) -> None:
        return

    patch.setattr(Callers, "closed", nothing)


def callers_who_left_before_it_rang_are_not_seen(patch: Patch) -> None:
    async def nothing(self: Callers, ring: CallEvent) -> None:
        return

    patch.setattr(Callers, "began", nothing)


def connections_do_not_know_what_they_have_initiated(patch: Patch) -> None:
    def nothing(self: Database, connection: Connection | None, call: Call) -> None:
        return

    patch.setattr(Database, "note_calling", nothing)


def callers_have_next_to_no_grace(patch: Patch) -> None:
    look_later = Callers._look_later

    async def soon(self: Callers, task: CallerCheck) -> None:
        self._grace = timedelta(seconds=2)
        await look_later(self, task)

    patch.setattr(Callers, "_look_later", soon)


def callers_who_came_back_are_gone(patch: Patch) -> None:
    of = MemoryConnections.of

    async def none_of_callers(
        self: MemoryConnections, users: Collection[UserId], now: datetime
    ) -> list[Connection]:
        said, found = current.get().said, await of(self, users, now)
        return [] if isinstance(said, Check) and list(users) == [said.caller] else found

    patch.setattr(MemoryConnections, "of", none_of_callers)


# What the simulation must say of each, and the seed from which it looks: for those that few
# schedules see, shortly before one of them.
VARIANTS: dict[Callable[[Patch], None], tuple[str, int]] = {
    no_outbox: ("never told|not one of|unavailable", 900_000),
    post_before_commit: ("before its commit", 900_000),
    no_precondition: ("made the call|changed what was", 900_000),
    no_signal_id: ("but made the call", 900_010),
    acknowledge_before_sending: ("token.* was never told", 900_000),
    delete_on_disconnect: ("was answered|its caller is gone", 900_000),
    one_mark_per_device: ("token.* by push .* and by push", 900_000),
    entry_removed_when_nobody_was_connected: ("was never told", 900_000),
    late_events_do_not_look_at_the_call: ("no longer true", 900_000),
    late_commits_do_not_look_at_the_call: ("no longer true|times of", 900_010),
    expired_events_are_told: ("when it had expired|nobody said that it had expired", 900_000),
    goodbyes_are_not_honoured: ("not for it|was answered", 900_000),
    who_has_left_acts_on: ("was answered|changed the call for", 900_020),
    nobody_is_caught_up: ("was never told", 900_000),
    the_actor_is_told_too: ("may have been done there", 900_000),
    phones_are_pushed_though_nobody_knows_the_device: ("may have been done there", 900_000),
    connections_do_not_know_what_has_registered_on_them: ("was never told|done there", 900_000),
    who_answers_elsewhere_takes_the_call_for_his: ("already_accepted", 900_020),
    late_time_outs_are_pushed: ("was pushed .* of the end of ", 900_105),
    a_time_out_ends_whatever_rings: ("the end of .* made the call missed", 900_000),
    nobody_looks_for_rings_that_are_overdue: ("rings for ever", 900_020),
    a_ring_leaves_no_birth: ("not_found", 900_000),
    a_cancel_leaves_no_birth: ("not_found", 900_000),
    a_repeat_of_initiate_rings_again: ("ring anew|was answered", 900_000),
    rings_are_told_without_a_look: ("no longer true|note.* when it was over", 900_000),
    nobody_looks_whether_a_ring_has_overtaken_its_end: ("when it was over", 900_000),
    iphones_are_rung_by_fcm: ("an iPhone", 900_000),
    nobody_looks_after_callers: ("its caller is gone", 900_000),
    callers_who_left_before_it_rang_are_not_seen: ("its caller is gone", 900_305),
    connections_do_not_know_what_they_have_initiated: ("its caller is gone", 900_000),
    callers_have_next_to_no_grace: ("too soon", 900_000),
    callers_who_came_back_are_gone: ("though there is", 900_000),
}
