"""A Firestore, and what others do to what is in it."""

from dataclasses import dataclass
from datetime import datetime

from google.cloud.firestore import AsyncClient

from functions.calls.call import Call, CallId, ConnectionId, SignalId, Status
from functions.calls.event import CallEvent
from functions.ports.store import Store, StoredCall
from functions.services.firestore import store_of
from functions.services.firestore.database import Database
from infra.client.calls import client_at
from tests.support.collections import CONNECTIONS, OUTBOX
from tests.support.makers import CALL, CALLER, RECEIVER, ids_in, now, pend


@dataclass(frozen=True)
class FirestoreWorld:
    """A World in a Firestore."""

    client: AsyncClient
    database: Database
    store: Store

    async def ring(
        self,
        call: CallId = CALL,
        status: str = Status.RINGING,
        *,
        signal_id: SignalId | None = None,
        rings_until: datetime | None = None,
    ) -> None:
        known = {"signalId": signal_id, "ringsUntil": rings_until}
        more = {name: value for name, value in known.items() if value is not None}
        await self.write_call({"status": status, **more}, call)

    async def write_call(self, fields: dict[str, object], call: CallId = CALL) -> None:
        """Its parties, unless `fields` say otherwise, and these."""
        parties = {"callerId": CALLER, "receiverId": RECEIVER}
        await self.client.collection("calls").document(call).set({**parties, **fields})

    async def call(self, call: CallId = CALL) -> Call | None:
        loaded = await self.store.calls.load(call, ConnectionId("nobody="), now())
        return loaded.call.call if isinstance(loaded.call, StoredCall) else None

    async def delete_call(self, call: CallId = CALL) -> None:
        await self.client.collection("calls").document(call).delete()

    async def delete_connection(self, id: str) -> None:
        await self.client.collection(CONNECTIONS).document(id).delete()

    async def pend(self, made: CallEvent, since: datetime) -> None:
        await pend(self.client, made, since)

    async def pending_calls(self) -> set[str]:
        entries = [entry async for entry in self.client.collection(OUTBOX).stream()]
        return {
            entry.id.rpartition(":")[0]
            for entry in entries
            if "pendingSince" in (entry.to_dict() or {})
        }

    async def put_unreadable(self, id: str, since: datetime) -> None:
        fields = {"pendingSince": since, "event": {"name": "x"}}
        await self.client.collection(OUTBOX).document(id).set(fields)

    async def ids_in(self, collection: str) -> set[str]:
        return await ids_in(self.client, collection)


def firestore_world_at(address: str, project: str) -> FirestoreWorld:
    database = Database(project, emulator=address)
    return FirestoreWorld(client_at(address, project), database, store_of(database))
