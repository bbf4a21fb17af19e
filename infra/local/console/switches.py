"""What of the running stack can be broken by a switch, and what one sees then."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from infra.emulators.faults import Fault, Kind
from infra.emulators.fcm.errors import FcmError
from infra.emulators.watching import Seen
from infra.local.console.kinds import SEND, kind_of
from infra.local.stack import Stack, webhooks
from infra.local.topology import subscriptions

_FIRESTORE = ("firestore.BatchGetDocuments", "firestore.RunQuery", "firestore.Commit")
_POSTS = ("connections.POST", "connections.DELETE")
_SLOW_SECONDS = 1.5  # after 2 a function gives an attempt up
_WARM_UP_SECONDS = 15.0

# Why a switch can't be switched.
_GOOGLES = "Google's emulator can't be broken."
_ENDING = "The stack is ending."
_NO_BACKEND = "No backend is played: WEBHOOK_URLS says where webhooks go."


@dataclass(frozen=True, slots=True)
class Breaks:
    """Every one of these calls."""

    calls: tuple[str, ...]
    kind: Kind = Kind.FAIL


@dataclass(frozen=True, slots=True)
class Kills:
    """This function, until the switch is off."""

    function: str


@dataclass(frozen=True, slots=True)
class Refuses:
    """Has FCM refuse those devices for which it is switched on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One of the table."""

    name: str
    label: str
    says: str  # what happens, and what one should see
    does: Breaks | Kills | Refuses
    is_googles: bool = False  # with --google, nobody here can break it
    is_backends: bool = False  # it needs one that is played


def table(deliveries: Iterable[str]) -> tuple[Switch, ...]:
    """Every switch; `deliveries` are the names of the calls that deliver what was published."""
    return (
        Switch(
            name="firestore-slow",
            label="Firestore is slow",
            says="Each commit takes 1.5 seconds longer. Verdicts and events come later; "
            "none is lost.",
            does=Breaks(("firestore.Commit",), Kind.DELAY),
            is_googles=True,
        ),
        Switch(
            name="firestore-down",
            label="Firestore is down",
            says="Nothing is read or written. A signal is answered `unavailable` and changes "
            "nothing; sent again when this is off, it works.",
            does=Breaks(_FIRESTORE),
            is_googles=True,
        ),
        Switch(
            name="publish-fails",
            label="Publishing fails",
            says="The commit holds and open sockets are told, but nobody is pushed. The outbox "
            "entry stays pending, and sweep publishes it once this is off.",
            does=Breaks(("pubsub.Publish",)),
            is_googles=True,
        ),
        Switch(
            name="socket-posts-fail",
            label="Posts to sockets fail",
            says="API Gateway answers every post with an error. Phones are pushed; deliver tries "
            "again until this is off, and then the sockets are told.",
            does=Breaks(_POSTS),
        ),
        Switch(
            name="deliveries-fail",
            label="Deliveries fail",
            says="Pub/Sub reaches no function. Open sockets are told, pushes and webhooks wait; "
            "Pub/Sub tries again until this is off.",
            does=Breaks(tuple(deliveries)),
            is_googles=True,
        ),
        Switch(
            name="fcm-down",
            label="FCM is down",
            says="FCM answers every message with UNAVAILABLE. Sockets are told; push tries again "
            "until this is off.",
            does=Breaks((SEND,)),
        ),
        Switch(
            name="fcm-refuses",
            label="FCM refuses the device",
            says="FCM says that the app is not installed any more (UNREGISTERED). The device is "
            "removed and the backend told by a webhook, device.gone; a device that registers "
            "again is refused until this is off.",
            does=Refuses(),
        ),
        Switch(
            name="gateway-killed",
            label="gateway is killed",
            says="SIGKILL. API Gateway answers frames with an error, and nobody can connect, until "
            "this is off and gateway has started again; sweep publishes what it left behind.",
            does=Kills("gateway"),
        ),
        Switch(
            name="deliver-killed",
            label="deliver is killed",
            says="SIGKILL. Open sockets are told by gateway; who connects is told what he missed "
            "once this is off and deliver has started again.",
            does=Kills("deliver"),
        ),
        Switch(
            name="push-killed",
            label="push is killed",
            says="SIGKILL. Sockets are told, phones are not pushed. Pub/Sub tries again until this "
            "is off and push has started again.",
            does=Kills("push"),
        ),
        Switch(
            name="tasks-fail",
            label="Tasks fail",
            says="Cloud Tasks takes no task, and none that is due comes. A ring that nobody ends "
            "goes on past its time, until sweep has it ended.",
            does=Breaks(("cloudtasks.CreateTask", "task.rings")),
        ),
        Switch(
            name="webhooks-fail",
            label="Webhooks fail",
            says="The app's backend answers 503. Phones are told all the same; webhook tries again "
            "until this is off.",
            does=Breaks(("webhook.POST",)),
            is_backends=True,
        ),
    )


class NotSwitched(Exception):
    """A switch can't be switched so; the message says why."""


@dataclass(slots=True)
class _Period:
    """While something is broken, in seconds since 1970."""

    since: float
    until: float = math.inf

    def has(self, at: float | None) -> bool:
        return at is not None and self.since <= at <= self.until


@dataclass(slots=True)
class _State:
    """Of a switch. A call is looked at after it has ended, when the switch may be off again: what
    it has broken is kept until it is on again."""

    is_on: bool = False
    met: int = 0
    armed: list[Fault] = field(default_factory=list)
    parts: ExitStack = field(default_factory=ExitStack)
    periods: dict[str, _Period] = field(default_factory=dict)  # of a function, or of devices
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def broken(self) -> list[str]:
        """Of those that have periods, those that are broken now."""
        return sorted(name for name, each in self.periods.items() if each.until == math.inf)


