"""The same call rings again while the event of its old ring is still on its way."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.emulators.faults import Fault
from tests.proof.faults.case import Deed
from tests.proof.faults.cast import Cast
from tests.proof.faults.play import Play
from tests.proof.faults.played import OldRing, Played
from tests.proof.faults.points import (
    CATCH_UP,
    GATEWAY,
    PATH,
    Point,
    Prelude,
    delivery_fails,
    posts_fail,
    publish_fails,
    the_call,
)
from tests.proof.handset import Told
from tests.proof.races.excuses import is_excused

_OLD, _NEW = "the old ring", "the new ring"
_RINGS = timedelta(seconds=60)  # the new ring, so that its pushes expire later than all of the old
_LATE_SECONDS = 2.1  # past what counts as prompt

_LOAD, _COMMIT, _, _, _, _RELOAD, _RELOAD_DONE = GATEWAY
# Between them and the telling nobody looks again: what they hold may be told of the old ring.
RINGS = tuple(point for point in PATH if point not in (_LOAD, _COMMIT, _RELOAD, _RELOAD_DONE))


def _late(function: str, name: str, *preludes: Prelude, skip: int = 0) -> Point:
    def prelude(cast: Cast) -> list[Fault]:
        return [fault for each in preludes for fault in each(cast)]

    call = f"delivery.{function}"
    return Point(function, name, call, the_call, skip=skip, prelude=prelude, is_late=True)


_ONE_IS_MISSED = posts_fail(1, 0)  # by the gateway, or nobody would be left for `deliver` to tell
# Who is held at these has yet to look whether the event is still true, and must see that it isn't.
LATE = (
    _late("deliver", "delivery, late", _ONE_IS_MISSED),
    _late("deliver", "second delivery", _ONE_IS_MISSED, delivery_fails("deliver"), skip=1),
    _late("deliver", "delivery of a copy", publish_fails),
    _late("push", "delivery, late"),
    _late("push", "second delivery", delivery_fails("push"), skip=1),
    _late("push", "delivery of a copy", publish_fails),
    *(replace(point, is_late=True) for point in (_RELOAD_DONE, *CATCH_UP[:2])),
)


class RingsAgain(Play):
    """The app's backend makes the call ring again while the old ring's event is held; the sender
    ends the new ring when the old event is over, or before it goes on."""

    async def set_up(self) -> None:
        await super().set_up()
        self._played.reason = _OLD
        self._rang_again = asyncio.Event()
        self._old_expire_before: datetime | None = None

    async def _emit(self, call: str, **data: object) -> dict[str, Any] | None:
        return await super()._emit(call, reason=self._played.reason, **data)

    async def _signal(self) -> None:
        call = self.cast.call
        self._played.verdicts.append(await self._answer(call))
        async with asyncio.timeout(2 * self._patience):
            if self.case.catches_up:
                await self._come()
            await self._rang_again.wait()
            if self.is_void or self.case.deed is Deed.ENDS_AGAIN:
                return
            await self._calls.until_delivered(call, every=0.1)
        await self._send(call)

    async def _deed(self) -> None:
        self.is_void = not await self._has_ended()
        if not self.is_void:
            await self._until_the_rest_is_over()
            self._played.old_ring = OldRing(await self._told_of_old(), len(self._messages()))
            await self._ring_again()
            if self.case.deed is Deed.ENDS_AGAIN:
                await self._send(self.cast.call)
        self._rang_again.set()

    async def _has_ended(self) -> bool:
        """False when the slow machine's time-outs left the call ringing."""
        while True:
            is_answered = bool(self._played.verdicts)
            if await self._calls.status(self.cast.call) != "ringing":
                return True
            if is_answered:
                return False
            await asyncio.sleep(0.02)

    async def _until_the_rest_is_over(self) -> None:
        """Where nothing of the old ring may be told any more, all must stand still but what is
        held, and that must be late by the clock."""
        point = self.case.point
        if not point or not point.is_late or point.function == "gateway":
            return
        async with asyncio.timeout(self._patience):
            if point.function == "push" or point.catches_up:
                await self._calls.until_delivered(self.cast.call, every=0.1)
            if point.function != "push":
                await self._until_pushed(self.cast.call)
        if not point.catches_up:
            await asyncio.sleep(_LATE_SECONDS)

    async def _ring_again(self) -> None:
        now = datetime.now(UTC)
        self._old_expire_before = now + _RINGS * 0.75
        self._played.reason = _NEW
        await self._ring(self.cast.call)
        document = self._documents.collection("calls").document(self.cast.call)
        await document.update({"ringsUntil": now + _RINGS})

    async def _told_of_old(self) -> list[int]:
        for phone in self.told:
            await phone.catch_up()
        return [phone.told()[self._old] for phone in self.told]

    @property
    def _old(self) -> Told:
        return Told(self.case.flow.event, self.cast.call, _OLD)

    def _messages(self) -> list[Mapping[str, Any]]:
        """Those of the new ring, once it is there."""
        limit = self._old_expire_before
        all_of_them = super()._messages()
        return (
            all_of_them
            if limit is None
            else [each for each in all_of_them if _expiry(each) > limit]
        )

    async def _settle(self) -> None:
        if not self.is_void:
            await super()._settle()

    async def result(self) -> Played:
        played = await super().result()
        if old := played.old_ring:
            old.told_in_the_end = [told.pop(self._old, 0) for told in played.told]
            old.pushed_in_the_end = len(super()._messages()) - len(self._messages())
            # A post that the gateway gave up, or an attempt that Firestore failed, may come late.
            on_purpose = sum(fault.call == "connections.POST" for fault in self.faults)
            old.is_excused = is_excused(self._stack.logs, self.cast.call, on_purpose)
        return played


def _expiry(message: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(int(message["apns"]["headers"]["apns-expiration"]), UTC)
