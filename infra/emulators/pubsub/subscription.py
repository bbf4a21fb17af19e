"""One subscription at work: what it has yet to see acknowledged, and when that is tried again."""

import asyncio
import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

import grpc
from google.pubsub_v1 import types

from infra.emulators.pubsub.filters import Attributes, compile_filter
from infra.emulators.pubsub.rules import Refused, invalid

_log = logging.getLogger(__name__)

_ACK_ID = re.compile(r"\d+-\d+")
# How the service holds back from a failing push endpoint that has no retry policy, in seconds.
_PUSH_BACKOFF = (0.1, 60.0)
# How long a Pull waits for a first message before it answers with none, in seconds.
_PULL_WAIT = 10.0


def backoff(config: types.Subscription, failures: int) -> float:
    """Seconds between the last of that many failures and the next attempt."""
    if "retry_policy" in config:
        policy = config.retry_policy
        shortest: float = policy.minimum_backoff.total_seconds()
        longest: float = policy.maximum_backoff.total_seconds()
    elif config.push_config.push_endpoint:
        shortest, longest = _PUSH_BACKOFF
    else:
        return 0.0
    # The exponent is bounded: 2.0 ** 1024 is an OverflowError.
    return float(min(shortest * 2.0 ** min(failures - 1, 64), longest))


@dataclass(frozen=True, slots=True)
class Message:
    """A published message; `published` is when the topic took it, in UTC."""

    id: str
    data: bytes
    attributes: Attributes
    published: datetime
    ordering_key: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way to one subscription; `attempt` counts from 1."""

    message: Message
    attempt: int = 1

    @property
    def ack_id(self) -> str:
        return f"{self.message.id}-{self.attempt}"


class Post(Protocol):
    """Posts a delivery to the push endpoint; true if that acknowledged it in `deadline` seconds."""

    async def __call__(
        self, config: types.Subscription, delivery: Delivery, deadline: float
    ) -> bool: ...


@dataclass(slots=True)
class Terms:
    """How much of what a stream has leased may be unacknowledged, 0 for any; and how long a lease
    is, in seconds."""

    messages: int
    size: int  # bytes of data
    seconds: int = 0

    def allow_more(self, leased: Mapping[str, int]) -> bool:
        """`leased` are the sizes of what is unacknowledged."""
        if 0 < self.messages <= len(leased):
            return False
        return not 0 < self.size <= sum(leased.values())


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a subscription needs of the server around it."""

    post: Post
    bury: Callable[[types.Subscription, Delivery], bool]
    """Publishes to the dead-letter topic; false if that is gone."""
    settled: Callable[[], None]
    """Called whenever a message is done with."""
    second: float
    """Real seconds that a second of back-off or ack deadline lasts."""


