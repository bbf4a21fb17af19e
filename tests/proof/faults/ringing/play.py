"""Plays one ring on a running stack: who there is, who acts, and all that came of it."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud.firestore import FieldFilter

from functions.calls.event import unix_ms
from functions.scheduled import RingEnds, decode
from infra.client import https
from infra.local.topology import queue
from tests.proof.faults.play import Play
from tests.proof.faults.played import Played
from tests.proof.faults.points import WEBHOOK_PATHS
from tests.proof.faults.ringing.flows import (
    ACCEPT,
    ACTING,
    CALLER,
    CALLERS_SECOND,
    GONE,
    INITIATE,
    PHONE,
    RINGS,
    TABLET,
    TIME_OUT,
    WIRES,
    Heard,
    ends_of,
    heard_in,
    phones_of,
    tokens_of,
)
from tests.proof.faults.ringing.played import RingPlayed
from tests.proof.handset import Handset
from tests.support.collections import CONNECTIONS

_SHORTEST, _LONGEST = 5, 120  # seconds that a call may ring
_LONG_ENOUGH = 25  # to see that the caller is gone, whatever goes wrong with it once
_POLL_SECONDS = 0.3
_TRIES = 5  # of an app whose user wants to be heard
_HANDSHAKE = timedelta(seconds=60)  # longer than any takes
_BEGUN_SECONDS = 20.0  # until everybody has heard of a ring with which nothing goes wrong


class RingPlay(Play):
    """One ring at work, from where the case begins."""

    _played: RingPlayed

    def _nothing_yet(self) -> RingPlayed:
        reason = "Answered elsewhere" if self.case.flow == ACCEPT else ""
        return RingPlayed(self.case, self.cast, reason)

    async def set_up(self) -> None:
        """Phones and devices, before anything goes wrong."""
        cast = self.cast
        names = phones_of(self.case.flow)
        users = [cast.sender if name in (CALLER, CALLERS_SECOND) else cast.told for name in names]
        dialled = [
            Handset.dial(self._stack, user, WIRES[name], self._named(name))
            for name, user in zip(names, users, strict=True)
        ]
        self.phones = dict(zip(names, await asyncio.gather(*dialled), strict=True))
        for phone in self.phones.values():
            self._phones.push_async_callback(phone.hang_up)
        self.sender = self.phones[CALLER]
        self.bystander = self.phones.get(CALLERS_SECOND, self.sender)
        self.told = [self.phones[PHONE], self.phones[TABLET]]
        await asyncio.gather(*(self._register(*each) for each in self._devices()))
        cast.told_connections, cast.sender_connections = await self._ids_of_connections()
        if self.case.flow == GONE:
            await self._have_been_connected_for(_HANDSHAKE)
        self.faults = self._faults()

    async def _have_been_connected_for(self, time: timedelta) -> None:
        """Makes the caller's connection so old that a 410 says that its socket is closed."""
        (caller,) = self.cast.sender_connections
        connection = self._documents.collection(CONNECTIONS).document(caller)
        await connection.update({"connectedAt": datetime.now(UTC) - time})

    def _named(self, phone: str) -> str:
        """The name that the app gives to the device, which a handshake may carry."""
        return f"{list(WIRES).index(phone)}-{self.cast.unique}"

    def _devices(self) -> list[tuple[str, str, str, str]]:
        """By which phone each is registered, under which name, with which token and platform."""
        first, second = self.cast.tokens
        third = (ACTING, "android") if self.case.flow == ACCEPT else (PHONE, "ios")
        by, platform = third
        return [
            (PHONE, self._named(PHONE), first, "android"),
            (TABLET, self._named(TABLET), second, "android"),
            (by, self._named(by), self.cast.third_token, platform),
        ]

    async def _register(self, by: str, device: str, token: str, platform: str) -> None:
        verdict = await self.phones[by].insist(
            "device:register", token=token, platform=platform, deviceId=device
        )
        self.is_void |= not verdict["ok"]  # by a machine that is too busy

    async def _ids_of_connections(self) -> tuple[list[str], list[str]]:
        """Those of the two phones that are told, and the caller's."""
        named = self._documents.collection(CONNECTIONS)
        ids = []
        for phone in (PHONE, TABLET, CALLER):
            query = named.where(filter=FieldFilter("deviceId", "==", self._named(phone)))
            ids += [found.id async for found in query.stream()]
        *told, caller = ids
        return told, [caller]

    # The ring

    async def begin(self) -> None:
        """Has the call ring, unless that is what goes wrong."""
        if self._rings_later:
            return
        try:
            async with asyncio.timeout(_BEGUN_SECONDS):
                await self._ring(self.cast.call)
                if self.case.flow != ACCEPT:
                    await self._until_heard(RINGS)
                    while not self._is_scheduled():  # noqa: ASYNC110 - nobody tells
                        await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            self.is_void = True

    @property
    def _rings_later(self) -> bool:
        point = self.case.point
        return self.case.flow == INITIATE or bool(point and point.at_the_start)

    async def _ring(self, call: str) -> None:
        if self.case.flow == ACCEPT:
            await self._calls.ring(call, self.cast.sender, self.cast.told)
            return
        verdict = await self.sender.insist("call:initiate", **self._wish(call))
        if not verdict["ok"]:
            raise TimeoutError(f"it does not ring: {verdict}")
        self._rings_until = int(verdict["ringsUntil"])

    def _wish(self, call: str) -> Mapping[str, object]:
        point = self.case.point
        seconds = {INITIATE: _LONGEST, TIME_OUT: _SHORTEST}.get(self.case.flow, _LONG_ENOUGH)
        if point and point.is_unseen:
            seconds = _SHORTEST
        return {"callId": call, "receiverId": self.cast.told, "ringSeconds": seconds}

    async def _signal(self) -> None:
        flow, call = self.case.flow, self.cast.call
        if flow == INITIATE:
            await self._initiate(call)
        elif flow == ACCEPT:
            await self._send(call)
        elif flow == GONE:
            await self.sender.die()
        elif self._rings_later:
            await self._ring(call)
        self.is_void |= flow in (TIME_OUT, GONE) and await self._is_over_already()

    async def _initiate(self, call: str) -> None:
        """Says it again while there is no call, as an app does whose user wants to be heard."""
        for _ in range(_TRIES):
            verdict = await self._answer(call)
            self._played.verdicts.append(verdict)
            self.is_void |= self._was_too_slow(verdict)
            if verdict is None and self._died.is_set():
                await self._lives_again.wait()
            is_ringing = await self._status() == "ringing"
            if is_ringing and ((verdict and verdict["ok"]) or not self.case.repeats):
                return

    async def _is_over_already(self) -> bool:
        """Whether the machine was so slow that the ring ended before anything could go wrong."""
        return not self._rings_later and await self._status() == "missed"

    async def _emit(self, call: str, **data: object) -> dict[str, Any] | None:
        flow = self.case.flow
        said = self._wish(call) if flow == INITIATE else {"callId": call}
        sender = self.phones[ACTING] if flow == ACCEPT else self.sender
        with suppress(TimeoutError, https.Unreachable):
            return await sender.emit(flow.signal, **said, **data)
        return None

    # When all is done

    async def _settle(self) -> None:
        if self.is_void:
            return
        await super()._settle()
        if self.case.flow == INITIATE:
            self._played.is_scheduled = self._is_scheduled()
            self._status_then = await self._status()
            # It would ring on, and end while others are played.
            await self._calls.remove(self.cast.call)

    async def _until_all_have_it(self) -> None:
        await self._until_heard(*(heard_in(self.case, end) for end in ends_of(self.case)))
        while self.case.flow == INITIATE and not self._is_scheduled():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_POLL_SECONDS)

    async def _until_heard(self, *expected: Heard) -> None:
        """Waits until every device and the app's backend have all of one of these, and nothing is
        pending."""
        while not any(map(self._is_heard, expected)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_POLL_SECONDS)
        await self._calls.until_delivered(self.cast.call, every=_POLL_SECONDS)

    def _is_heard(self, expected: Heard) -> bool:
        hooks = {(hook.path, hook.data["status"]) for hook in self._backend.about(self.cast.call)}
        pushes = {(message["token"], message["data"]["type"]) for message in self._messages()}
        return all(
            (path, each) in hooks for path in WEBHOOK_PATHS for each in expected.hooks
        ) and all(
            (token, type) in pushes
            for device, token in tokens_of(self.cast).items()
            for type in expected.pushed.get(device, ())
        )

    def _is_scheduled(self) -> bool:
        """Whether a task of this ring's end waits."""
        waiting = self._stack.tasks.pending(queue(self._stack.project))
        bodies = [each.http_request.body for each in waiting]
        tasks = [decode(body) for body in bodies if self.cast.call.encode() in body]
        return any(isinstance(each, RingEnds) for each in tasks)

    async def result(self) -> Played:
        played = self._played
        if self.case.flow == TIME_OUT:
            played.is_early = await self._ended_early()
        await super().result()
        if self.case.flow == INITIATE:
            played.statuses[self.cast.call] = self._status_then
        played.phones = {name: phone.told() for name, phone in self.phones.items()}
        return played

    _status_then = "None"
    _rings_until = 0  # Unix ms

    async def _status(self) -> str:
        return str((await self._document()).get("status"))

    async def _document(self) -> Mapping[str, Any]:
        found = await self._documents.collection("calls").document(self.cast.call).get()
        return found.to_dict() or {}

    async def _ended_early(self) -> bool:
        """Whether it ended before the time that its caller was told."""
        ended = (await self._document()).get("endedAt")
        return ended is not None and unix_ms(ended) < self._rings_until


class RingsOn(RingPlay):
    """The caller cancels, and the app's backend makes the call ring again, before the time of the
    old ring is over: the new ring goes on."""

    async def _signal(self) -> None:
        call = self.cast.call
        await self.sender.insist("call:cancel", callId=call)
        self.is_void |= await self._status() != "cancelled"
        await self._calls.until_delivered(call, every=_POLL_SECONDS)
        await self._calls.ring(call, self.cast.sender, self.cast.told)

    async def _until_all_have_it(self) -> None:
        await super()._until_all_have_it()
        while self._is_scheduled():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_POLL_SECONDS)
