"""Where a client comes in and goes out: the sessions, as the tests of this folder meet them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from functions.calls.call import ConnectionId
from functions.clients.connection import Connection, Wire
from functions.sessions.accept import Acceptance, Handshake
from functions.sessions.admit import Admission
from functions.sessions.close import Closing
from functions.wire.frames import Connect
from infra.emulators.faults import Fault, Kind
from tests.memory.others import TOKEN_PREFIX
from tests.memory.services import Services
from tests.support.makers import now

ID = ConnectionId("c=")
NAMESPACES = {"/user", "/agent"}
TTL = timedelta(minutes=125)
SOCKET_IO = pytest.mark.parametrize("wire", [Wire.EIO3, Wire.EIO4])

LET_IN = '40{"sid":"c="}'
RECONNECT = '{"message":"reconnect"}'
NOOP = "6"
ADMISSION = ["BatchGetDocuments", "Commit", "Publish"]
MISSING = '44{"message":"the token is missing"}'
INVALID = '44{"message":"the token is not valid"}'
EXPIRED = '44{"message":"the token has expired"}'
FOREIGN = '44{"message":"userId is not the token\'s"}'


def token_of(user: str) -> str:
    return f"{TOKEN_PREFIX}{user}"


def repeated_commit() -> Fault:
    """As Firestore's library repeats one whose reply was lost: the second meets the first."""
    return Fault(Kind.REPEAT, "firestore.Commit")


@dataclass
class Door:
    """The sessions, as one client meets them; `costs` are the calls of its last step."""

    services: Services
    acceptance: Acceptance
    admission: Admission
    closing: Closing
    time: datetime = field(default_factory=now)  # at which API Gateway gets the client's frames

    @property
    def costs(self) -> list[str]:
        return self.services.journal.started

    async def open(self, wire: Wire, token: str | None = None, user: str | None = None) -> None:
        self.services.journal.clear()
        await self.acceptance.accept(ID, Handshake(wire, token, user))

    async def let_in(
        self, token: str | None = None, user: str | None = None, namespace: str = "/"
    ) -> str:
        self.services.journal.clear()
        return await self.admission.admit(ID, Connect(namespace, token, user), self.tick())

    def tick(self) -> datetime:
        """API Gateway's time of the next frame."""
        self.time += timedelta(milliseconds=1)
        return self.time

    async def forget(self) -> None:
        """Makes the next client another one: ids are never used again."""
        await self.services.world.delete_connection(ID)

    async def connection(self) -> Connection | None:
        return await self.services.store.connections.get(ID, now())
