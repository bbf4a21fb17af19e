"""Plays one case on a running stack: who there is, what is sent, and all that came of it."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

from google.cloud.firestore import FieldFilter

from functions.calls.transitions import transitions_of
from infra.client import https
from infra.client.calls import Calls, client_at
from infra.emulators.faults import Fault
from infra.emulators.fcm.errors import FcmError
from infra.emulators.webhooks import WebhookReceiver
from infra.local.stack import Stack
from tests.proof.faults.case import Case, Deed, Delivery, Harm
from tests.proof.faults.cast import Cast
from tests.proof.faults.logs import Tail
from tests.proof.faults.played import Played
from tests.proof.faults.points import WEBHOOK_PATHS
from tests.proof.handset import JSON, SOCKET_IO, Handset, Told
from tests.support.collections import CONNECTIONS, DEVICES

_TOLD = (JSON, SOCKET_IO)  # the wires of the told user's phones
_OUT_SECONDS = 5.0
_TRIES = 5  # of an app whose user wants the call to end
_REACHED_SECONDS = 30.0
_GONE_SECONDS = 10.0  # until a goodbye is noted
_ANSWERED_SECONDS = 0.5  # after a function died: an answer may be on its way
RETRIES_SECONDS = 60.0  # for ten deliveries and the sweeps between them; as a rule it takes six


class Play:
    """One case at work. Use it by a `staging.Stage`."""

    def __init__(self, stack: Stack, case: Case, patience: float) -> None:
        """`patience` is how many seconds an event may take to reach all it can."""
        self.case = case
        self.cast = Cast()
        self.faults: list[Fault] = []
        self.acted = asyncio.Event()  # the sender has had what it could
        self.is_void = False  # the machine was too slow for what was to be tried
        self._stack = stack
        self._patience = patience
        self._calls = Calls(stack.firestore, stack.project)
        self._documents = client_at(stack.firestore, stack.project)
        self._died = asyncio.Event()
        self._lives_again = asyncio.Event()
        # Of those who catch up: the harm is due, and all have come.
        self._is_due, self._have_come = asyncio.Event(), asyncio.Event()
        self._is_done = asyncio.Event()  # the deed
        self._phones = AsyncExitStack()
        self._log = Tail(stack, "gateway")
        self._played = self._nothing_yet()

    async def set_up(self) -> None:
        """Phones, devices and ringing calls, all before anything goes wrong."""
        cast = self.cast
        if self.case.harm is Delivery.OUT_OF_ORDER or self.case.deed is Deed.TWO_AT_ONCE:
            cast.add_call()
        wires = [(cast.sender, self._senders_wire), (cast.sender, JSON)]
        wires += [(cast.told, wire) for wire in _TOLD]
        dialled = [Handset.dial(self._stack, user, wire) for user, wire in wires]
        self.sender, self.bystander, *self.told = await asyncio.gather(*dialled)
        for phone in (self.sender, self.bystander, *self.told):
            self._phones.push_async_callback(phone.hang_up)
        http = await self._phones.enter_async_context(https.client(self._stack.functions["api"]))
        self.app = https.App(http, self._stack.token(cast.sender))
        for token in cast.tokens:
            await self.told[0].insist("device:register", token=token, platform="android")
        await self.bystander.insist("device:register", token=cast.sender_token, platform="ios")
        if self.case.second_token_dies:
            self._stack.fcm.fail(cast.tokens[1], FcmError.UNREGISTERED)
        for call in cast.calls:
            await self._ring(call)
        by_wire = {wire: id for id, wire in await self._connections(cast.told)}
        cast.told_connections = [by_wire[wire] for wire in _TOLD]
        self.faults = self._faults()
        if self.case.catches_up:
            await asyncio.gather(*(phone.hang_up() for phone in self.told))
            await self._until_gone()

    async def _until_gone(self) -> None:
        """A `$disconnect` that the busy machine lost comes never again."""
        try:
            async with asyncio.timeout(_GONE_SECONDS):
                while await self._calls.is_connected(self.cast.told):  # noqa: ASYNC110 - Firestore tells nobody
                    await asyncio.sleep(0.02)
        except TimeoutError:
            self.is_void = True

    def _nothing_yet(self) -> Played:
        row = next(transitions_of(self.case.flow.signal))
        return Played(self.case, self.cast, row.default_reason)

    async def begin(self) -> None:
        """What comes after all are there, and before anything goes wrong."""

    async def act(self) -> None:
        """Sends the signal, and again while the call still rings; then waits until all is done. If
        it is void already, it does nothing."""
        if self.is_void:
            self.acted.set()
            return
        harm, prelude = self.faults[:1], self.faults[1:]
        with self._stack.faults.during(*prelude):
            harming = asyncio.create_task(self._harm(harm))
            try:
                await self._signal()
                self.acted.set()
                await self._settle()
            finally:
                self.acted.set()
                harming.cancel()
                await asyncio.wait([harming])
        if not harming.cancelled():
            harming.result()

    async def reached(self) -> None:
        """Waits until the case is where it is harmed; if it does not get there, it is void."""
        if self.is_void:
            return
        try:
            async with asyncio.timeout(_REACHED_SECONDS):
                for fault in self._held():
                    await fault.reached.wait()
        except TimeoutError:
            self.is_void = True

    def note_held(self) -> None:
        """Just before the function is killed: the call must not have been given up by then, or
        all has to be played again."""
        self.is_void |= not all(fault.is_holding for fault in self._held())

    def kill(self) -> None:
        """What was held died with the process that asked for it."""
        self._died.set()
        for fault in self.faults:
            fault.drop()

    def revive(self) -> None:
        """The function answers again."""
        self._lives_again.set()

    async def result(self) -> Played:
        """What has come by now, when nothing more is under way."""
        played = self._played
        played.faults += len(self.faults)
        played.is_harmed = not self.is_void
        for call in self.cast.calls:
            played.statuses[call] = await self._calls.status(call)
            if not await self._calls.is_delivered(call):
                played.outbox.add(call)
        for phone in (self.sender, self.bystander, *self.told):
            if phone.is_open:
                await phone.catch_up()
        played.told = [phone.told() for phone in self.told]
        played.bystanders = [self.sender.told(), self.bystander.told()]
        for hook in self._backend.about(self.cast.unique):
            if hook.type == "device.gone":
                played.gone_hooks.add(hook.path)
            elif hook.type == "push.wanted":
                played.wanted[hook.path, hook.data["userId"], hook.data["callId"]] += 1
            else:
                played.hooks[hook.path, hook.data["status"], hook.data["callId"]] += 1
        played.is_device_forgotten = await self._is_device_forgotten()
        for message in self._messages():
            data = message["data"]
            played.pushes[message["token"], data["type"], data["callId"]] += 1
        return played

    async def hang_up(self) -> None:
        await self._phones.aclose()

    # What people do

    _senders_wire = JSON

    def _faults(self) -> list[Fault]:
        return self.case.faults(self.cast)

    def _held(self) -> list[Fault]:
        return self.faults[:1]

    async def _signal(self) -> None:
        for call in self.cast.calls:
            await self._send(call)
        if self.case.catches_up:
            await self._come()

    async def _deed(self) -> None:
        """What somebody does while the remote call is held."""

    # The signal

    async def _send(self, call: str) -> None:
        for _ in range(_TRIES):
            verdict = await self._answer(call)
            self._played.verdicts.append(verdict)
            self.is_void |= self._was_too_slow(verdict)
            if verdict is None and self._died.is_set():
                await self._lives_again.wait()
            is_ringing = await self._calls.status(call) == "ringing"
            self._played.told_too_soon |= is_ringing and self._somebody_was_told(call)
            # Where the call has ended, the rest is up to the backend, unless the case is another.
            if not is_ringing and ((verdict and verdict["ok"]) or not self.case.repeats):
                return

    def _was_too_slow(self, verdict: Mapping[str, Any] | None) -> bool:
        """Whether nothing but the slow machine's time-outs can have made the verdict."""
        is_unavailable = verdict is not None and verdict["outcome"] == "unavailable"
        return is_unavailable and not self.case.harms_the_answer(self.cast)

    def _somebody_was_told(self, call: str) -> bool:
        told = Told(self.case.flow.event, call, self._played.reason)
        return any(phone.told()[told] for phone in self.told)

    async def _answer(self, call: str) -> dict[str, Any] | None:
        """The verdict; None when the function died over it, or the machine is too busy to say."""
        asked = asyncio.create_task(self._emit(call))
        if self._died.is_set():
            return await asked
        died = asyncio.create_task(self._died.wait())
        try:
            await asyncio.wait([asked, died], return_when=asyncio.FIRST_COMPLETED)
            # API Gateway's own error frame names no request: what is not here soon is lost.
            await asyncio.wait([asked], timeout=_ANSWERED_SECONDS)
            return asked.result() if asked.done() else None
        finally:
            asked.cancel()
            died.cancel()

    async def _emit(self, call: str, **data: object) -> dict[str, Any] | None:
        sender = self.app if self.case.comes_over_https else self.sender
        with suppress(TimeoutError, https.Unreachable):
            return await sender.emit(self.case.flow.signal, callId=call, **data)
        return None

    async def _ring(self, call: str) -> None:
        sender, told = self.cast.sender, self.cast.told
        is_callers = self.case.flow.told == "receiver"
        await self._calls.ring(call, *((sender, told) if is_callers else (told, sender)))

    async def _come(self) -> None:
        """Who was away connects when all is over; the harm is for the last."""
        last, *others = self.told
        told = Told(self.case.flow.event, self.cast.call, self._played.reason)
        with suppress(TimeoutError):  # what never comes is found missing in the end
            async with asyncio.timeout(self._patience):
                await self._until_all_have_it()
        await asyncio.gather(*(phone.redial(self._stack) for phone in others))
        with suppress(TimeoutError):
            for phone in others if self.faults else ():
                await phone.hears(told)
        self._is_due.set()
        await last.redial(self._stack)
        self._have_come.set()

    # What goes wrong, and when all is done

    async def _harm(self, faults: list[Fault]) -> None:
        """Arms the harm once it is due, for as long as it lasts."""
        if self.case.catches_up:
            await self._is_due.wait()
        elif self.case.point:
            await asyncio.sleep(self.case.point.due_seconds)
        with self._stack.faults.during(*faults):
            try:
                if self.case.is_held:
                    await faults[0].reached.wait()
                    if self.case.catches_up:
                        await self._have_come.wait()
                    await self._deed()
                    faults[0].release()
                    self._is_done.set()
                if self.case.harm is Harm.IS_OUT:
                    await faults[0].reached.wait()
                    await asyncio.sleep(_OUT_SECONDS)
                    faults[0].release()
                await asyncio.Event().wait()
            finally:
                if self.case.harm in (Harm.HANGS, Harm.HANGS_DONE):
                    faults[0].drop()  # what is never done is not done at the end either

    async def _settle(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                for fault in self.faults:
                    await fault.reached.wait()
                if self.case.is_held:
                    await self._is_done.wait()
                if isinstance(self.case.harm, Harm) and self.case.harm.kills:
                    await self._died.wait()
                await self._until_all_have_it()
                if self.case.catches_up:
                    for phone in self.told:
                        told = Told(self.case.flow.event, self.cast.call, self._played.reason)
                        await phone.hears(told)
        except TimeoutError:
            self._played.is_late = True
            self.is_void |= not all(fault.reached.is_set() for fault in self.faults)
        if self.case.catches_up or self.case.deed is Deed.RECONNECTS:
            # A busy machine may refuse to catch up with what was missed.
            ids = [id for id, _ in await self._connections(self.cast.told)]
            self.is_void |= self._log.said("catch-up not asked for", ids)

    async def _until_all_have_it(self) -> None:
        for call in self.cast.calls:
            await self._calls.until_delivered(call, every=0.1)
            if self.case.backend_pushes:
                await self._backend.wait_for("push.wanted", about=call, patience=self._patience)
            else:
                await self._until_pushed(call)
            await self._backend.wait_for(*WEBHOOK_PATHS, about=call, patience=self._patience)

    async def _until_pushed(self, call: str) -> None:
        """Waits until every device that can has the push."""
        expected = set(self.cast.tokens[:1] if self.case.second_token_dies else self.cast.tokens)
        while True:
            known = len(self._stack.fcm.messages)
            messages = [each for each in self._messages() if each["data"]["callId"] == call]
            if expected <= {message["token"] for message in messages}:
                return
            await self._stack.fcm.wait_for(known + 1, self._patience)

    def _messages(self) -> list[Mapping[str, Any]]:
        """What FCM has taken for this case."""
        return [each for each in self._stack.fcm.messages if self.cast.unique in each["token"]]

    async def _is_device_forgotten(self) -> bool:
        """Whether the second device was, whose token may die."""
        found = await self._documents.collection(DEVICES).document(self.cast.device(1)).get()
        return not found.exists

    @property
    def _backend(self) -> WebhookReceiver:
        assert self._stack.backend is not None
        return self._stack.backend

    async def _connections(self, user: str) -> list[tuple[str, str]]:
        """The user's open connections: id and wire."""
        connections = self._documents.collection(CONNECTIONS)
        query = connections.where(filter=FieldFilter("userId", "==", user))
        return [(found.id, found.get("wire")) async for found in query.stream()]
