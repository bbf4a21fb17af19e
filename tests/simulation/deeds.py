"""What people do, and what befalls them: each deed is drawn from the dice as it is done."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any

from functions.calls.call import Call, CallId, SignalId, Status, UserId
from functions.calls.event import CallEvent
from functions.calls.ring import Ring
from functions.clients.connection import Wire
from functions.clients.device import Platform
from functions.ports.push_sender import PushOutcome
from tests.proof.races.model import RULES
from tests.simulation.model import CANCELS, INITIATE
from tests.simulation.phone import Phone, Said
from tests.simulation.world import World


class Deeds:
    def __init__(self, world: World, dice: Random, users: Sequence[str]) -> None:
        self._world = world
        self._dice = dice
        self._users = users
        self._said: list[Said] = []
        self._calls = 0
        self._wanted: dict[str, Call] = {}  # those that callers have initiated, as they want them
        self._tokens = 0

    def all(self) -> dict[Callable[[], None], int]:
        """With how often each is done, compared with the others."""
        return {
            self._ring: 9,
            self._signal: 12,
            self._initiate: 8,
            self._initiate_again: 3,
            self._give_up: 6,
            self._cancel_first: 3,
            self._vanish: 3,
            self._ring_of_ours: 4,
            self._race_for_the_end: 4,
            self._race: 6,
            self._end_all: 4,
            self._signal_and_goodbye: 4,
            self._repeat: 4,
            self._ring_again: 4,
            self._move_on: 2,
            self._connect: 4,
            self._goodbye: 3,
            self._speak_on: 1,
            self._come_back: 3,
            self._die: 1,
            self._register: 3,
            self._unregister: 1,
            self._fall_ill: 1,
            self._kill: 2,
        }

    # The app's backend

    def _ring(self) -> None:
        caller, receiver = self._dice.sample(self._users, 2)
        if self._dice.random() < 0.03:
            receiver = caller
        self._calls += 1
        id = CallId(f"call{self._calls}")
        call = Call(id, UserId(caller), UserId(receiver), Status.RINGING, None, self._ends())
        self._world.database.put_call(call)

    def _ring_of_ours(self) -> None:
        """One that ends by itself."""
        caller, receiver = self._dice.sample(self._users, 2)
        self._calls += 1
        id, ring = CallId(f"call{self._calls}"), SignalId(f"ring{self._calls}")
        now, seconds = self._world.stage.loop.now(), self._dice.choice((5, 5, 10, 30))
        wanted = Ring(id, UserId(caller), UserId(receiver), seconds, None, is_told=True)
        call = wanted.begun(ring, now, None)
        self._world.database.put_call(call)
        self._world.topic.begin(CallEvent.of_ring(call, ring, now))

    def _race_for_the_end(self) -> None:
        """Signals just when the ring's time is over."""
        call = self._stored()
        if call and call.is_ours and call.rings_until:
            left = call.rings_until - self._world.stage.loop.now()
            for _ in range(self._dice.randint(1, 3)):
                pause = max(left.total_seconds() + self._dice.uniform(-0.03, 0.08), 0.0)
                self._world.stage.later(pause, partial(self._say, call, *self._likely(call)))

    def _ring_again(self) -> None:
        call = self._stored()
        if call is None or call.status is Status.RINGING:
            return
        # The document may be written anew, or only its status.
        signal_id = self._dice.choice((None, call.signal_id))
        again = replace(
            call,
            status=Status.RINGING,
            signal_id=signal_id,
            rings_until=self._ends(),
            is_ours=False,  # from now on its end is up to the backend
            ring_seconds=None,
        )
        self._world.database.put_call(again)

    def _move_on(self) -> None:
        call = self._stored()
        after = {Status.RINGING: Status.MISSED, Status.ACCEPTED: Status.ENDED}
        if call and call.status in after:
            self._world.database.put_call(replace(call, status=after[call.status]))

    def _ends(self) -> datetime | None:
        roll = self._dice.random()
        if roll < 0.4:
            return None
        return self._world.stage.loop.now() + timedelta(seconds=self._dice.uniform(-10, 70))

    def _call(self) -> Call | None:
        """One that there is, or that somebody wants, a new one as a rule."""
        if not self._calls:
            return None
        back = min(int(self._dice.expovariate(0.7)), self._calls - 1)
        return self._known(CallId(f"call{self._calls - back}"))

    def _stored(self) -> Call | None:
        call = self._call()
        return self._world.database.call(call.id) if call else None

    def _known(self, id: CallId) -> Call:
        return self._world.database.call(id) or self._wanted[id]

    # Rings that callers ask for

    def _initiate(self) -> None:
        call = self._want()
        self._say(call, INITIATE, call.caller)

    def _initiate_again(self) -> None:
        """The same, or what is another's."""
        if call := self._call():
            if self._dice.random() < 0.1:
                call = replace(call, receiver=UserId(self._dice.choice(self._users)))
            is_other = self._dice.random() < 0.1
            self._say(call, INITIATE, self._dice.choice(self._users) if is_other else call.caller)

    def _give_up(self) -> None:
        """The caller, or the receiver, as soon as it rings or before; meanwhile phones wake up."""
        call = self._want()
        self._say(call, INITIATE, call.caller)
        for _ in range(self._dice.randint(1, 2)):
            name, sender = self._dice.choice(
                (*((name, call.caller) for name in CANCELS), self._allowed(call))
            )
            self._soon(partial(self._say, call, name, sender))
        if self._dice.random() < 0.5:
            self._soon(self.connecting(call.receiver))

    def _soon(self, do: Callable[[], object]) -> None:
        dice = self._dice
        pause = dice.choice((0.0, dice.uniform(0, 0.05), dice.uniform(0, 0.5)))
        self._world.stage.later(pause, do)

    def _cancel_first(self) -> None:
        call, dice = self._want(), self._dice
        self._say(call, dice.choice(CANCELS), call.caller)
        pauses = (0.0, dice.uniform(0, 0.03), dice.uniform(0, 5), dice.uniform(50, 65))
        (pause,) = dice.choices(pauses, (3, 3, 2, 1))
        self._world.stage.later(pause, partial(self._say, call, INITIATE, call.caller))

    def _vanish(self) -> None:
        """The caller, whose ring goes on; he may come back."""
        call, dice = self._want(), self._dice
        said = self._say(call, INITIATE, call.caller, seconds=30)
        pause = dice.choice((0.0, dice.uniform(0, 0.05), dice.uniform(0, 3)))
        others = [phone for phone in self._on(call.caller) if said and phone is not said.phone]
        for phone in [said.phone, *others] if said else ():
            self._world.stage.later(pause, partial(self._drop, phone))
            pause += dice.choice((0.0, dice.uniform(0, 0.5), dice.uniform(0, 8)))
        if said and dice.random() < 0.4:
            self._world.stage.later(dice.uniform(0.3, 18), self.connecting(call.caller))

    def _drop(self, phone: Phone) -> None:
        if phone.gone_at is not None:
            return
        if self._dice.random() < 0.3:
            phone.die(noticed=self._dice.uniform(0.5, 8))
        else:
            phone.hang_up()

    def _want(self) -> Call:
        """A new call of somebody who is there, if anybody is."""
        there = sorted({phone.user for phone in self._on()}) or self._users
        caller = self._dice.choice(there)
        others = [user for user in self._users if user != caller]
        receiver = caller if self._dice.random() < 0.03 else self._dice.choice(others)
        self._calls += 1
        id = CallId(f"call{self._calls}")
        self._wanted[id] = Call(id, UserId(caller), UserId(receiver), Status.RINGING)
        return self._wanted[id]

    # Signals

    def _signal(self) -> None:
        if call := self._call():
            self._say(call, *self._likely(call))

    def _likely(self, call: Call) -> tuple[str, str]:
        """A signal, and who sends it: as a rule one who may."""
        name, sender = self._allowed(call)
        return name, sender if self._dice.random() < 0.85 else self._dice.choice(self._users)

    def _allowed(self, call: Call) -> tuple[str, str]:
        """A signal, and who may send it."""
        name = self._dice.choice(list(RULES))
        return name, getattr(call, self._dice.choice(RULES[name]).sender)

    def _say(self, call: Call, name: str, sender: str, seconds: int | None = None) -> Said | None:
        phones = self._on(sender)
        if not phones:
            self.connecting(sender)()
            return None
        said = self._says(self._dice.choice(phones), call, name, seconds)
        self._said.append(said)
        return said

    def _says(self, phone: Phone, call: Call, name: str, seconds: int | None = None) -> Said:
        number = self._world.stage.number()
        if name == INITIATE:
            what = f"note{number}."
            seconds = seconds or self._dice.choice((None, 5, 10, 20, 30))
            wanted = {"receiverId": call.receiver, "note": what}
            data: dict[str, Any] = {**wanted, "ringSeconds": seconds} if seconds else wanted
        else:
            what = f"reason{number}."
            data = {"reason": what}
        said = phone.say(name, call.id, what, {"callId": call.id, **data, **self._named(phone)})
        self._world.witness.asked(said)
        return said

    def _race(self) -> None:
        call = self._call()
        for _ in range(self._dice.randint(2, 4) if call else 0):
            assert call
            signal = self._likely(call)
            pause = self._dice.choice((0.0, self._dice.uniform(0, 0.03)))
            self._world.stage.later(pause, partial(self._say, call, *signal))

    def _end_all(self) -> None:
        """All that ring, at once: then several events of one user may be in retry."""
        for number in range(1, self._calls + 1):
            call = self._world.database.call(CallId(f"call{number}"))
            if call and call.status is Status.RINGING:
                self._say(call, *self._allowed(call))

    def _signal_and_goodbye(self) -> None:
        call = self._call()
        said = self._say(call, *self._likely(call)) if call else None
        if said and said.phone.is_on:
            self._leave(said.phone)

    def _repeat(self) -> None:
        if self._said:
            said = self._dice.choice(self._said[-4:])
            self._say(self._known(CallId(str(said.call))), said.name, said.spell.user)

    # Connections

    def connecting(self, user: str) -> Callable[[], None]:
        wire = self._dice.choice(list(Wire))
        device = self._device(user) if self._dice.random() < 0.5 else None
        return partial(self._world.connect, user, wire, device)

    def _device(self, user: str) -> str:
        """What the app calls it. Two are enough for several sockets on one of them."""
        return f"{user}'s {self._dice.choice(('phone', 'tablet'))}"

    def _named(self, phone: Phone) -> dict[str, str]:
        """The device as some frames name it."""
        if self._dice.random() < 0.6:
            return {}
        return {"deviceId": phone.device or self._device(phone.user)}

    def _connect(self) -> None:
        self.connecting(self._dice.choice(self._users))()

    def _goodbye(self) -> None:
        if phones := self._on():
            self._leave(self._dice.choice(phones))

    def _leave(self, phone: Phone) -> None:
        later = self._world.stage.later
        if phone.wire is Wire.JSON or self._dice.random() < 0.2:
            phone.hang_up()
            return
        packet = self._dice.choice(("41", "41", "1"))
        phone.leave(packet)
        if packet == "1" or self._dice.random() < 0.5:
            later(self._dice.choice((0.0, self._dice.uniform(0, 0.05))), phone.hang_up)

    def _speak_on(self) -> None:
        """On a socket that stayed open after its goodbye."""
        call, phones = self._call(), self._left()
        if call and phones:
            name = INITIATE if self._dice.random() < 0.2 else self._likely(call)[0]
            self._says(self._dice.choice(phones), call, name)

    def _come_back(self) -> None:
        phones = [phone for phone in self._left() if phone.wire is Wire.EIO4]
        if phones:
            phone = self._dice.choice(phones)
            is_other = self._dice.random() < 0.4
            phone.come_back(self._dice.choice(self._users) if is_other else phone.user)

    def _die(self) -> None:
        if phones := self._on():
            self._dice.choice(phones).die(noticed=self._dice.uniform(0.5, 45))

    def _on(self, user: str | None = None) -> list[Phone]:
        phones = self._world.phones
        return [each for each in phones if each.is_on and user in (None, each.user)]

    def _left(self) -> list[Phone]:
        now = self._world.stage.now
        return [
            each
            for each in self._world.phones
            if each.is_reading
            and each.spell
            and each.spell.left_at is not None
            and each.spell.left_at + 0.002 < now
        ]

    # Devices and instances

    def _register(self) -> None:
        self.registers(self._dice.choice(self._users))

    def registers(self, user: str) -> None:
        known = list(self._world.devices.claims)
        if known and self._dice.random() < 0.3:
            token = self._dice.choice(known)  # again, or after somebody else
        else:
            self._tokens += 1
            token = f"token{self._tokens}"
        platform = self._dice.choice(list(Platform))
        data = {"token": token, "platform": platform.value}
        self._of_device("device:register", user, token, data)

    def _unregister(self) -> None:
        if known := list(self._world.devices.claims):
            token = self._dice.choice(known)
            user = self._dice.choice(self._users)
            self._of_device("device:unregister", user, token, {"token": token})

    def _of_device(self, name: str, user: str, token: str, data: dict[str, str]) -> None:
        if phones := self._on(user):
            phone = self._dice.choice(phones)
            named = self._named(phone) if name == "device:register" else {}
            runs = Platform(data["platform"]) if "platform" in data else None
            self._world.devices.asked(phone.say(name, None, token, {**data, **named}), runs)

    def _fall_ill(self) -> None:
        if known := list(self._world.devices.claims):
            outcome = self._dice.choice((PushOutcome.DEAD, PushOutcome.REFUSED))
            self._world.devices.fall_ill(self._dice.choice(known), outcome)

    def _kill(self) -> None:
        if self._world.weather.is_bad(self._world.stage.now):
            function = self._dice.choice(("gateway", "deliver", "push", "ring", "sweep"))
            self._world.functions.kill(function)
