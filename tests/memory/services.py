"""All that the core meets, in memory, and one journal of the calls to it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from functions.calls.transitions import PushPolicy
from functions.delivery.commit import Committer
from functions.delivery.signaling import Signaling
from functions.published import Published
from functions.scheduled import Scheduled
from functions.services.transports import Transports
from infra.emulators.faults import Broken, Faults
from tests.memory.clients import Backend, Clients, Phones
from tests.memory.database import Database
from tests.memory.network import CallFailed
from tests.memory.others import (
    MemoryIdentity,
    MemoryPublisher,
    MemoryPushSender,
    MemoryScheduler,
    MemorySockets,
    MemoryWebhooks,
)
from tests.memory.store import memory_store
from tests.memory.world import MemoryWorld
from tests.support.journal import Journal
from tests.support.makers import CODECS, now

# What is not answered by then is given up, as the adapters do, each after a while of its own.
_GIVEN_UP_SECONDS = 5.0

_Reply = TypeVar("_Reply")
_Kind = TypeVar("_Kind", bound=Published)


@dataclass(frozen=True)
class Watched:
    """A network that notes every call under its service's own name for it, "Commit", and breaks
    those of which `faults` says so, "firestore.Commit"."""

    journal: Journal
    faults: Faults

    async def call(self, name: str, about: str, serve: Callable[[], _Reply]) -> _Reply:
        async def served() -> _Reply:
            await asyncio.sleep(0)  # others go on meanwhile
            return serve()

        noted = name.partition(".")[2]
        self.journal.start(noted)
        try:
            async with asyncio.timeout(_GIVEN_UP_SECONDS):
                return await self.faults.around(name, lambda: about, served)
        except (Broken, TimeoutError) as error:
            raise CallFailed(str(error) or "not answered in time") from error
        finally:
            self.journal.end(noted)


class Services:
    """The services of one test."""

    def __init__(self) -> None:
        self.journal, self.faults = Journal(), Faults()
        self.clients, self.phones, self.backend = Clients(), Phones(), Backend()
        self.topic: list[Published] = []
        self.queue: list[tuple[Scheduled, datetime]] = []
        network = Watched(self.journal, self.faults)
        self.database = Database(now)
        self.store = memory_store(self.database, network)
        self.world = MemoryWorld(self.database, self.store)
        self.websockets = MemorySockets(network, self.clients.take, self.clients.close)
        self.sockets = Transports(self.websockets, self.store, now)
        self.publisher = MemoryPublisher(network, self.topic.append)
        self.scheduler = MemoryScheduler(network, lambda *task: self.queue.append(task))
        self.sender = MemoryPushSender(network, self.phones.take)
        self.webhooks = MemoryWebhooks(network, self.backend.take)
        self.identity = MemoryIdentity()

    def committer(self, timeout_seconds: float = 0.5) -> Committer:
        timeout = timedelta(seconds=timeout_seconds)
        return Committer(
            self.store, self.sockets, CODECS, self.publisher, now, direct_post_timeout=timeout
        )

    def signaling(self, timeout_seconds: float = 0.5) -> Signaling:
        return Signaling(self.store.calls, self.committer(timeout_seconds), now, PushPolicy())

    def published(self, kind: type[_Kind]) -> list[_Kind]:
        """What has been published since the last look, all of which must be of this kind."""
        made = self.published_of_any_kind()
        of_kind: list[_Kind] = [event for event in made if isinstance(event, kind)]
        assert of_kind == made
        return of_kind

    def published_of_any_kind(self) -> list[Published]:
        made = list(self.topic)
        self.topic.clear()
        return made
