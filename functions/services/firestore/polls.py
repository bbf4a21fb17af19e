"""What waits for the clients that poll, in Firestore: one document for each session, beside that of
its connection."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from google.cloud.firestore_v1 import DELETE_FIELD, ArrayUnion

from functions.calls.call import ConnectionId
from functions.calls.event import LONGEST_LIFE
from functions.clients.connection import Connection
from functions.clients.poll import SESSION_LASTS, Poll
from functions.ports.polls import Session
from functions.ports.store import StoreConflict
from functions.services.firestore.connections import closed, fields_of, fields_taken_over
from functions.services.firestore.documents import connection_in, poll_in
from functions.services.firestore.remote import Change, Documents, Written
from functions.services.firestore.values import Reference


class FirestorePolls:
    """The collection `polls`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def begin(self, session: Session) -> None:
        """1 Commit."""
        poll = session.poll
        fields = {
            "wire": poll.wire.value,
            "packets": _waiting(poll.packets),
            "expiresAt": poll.expires_at,
            "endsAt": poll.ends_at,
            "proof": poll.proof,
            "shown": poll.shown,
            "asked": poll.asked,
        }
        known = {name: value for name, value in fields.items() if value is not None}
        with suppress(StoreConflict):  # by our own commit, repeated: nobody else has this id
            await self._documents.commit_all(
                (),
                [
                    (self._documents.at("connections", poll.id), fields_of(session.connection)),
                    (self._at(poll.id), known),
                ],
            )

    async def get(self, id: ConnectionId) -> Poll | None:
        """1 BatchGetDocuments."""
        (snapshot,) = await self._documents.get(self._at(id))
        return poll_in(snapshot)

    async def session(self, id: ConnectionId, now: datetime) -> Session | None:
        """1 BatchGetDocuments."""
        found, waiting = await self._documents.get(
            self._documents.at("connections", id), self._at(id)
        )
        connection, poll = connection_in(found, now), poll_in(waiting)
        return Session(connection, poll) if connection and poll else None

    async def add(self, id: ConnectionId, packets: Sequence[str]) -> bool:
        """1 Commit."""
        waiting = {"packets": ArrayUnion(_waiting(packets))}
        return await self._documents.update(self._at(id), waiting)

    async def take(
        self, poll: Poll, count: int, taker: str, renewed_until: datetime | None
    ) -> bool:
        """1 Commit."""
        taken: dict[str, object] = {
            "packets": _waiting(poll.packets[count:]),
            "given": list(poll.packets[:count]),
            "takenBy": taker,
        }
        if renewed_until is None:
            return await self._changed(Change(self._at(poll.id), poll.version, taken))
        lasts = {"expiresAt": renewed_until}
        return await self._changed(
            Change(self._at(poll.id), poll.version, {**taken, **lasts}),
            Change(self._documents.at("connections", poll.id), None, lasts),
        )

    async def claim(self, poll: Poll, by: Connection) -> bool:
        """1 Commit."""
        socket = (self._documents.at("connections", by.id), fields_of(by))
        claimed = Change(self._at(poll.id), poll.version, {"upgradedBy": by.id})
        return await self._changed(claimed, created=[socket])

    async def move(self, session: Session, to: Connection, now: datetime) -> bool:
        """1 Commit."""
        moved, poll = session.connection, session.poll
        return await self._changed(
            Change(self._documents.at("connections", to.id), to.version, fields_taken_over(to)),
            Change(
                self._documents.at("connections", moved.id),
                moved.version,
                {
                    **closed(now),
                    "admitBy": DELETE_FIELD,
                    "upgradedTo": to.id,
                    # A catch-up that comes late still finds where its client went.
                    "expiresAt": now + LONGEST_LIFE,
                },
            ),
            Change(self._at(poll.id), poll.version),
        )

    async def close(self, id: ConnectionId, now: datetime, packet: str) -> bool:
        """1 Commit."""
        fields = {
            "packets": ArrayUnion(_waiting([packet])),
            "isClosed": True,
            "expiresAt": now + SESSION_LASTS,
        }
        return await self._documents.update(self._at(id), fields)

    def _at(self, id: ConnectionId) -> Reference:
        return self._documents.at("polls", id)

    async def _changed(self, *changes: Change, created: Sequence[Written] = ()) -> bool:
        try:
            await self._documents.commit_all(changes, created)
        except StoreConflict:
            return False
        return True


def _waiting(packets: Sequence[str]) -> list[dict[str, str]]:
    """Each with an id of its own: of what is the same, an array takes only one."""
    return [{"id": uuid.uuid4().hex, "packet": packet} for packet in packets]