class Subscription:
    """Messages wait here until they are acknowledged, pushed or pulled as `config` says."""

    def __init__(self, config: types.Subscription, surroundings: Surroundings) -> None:
        self.config = config
        self._around = surroundings
        self._matches = compile_filter(config.filter)
        self._outstanding: set[str] = set()
        self._ready: deque[Delivery] = deque()
        self._changed = asyncio.Event()
        self._leases: dict[str, tuple[Delivery, asyncio.TimerHandle]] = {}
        self._backing_off: dict[str, asyncio.TimerHandle] = {}
        self._posts: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def pushes(self) -> bool:
        return bool(self.config.push_config.push_endpoint)

    @property
    def outstanding(self) -> int:
        """How many messages are neither acknowledged nor dead-lettered yet."""
        return len(self._outstanding)

    def add(self, message: Message) -> None:
        """Takes a message for delivery; one that the filter does not match counts as acked."""
        if self._matches(message.attributes):
            self._outstanding.add(message.id)
            self._offer(Delivery(message))

    def reconfigure(self, config: types.Subscription) -> None:
        """From now on `config` holds; what waited to be pulled is pushed if that is its wish."""
        self.config = config
        waiting, self._ready = self._ready, deque()
        for delivery in waiting:
            self._offer(delivery)
        self._changed.set()
        self._around.settled()

    async def pull(self, limit: int, *, at_once: bool) -> list[Delivery]:
        """Leases up to `limit` messages for the ack deadline; may be empty after a wait."""
        self._refuse_if_pushing()
        if not at_once:
            with suppress(TimeoutError):
                await self._wait_for_a_message()
        leased = [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]
        for delivery in leased:
            self._lease(delivery, self.config.ack_deadline_seconds)
        return leased

    async def stream(self, terms: Terms) -> AsyncIterator[Delivery]:
        """Leases one message after the other, as `terms` allow; it ends only by being refused."""
        leased: dict[str, int] = {}
        while True:
            self._refuse_if_closed()
            self._refuse_if_pushing()
            leased = {ack_id: size for ack_id, size in leased.items() if ack_id in self._leases}
            if self._ready and terms.allow_more(leased):
                delivery = self._ready.popleft()
                self._lease(delivery, terms.seconds)
                leased[delivery.ack_id] = len(delivery.message.data)
                yield delivery
            else:
                self._changed.clear()
                await self._changed.wait()

    def acknowledge(self, ack_ids: Sequence[str]) -> None:
        """Done with these; an ack id whose lease has ended is ignored, as the service may."""
        for delivery in self._returned(ack_ids):
            self._done(delivery)

    def modify_ack_deadline(self, ack_ids: Sequence[str], seconds: int) -> None:
        """Leases these for `seconds` from now; 0 gives them back, to be delivered again."""
        if not 0 <= seconds <= 600:
            raise invalid("ack_deadline_seconds is not between 0 and 600")
        for delivery in self._returned(ack_ids):
            if seconds:
                self._lease(delivery, seconds)
            else:
                self._failed(delivery)

    async def close(self) -> None:
        """Stops every delivery and forgets every message."""
        self._closed = True
        for timer in [*self._backing_off.values(), *(timer for _, timer in self._leases.values())]:
            timer.cancel()
        posts = list(self._posts)
        for post in posts:
            post.cancel()
        await asyncio.gather(*posts, return_exceptions=True)
        self._ready.clear()
        self._leases.clear()
        self._backing_off.clear()
        self._outstanding.clear()
        self._changed.set()
        self._around.settled()

    def _offer(self, delivery: Delivery) -> None:
        if self.pushes:
            post = asyncio.create_task(self._push(delivery))
            self._posts.add(post)
            post.add_done_callback(self._posts.discard)
        else:
            self._ready.append(delivery)
            self._changed.set()

    async def _push(self, delivery: Delivery) -> None:
        deadline = self.config.ack_deadline_seconds * self._around.second
        if await self._around.post(self.config, delivery, deadline):
            self._done(delivery)
        else:
            self._failed(delivery)

    async def _wait_for_a_message(self) -> None:
        async with asyncio.timeout(_PULL_WAIT * self._around.second):
            while not self._ready and not self._closed:
                self._changed.clear()
                await self._changed.wait()
        self._refuse_if_closed()

    def _lease(self, delivery: Delivery, seconds: int) -> None:
        timer = asyncio.get_running_loop().call_later(
            seconds * self._around.second, self._expired, delivery.ack_id
        )
        self._leases[delivery.ack_id] = (delivery, timer)

    def _expired(self, ack_id: str) -> None:
        delivery, _ = self._leases.pop(ack_id)
        self._changed.set()
        self._failed(delivery)

    def _returned(self, ack_ids: Sequence[str]) -> Iterable[Delivery]:
        """The deliveries that these ack ids still lease, their leases ended."""
        self._refuse_if_pushing()
        if not ack_ids:
            raise invalid("The request names no ack id")
        for ack_id in ack_ids:
            if not _ACK_ID.fullmatch(ack_id):
                raise invalid(f"You have passed an invalid ack ID: {ack_id!r}")
        returned = []
        for ack_id in ack_ids:
            if ack_id in self._leases:
                delivery, timer = self._leases.pop(ack_id)
                timer.cancel()
                returned.append(delivery)
        self._changed.set()
        return returned

    def _failed(self, delivery: Delivery) -> None:
        """A nack, or no ack in time: to the dead letters if it was the last time, else again."""
        config = self.config
        if (
            "dead_letter_policy" in config
            and delivery.attempt >= config.dead_letter_policy.max_delivery_attempts
            and self._around.bury(config, delivery)
        ):
            _log.info("dead letter: message %s of %s", delivery.message.id, config.name)
            self._done(delivery)
            return
        again = replace(delivery, attempt=delivery.attempt + 1)
        delay = backoff(config, delivery.attempt) * self._around.second
        self._backing_off[again.ack_id] = asyncio.get_running_loop().call_later(
            delay, self._retry, again
        )

    def _retry(self, delivery: Delivery) -> None:
        del self._backing_off[delivery.ack_id]
        self._offer(delivery)

    def _done(self, delivery: Delivery) -> None:
        self._outstanding.discard(delivery.message.id)
        self._around.settled()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise Refused(grpc.StatusCode.NOT_FOUND, "The subscription was deleted")

    def _refuse_if_pushing(self) -> None:
        if self.pushes:
            raise Refused(
                grpc.StatusCode.FAILED_PRECONDITION, "A push subscription is not for pulling"
            )
