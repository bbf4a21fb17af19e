"""One app on one socket, on either wire: what it sends, what comes, and whose it is when."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from functions.clients.connection import Wire
from tests.memory.others import TOKEN_PREFIX
from tests.simulation.gateway import ApiGateway, Forwarded, State
from tests.simulation.handling import Handling
from tests.simulation.places import Known, Saying
from tests.simulation.stage import Stage

_PATIENCE = 20.0  # seconds that a Socket.IO client waits for its open packet
_EIO = {Wire.EIO3: "3", Wire.EIO4: "4"}


@dataclass(eq=False, slots=True)
class Spell:
    """The time for which a connection is a user's, from what asked for it to a goodbye.

    `asked` and `left` are when API Gateway got what began and what ended it, in milliseconds.
    """

    user: str
    asked: int
    asking: Handling
    admitted_at: float | None = None  # when the client was told
    left: int | None = None
    left_at: float | None = None
    goodbye: Handling | None = None  # None also where nobody is told of the end

    @property
    def is_on(self) -> bool:
        return self.admitted_at is not None and self.left_at is None

    def over_since(self) -> float | None:
        """When the goodbye had been handled, if nothing went wrong."""
        goodbye = self.goodbye
        return goodbye.ended if goodbye and not goodbye.harms else None


@dataclass(eq=False, slots=True)
class Said:
    """A frame that asks for something: a signal of `call`, or of a device where that is None."""

    number: int
    phone: "Phone"
    spell: Spell
    name: str
    call: str | None
    what: str  # the reason of a signal, or the note of a ring, which no other has; or a token
    sent: int  # when API Gateway got it, in milliseconds
    device: str | None = None  # on which its sender says that he is
    receiver: str | None = None  # of a ring
    seconds: int = 30  # for which a ring is to go on
    handling: Handling | None = None
    signal_id: str | None = None
    commit: Any = None  # what it changed, once it has

    def __str__(self) -> str:
        return f"{self.name} of {self.call or self.what} by {self.spell.user} ({self.what})"


class Witness(Protocol):
    """Sees what comes of what phones do."""

    def told(
        self, phone: "Phone", event: str, data: dict[str, Any], by: Handling, *, heard: bool
    ) -> None: ...
    def answered(self, said: Said, verdict: dict[str, Any] | None) -> None: ...


class Phone:
    """`lost` is called when the server's words or its silence make the app connect anew. It may say
    on which `device` it is as it connects: in its handshake, or in Socket.IO's CONNECT."""

    def __init__(
        self,
        stage: Stage,
        gateway: ApiGateway,
        witness: Witness,
        user: str,
        wire: Wire,
        lost: Callable[["Phone"], None],
        device: str | None = None,
    ) -> None:
        self._stage = stage
        self._gateway = gateway
        self._witness = witness
        self._lost = lost
        self.user = user
        self.wire = wire
        self.device = device
        self._names_late = wire is Wire.EIO4 and stage.chance(0.5)
        # As the server may know it: what the app calls its device, and which token is on it.
        self.name = Known(None if self._names_late else device)
        self.registered = Known()
        self.spells: list[Spell] = []
        self._is_opened = wire is Wire.JSON  # has had its open packet
        self.gone_at: float | None = None  # since when nobody reads what comes
        self.closing: Handling | None = None  # of its `$disconnect`, if there was one
        headers = {"unring-token": TOKEN_PREFIX + user}
        if self.name.first:
            headers["unring-device-id"] = self.name.first
        if wire is not Wire.JSON:
            headers |= {"unring-eio": _EIO[wire], "unring-transport": "websocket"}
            stage.later(_PATIENCE, self._give_up)
        self.socket, self.handshake = gateway.connect(self, headers)
        if wire is not Wire.EIO4:
            self._begin(user, self.handshake)

    def __str__(self) -> str:
        return f"{self.user}'s {self.socket.id} ({self.wire})"

    @property
    def spell(self) -> Spell | None:
        return self.spells[-1] if self.spells else None

    @property
    def is_on(self) -> bool:
        """Whether it is a user's, as far as it knows."""
        return self.gone_at is None and bool(self.spell and self.spell.is_on)

    @property
    def is_reading(self) -> bool:
        return self.gone_at is None and self.socket.state is State.OPEN

    def is_surely(self, user: str, first: float, last: float) -> bool:
        """Whether it was `user`'s for all of this time."""
        return any(
            spell.user == user
            and spell.admitted_at is not None
            and spell.admitted_at < first
            and (spell.left_at is None or spell.left_at > last)
            for spell in self.spells
        )

    # What it does

    def say(self, name: str, call: str | None, what: str, data: dict[str, Any]) -> Said:
        assert self.spell
        number = self._stage.number()
        sent, device = self._stage.loop.milliseconds(), data.get("deviceId")
        said = Said(number, self, self.spell, name, call, what, sent, device)
        if name == "call:initiate":
            said.receiver = data["receiverId"]
            said.seconds = data.get("ringSeconds", said.seconds)
        is_json = self.wire is Wire.JSON
        frame = {"event": name, "data": data, "id": number} if is_json else [name, data]
        text = json.dumps(frame) if is_json else f"42{number}{json.dumps(frame)}"
        forwarded = self._gateway.send(self.socket, text, said, partial(self._answered, said))
        said.handling = forwarded.handling
        if name == "device:register":
            self._note(self.registered, what, said.handling)
            if device:
                self._note(self.name, device, said.handling)
        return said

    def come_back(self, user: str) -> None:
        """CONNECT again on the same socket, as Swift's client does."""
        self.user = user
        self._connect()

    def leave(self, packet: str) -> None:
        """A goodbye of Socket.IO; the socket stays open."""
        self._end(self._gateway.send(self.socket, packet))

    def hang_up(self) -> None:
        self.gone_at = self._stage.now if self.gone_at is None else self.gone_at
        closing = self._gateway.close(self.socket)
        if closing:
            self.closing = closing.handling
        self._end(closing)

    def die(self, noticed: float) -> None:
        """Without a goodbye; API Gateway notices so many seconds later."""
        self.gone_at = self._stage.now
        self.socket.is_half_open = True
        self._stage.later(noticed, self.hang_up)

    # What comes

    def opened(self) -> None:
        if self.wire is Wire.JSON:
            self._admitted()

    def refused(self, status: int) -> None:
        self.gone_at = self._stage.now
        if status >= 500:
            self._lost(self)

    def ended(self) -> None:
        """API Gateway has closed the socket."""
        self.hang_up()

    def receive(self, text: str, told_by: Handling | None) -> None:
        if self.wire is Wire.JSON:
            frame = json.loads(text)
            if frame.get("event") not in (None, "ack"):
                self._told(frame["event"], frame["data"], told_by, heard=True)
        elif text.startswith("0"):
            is_first, self._is_opened = not self._is_opened, True
            if is_first and self.wire is Wire.EIO4:
                self._connect()
        elif text.startswith("40"):
            self._admitted()
        elif text.startswith("42"):
            event, data = json.loads(text[2:])
            self._told(event, data, told_by, heard=self._is_opened)
        elif text == "41":  # it does not connect again by itself
            self.hang_up()
        elif text.startswith("44") or text[0] not in "436":
            self.hang_up()
            self._lost(self)

    def _told(self, event: str, data: dict[str, Any], by: Handling | None, *, heard: bool) -> None:
        if by:
            self._witness.told(self, event, data, by, heard=heard)

    # Between the two

    def _connect(self) -> None:
        auth = {"token": TOKEN_PREFIX + self.user}
        if self._names_late and self.device:
            auth["deviceId"] = self.device
        asked = self._gateway.send(self.socket, f"40{json.dumps(auth)}")
        self._begin(self.user, asked)
        if "deviceId" in auth:
            self._note(self.name, auth["deviceId"], asked.handling)

    def _begin(self, user: str, asked: Forwarded) -> None:
        self.spells.append(Spell(user, asked.milliseconds, asked.handling))

    def _admitted(self) -> None:
        if self.spell and self.spell.admitted_at is None:
            self.spell.admitted_at = self._stage.now
            self._confirm(self.spell.asking)
            self._stage.say(self, "is admitted")

    def _note(self, known: Known, value: str, handling: Handling) -> None:
        known.sayings.append(Saying(value, self._stage.now, handling))

    def _confirm(self, handling: Handling) -> None:
        """What was said of the device by that frame is stored."""
        for saying in (*self.name.sayings, *self.registered.sayings):
            if saying.handling is handling:
                saying.done_at = self._stage.now

    def _end(self, goodbye: Forwarded | None) -> None:
        spell = self.spell
        if spell is None or spell.left_at is not None:
            return
        spell.left_at = self._stage.now
        spell.left = goodbye.milliseconds if goodbye else self._stage.loop.milliseconds()
        spell.goodbye = goodbye.handling if goodbye else None

    def _give_up(self) -> None:
        if not self._is_opened and self.gone_at is None:
            self.hang_up()
            self._lost(self)

    def _answered(self, said: Said, reply: str | None) -> None:
        verdict = _verdict(self.wire, reply) if reply else None
        if verdict and verdict["ok"] and said.handling:
            self._confirm(said.handling)
        self._witness.answered(said, verdict)


def _verdict(wire: Wire, reply: str) -> dict[str, Any]:
    if wire is Wire.JSON:
        return dict(json.loads(reply)["data"])
    if not reply.startswith("43"):
        return {"ok": False, "outcome": "invalid"}  # the frame that makes it connect anew
    return dict(json.loads(reply[reply.index("[") :])[0])
