"""The publisher, the scheduler, the sockets, the push sender, the webhooks and the identity, in
memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from functions.calls.call import ConnectionId, UserId
from functions.calls.event import CallEvent, Recipient
from functions.clients.device import Device
from functions.clients.profile import Profile
from functions.ports.identity import Identified, IdentityUnavailable, NotAuthenticated
from functions.ports.publisher import PublishFailed
from functions.ports.push_sender import PushOutcome, PushResult
from functions.ports.scheduler import NotScheduled
from functions.ports.sockets import Gone, PostFailed, Refused
from functions.ports.webhooks import NotTaken, Unwanted
from functions.published import DeviceGone, Published
from functions.scheduled import RingEnds, Scheduled
from tests.memory.network import CallFailed, Network

TOKEN_PREFIX = "token of "


@dataclass(frozen=True)
class MemoryPublisher:
    """Hands what is published to `topic`."""

    network: Network
    topic: Callable[[Published], None]

    async def publish(self, *events: Published) -> None:
        def take() -> None:
            for event in events:
                self.topic(event)

        about = " ".join(map(_named, events))
        try:
            await self.network.call("pubsub.Publish", about, take)
        except CallFailed as error:
            raise PublishFailed(str(error)) from error

    async def warm_up(self) -> None:
        """There is nothing to open."""


def _named(event: Published) -> str:
    match event:
        case CallEvent():
            return f"{event.call_id}:{event.signal_id}"
        case DeviceGone():
            return f"{event.name} {event.user_id}"
        case RingEnds():
            return f"{event.name} {event.call_id}"
        case _:
            return event.connection_id


@dataclass(frozen=True)
class MemoryScheduler:
    """Hands what is scheduled, and for when, to `queue`."""

    network: Network
    queue: Callable[[Scheduled, datetime], None]

    async def schedule(self, task: Scheduled, at: datetime) -> None:
        about = f"{task.name} {task.call_id}"
        try:
            await self.network.call("cloudtasks.CreateTask", about, lambda: self.queue(task, at))
        except CallFailed as error:
            raise NotScheduled(str(error)) from error

    async def warm_up(self) -> None:
        """There is nothing to open."""


@dataclass(frozen=True)
class MemorySockets:
    """Hands each frame to `client`, and whose socket is to close to `closed`, which reply with the
    HTTP status that API Gateway would."""

    network: Network
    client: Callable[[ConnectionId, str], int]
    closed: Callable[[ConnectionId], int]

    async def post(self, to: ConnectionId, text: str) -> None:
        try:
            status = await self.network.call(
                "connections.POST", f"{to} {text}", lambda: self.client(to, text)
            )
        except CallFailed as error:
            raise PostFailed(str(error)) from error
        match status:
            case 200:
                return
            case 410:
                raise Gone(to)
            case 400 | 413:
                raise Refused(f"HTTP {status}")
            case _:
                raise PostFailed(f"HTTP {status}", status)

    async def close(self, to: ConnectionId) -> None:
        try:
            status = await self.network.call("connections.DELETE", to, lambda: self.closed(to))
        except CallFailed as error:
            raise PostFailed(str(error)) from error
        match status:
            case 204:
                return
            case 410:
                raise Gone(to)
            case _:
                raise PostFailed(f"HTTP {status}", status)

    async def warm_up(self) -> None:
        """There is nothing to open."""


@dataclass(frozen=True)
class MemoryPushSender:
    """Hands each message to `phone`, which says what becomes of it."""

    network: Network
    phone: Callable[[Device, CallEvent, Recipient, str | None], PushOutcome]

    async def send(
        self,
        event: CallEvent,
        recipient: Recipient,
        device: Device,
        now: datetime,
        ring_token: str | None = None,
    ) -> PushResult:
        try:
            outcome = await self.network.call(
                "fcm.send",
                f"{device.address} {event.call_id}:{event.signal_id}",
                lambda: self.phone(device, event, recipient, ring_token),
            )
        except CallFailed:
            return PushResult(device, PushOutcome.FAILED, "CallFailed")
        return PushResult(device, outcome, None if outcome is PushOutcome.SENT else outcome.name)

    async def warm_up(self) -> None:
        """There is nothing to open."""


@dataclass(frozen=True)
class MemoryWebhooks:
    """Hands each webhook, its URL, id and body, to `backend`, which replies with an HTTP status."""

    network: Network
    backend: Callable[[str, str, str], int]

    async def post(self, url: str, id: str, body: str, now: datetime) -> None:
        try:
            status = await self.network.call(
                "webhook.POST", f"{url} {id} {body}", lambda: self.backend(url, id, body)
            )
        except CallFailed as error:
            raise NotTaken(str(error)) from error
        match status:
            case 204:
                return
            case 410:
                raise Unwanted(url)
            case _:
                raise NotTaken(f"HTTP {status}", status)


@dataclass
class MemoryIdentity:
    """Takes "token of USER" for USER's; while `is_down`, nobody can judge a token.

    `refused` says of tokens why they won't do, and `names`, how their users are called.
    """

    is_down: bool = False
    refused: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    verified: list[str] = field(default_factory=list)

    async def verify(self, token: str) -> Identified:
        if self.is_down:
            raise IdentityUnavailable("the keys can't be fetched")
        self.verified.append(token)
        if token in self.refused:
            raise NotAuthenticated(self.refused[token])
        if not token.startswith(TOKEN_PREFIX):
            raise NotAuthenticated("the token is not valid")
        user = UserId(token.removeprefix(TOKEN_PREFIX))
        return Identified(user, Profile.of(self.names.get(token)))

    async def warm_up(self) -> None:
        """There is nothing to fetch."""
