"""Who is at the other end of the sockets, of FCM and of webhooks in memory."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from functions.calls.call import ConnectionId
from functions.calls.event import CallEvent, Recipient
from functions.clients.device import Device
from functions.ports.push_sender import PushOutcome


@dataclass
class Clients:
    """`answers` has, for each connection id, the statuses of its next posts; then it is 200, until
    its socket is closed."""

    posts: list[tuple[str, str]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    answers: dict[str, list[int]] = field(default_factory=dict)

    def posted_to(self, connection: str) -> list[str]:
        return [text for id, text in self.posts if id == connection]

    def take(self, connection: ConnectionId, text: str) -> int:
        if connection in self.closed:
            return 410
        left = self.answers.get(connection)
        status = left.pop(0) if left else 200
        if status == 200:
            self.posts.append((connection, text))
        return status

    def close(self, connection: ConnectionId) -> int:
        if connection in self.closed:
            return 410
        self.closed.append(connection)
        return 204


@dataclass(frozen=True)
class Message:
    """What a phone got."""

    token: str
    event: CallEvent
    recipient: Recipient
    ring_token: str | None = None


@dataclass
class Phones:
    """Take every message, but for those of the tokens that are to fail."""

    messages: list[Message] = field(default_factory=list)
    _failing: dict[str, PushOutcome] = field(default_factory=dict)
    _attempts: Counter[str] = field(default_factory=Counter)

    @property
    def tokens(self) -> list[str]:
        """The tokens of the messages, oldest first."""
        return [message.token for message in self.messages]

    def attempts(self, token: str) -> int:
        return self._attempts[token]

    def fail(self, token: str, outcome: PushOutcome) -> None:
        """All messages to `token` end so."""
        self._failing[token] = outcome

    def heal(self) -> None:
        self._failing.clear()

    def take(
        self, device: Device, event: CallEvent, recipient: Recipient, ring_token: str | None = None
    ) -> PushOutcome:
        self._attempts[device.address] += 1
        outcome = self._failing.get(device.address, PushOutcome.SENT)
        if outcome is PushOutcome.SENT:
            self.messages.append(Message(device.address, event, recipient, ring_token))
        return outcome


@dataclass(frozen=True)
class Hook:
    """A webhook that a backend took."""

    url: str
    id: str
    content: Any

    @property
    def type(self) -> str:
        return str(self.content["type"])

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = self.content["data"]
        return data


@dataclass
class Backend:
    """Takes every webhook, but for the next, which are answered with `answers`."""

    taken: list[Hook] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    asked: int = 0

    def take(self, url: str, id: str, body: str) -> int:
        self.asked += 1
        status = self.answers.pop(0) if self.answers else 204
        if status == 204:
            self.taken.append(Hook(url, id, json.loads(body)))
        return status