class Switches:
    """The switches of one stack; an async context after which nothing is broken any more. What it
    has killed is not started again: the stack ends."""

    def __init__(
        self,
        stack: Stack,
        tell: Callable[[str, Any], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`tell` hears of every change; `now` is the clock that says when calls have ended."""
        self._stack = stack
        self._tell = tell
        self._now = now
        self._is_ended = False
        names = subscriptions(webhooks(stack.values))
        self._switches = {each.name: each for each in table(f"delivery.{name}" for name in names)}
        self._states = {name: _State() for name in self._switches}
        self._turning: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_ended = True
        turning = list(self._turning)
        for task in turning:
            task.cancel()
        await asyncio.gather(*turning, return_exceptions=True)
        for state in self._states.values():
            state.parts.close()
        for name, switch in self._switches.items():
            if switch.does == Refuses():
                self._refuse(self._states[name], None, on=False)

    def all(self) -> list[dict[str, Any]]:
        return [self._shown(switch) for switch in self._switches.values()]

    async def switch(self, name: str, *, on: bool, device: str | None = None) -> dict[str, Any]:
        """The switch, as the page has it. `device` is that of `fcm-refuses`; off without one is off
        for all. Raises KeyError for an unknown switch, NotSwitched and NotStarted."""
        switch, state = self._switches[name], self._states[name]
        if self._is_ended:
            raise NotSwitched(_ENDING)
        if reason := self._why_unavailable(switch):
            raise NotSwitched(reason)
        turning = asyncio.create_task(self._turn(switch, state, device, on=on))
        self._turning.add(turning)
        turning.add_done_callback(self._turning.discard)
        try:
            await asyncio.shield(turning)  # whoever asked may go away meanwhile
        except asyncio.CancelledError:
            if not turning.cancelled():
                raise
            raise NotSwitched(_ENDING) from None
        return self._shown(switch)

    def blame(self, seen: Seen) -> str | None:
        """The switch that broke a call which has ended; it has met one more."""
        for name, switch in self._switches.items():
            if self._broke(switch, self._states[name], seen):
                self._states[name].met += 1
                self._tell("fault", self._shown(switch))
                return name
        return None

    async def _turn(self, switch: Switch, state: _State, device: str | None, *, on: bool) -> None:
        async with state.lock:
            match switch.does:
                case Refuses():
                    self._refuse(state, device, on=on)
                case Breaks() as breaks if on != state.is_on:
                    self._break(breaks, state, on=on)
                case Kills(function) if on != state.is_on:
                    await self._kill(function, state, on=on)
            self._tell("fault", self._shown(switch))

    def _break(self, breaks: Breaks, state: _State, *, on: bool) -> None:
        if on:
            state.met = 0
            state.armed = [
                Fault(breaks.kind, call, times=None, seconds=_SLOW_SECONDS) for call in breaks.calls
            ]
            state.parts.enter_context(self._stack.faults.during(*state.armed))
        else:
            state.parts.close()
        state.is_on = on

    async def _kill(self, function: str, state: _State, *, on: bool) -> None:
        if on:
            state.met = 0
            state.periods[function] = _Period(self._now())
            state.is_on = True
            await self._stack.processes[function].crash()
        else:
            await self._start(function)  # and it is on until then
            state.periods[function].until = self._now()
            state.is_on = False

    async def _start(self, function: str) -> None:
        """Starts it as Cloud Run does: its first request meets open channels."""
        process = self._stack.processes[function]
        await process.start()
        async with httpx.AsyncClient(timeout=_WARM_UP_SECONDS, trust_env=False) as http:
            with suppress(httpx.HTTPError):  # another switch may keep it from its services
                await http.get(process.url)

    def _refuse(self, state: _State, device: str | None, *, on: bool) -> None:
        fcm = self._stack.fcm
        if on:
            if not device:
                raise NotSwitched("FCM refuses a device, which must be named by its token.")
            if not state.is_on:
                state.met = 0
                state.periods.clear()
            fcm.fail(device, FcmError.UNREGISTERED)
            if device not in state.broken:
                state.periods[device] = _Period(self._now())
        else:
            for each in state.broken:
                if device in (None, each):
                    fcm.heal(each)
                    state.periods[each].until = self._now()
        state.is_on = bool(state.broken)

    def _broke(self, switch: Switch, state: _State, seen: Seen) -> bool:
        if seen.fault:
            return seen.fault in state.armed
        then = [name for name, period in state.periods.items() if period.has(seen.ended)]
        if not then or seen.answer is None or not seen.answer.is_error:
            return False
        match switch.does:
            case Refuses():
                return seen.call == SEND and any(f'"{device}"' in seen.request for device in then)
            case Kills(function):
                return kind_of(seen.call).serves == function
            case Breaks():
                return False

    def _why_unavailable(self, switch: Switch) -> str | None:
        if switch.is_googles and self._stack.queue is None:
            return _GOOGLES
        if switch.is_backends and self._stack.backend is None:
            return _NO_BACKEND
        return None

    def _shown(self, switch: Switch) -> dict[str, Any]:
        state = self._states[switch.name]
        reason = self._why_unavailable(switch)
        shown: Mapping[str, Any] = {
            "name": switch.name,
            "label": switch.label,
            "says": reason or switch.says,
            "on": state.is_on,
            "available": reason is None,
            "met": state.met,
        }
        devices = {"devices": state.broken} if switch.does == Refuses() else {}
        return {**shown, **devices}
