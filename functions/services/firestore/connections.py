"""Connections in Firestore: created by a handshake, changed as the session begins and ends."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from google.cloud.firestore_v1 import DELETE_FIELD

from functions.calls.call import ConnectionId, UserId
from functions.clients.connection import ROOT, Connection
from functions.clients.poll import polls
from functions.clients.profile import Profile
from functions.ports.identity import Identified
from functions.services.firestore.documents import connection_in
from functions.services.firestore.queries import at_most, is_one_of, names
from functions.services.firestore.remote import Change, Documents

# Frames that were sent before the close may still be on their way, but come within seconds.
_CLOSED_IS_KEPT = timedelta(seconds=60)
_REMOVED_AT_ONCE = 150  # connections; with a session goes a second document
_DUE_LIMIT = 300  # connections that a look at who was not admitted finds
_LONG_AGO = datetime.fromtimestamp(0, UTC)


class FirestoreConnections:
    """The collection `connections`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def get(self, id: ConnectionId, now: datetime) -> Connection | None:
        """1 BatchGetDocuments."""
        (snapshot,) = await self._documents.get(self._documents.at("connections", id))
        return connection_in(snapshot, now)

    async def of(self, users: Collection[UserId], now: datetime) -> list[Connection]:
        """1 RunQuery."""
        query = self._documents.query("connections", is_one_of("userId", users))
        snapshots = await self._documents.run(query)
        return [found for snapshot in snapshots if (found := connection_in(snapshot, now))]

    async def add(self, connection: Connection) -> bool:
        """1 Commit, and 1 BatchGetDocuments if the document is there already."""
        reference = self._documents.at("connections", connection.id)
        if await self._documents.create(reference, fields_of(connection)):
            return True
        # API Gateway uses no id twice. So the document is from `close`, or from our own commit,
        # which is sent again if its reply was lost.
        (snapshot,) = await self._documents.get(reference)
        return snapshot is None or "closedAt" not in snapshot.fields

    async def note_opened(self, id: ConnectionId) -> None:
        """1 Commit."""
        await self._documents.update(self._documents.at("connections", id), {"isOpen": True})

    async def admit(
        self,
        connection: Connection,
        admitted: Identified,
        received_at: datetime | None,
        expires: datetime,
    ) -> bool:
        """1 Commit."""
        is_anothers = connection.shows_another_than(admitted.user)
        shown = ("shownUserId", "shownProfile") if is_anothers else ()
        return await self._change(
            connection,
            {
                **dict.fromkeys(shown, DELETE_FIELD),
                "owner": admitted.user,
                "deviceId": connection.device or DELETE_FIELD,
                # The former owner's goes with him.
                "profile": profile_fields(admitted.profile) or DELETE_FIELD,
                "formerOwner": connection.owner or DELETE_FIELD,
                "formerLeftAt": connection.left_at or DELETE_FIELD,
                "userId": admitted.user,
                "isOpen": True,  # a client that sends CONNECT has had its open packet
                **_of_ring_token(connection),
                **_deleting(_namespaces(connection)),
                "admittedAt": received_at or DELETE_FIELD,
                "closedAt": DELETE_FIELD,
                "leftAt": DELETE_FIELD,
                "admitBy": DELETE_FIELD,
                "toldSince": DELETE_FIELD,
                "expiresAt": expires,
            },
        )

    async def move(self, connection: Connection) -> bool:
        """1 Commit."""
        admitted_at = connection.admitted_at or DELETE_FIELD
        return await self._change(
            connection, {**_deleting(_namespaces(connection)), "admittedAt": admitted_at}
        )

    async def leave(
        self,
        connection: Connection,
        received_at: datetime | None,
        now: datetime,
        admit_by: datetime | None = None,
    ) -> bool:
        """1 Commit."""
        fields = {
            **closed(now),
            "leftAt": received_at or now,
            # Who is refused is sent away in the namespace that he asked for.
            **_deleting(_namespaces(replace(connection, also_in={}))),
        }
        due = {"admitBy": admit_by} if admit_by else {}
        return await self._change(connection, {**fields, **due})

    async def close(self, id: ConnectionId, now: datetime) -> None:
        """1 Commit."""
        fields = {**closed(now), "admitBy": DELETE_FIELD}
        await self._documents.merge(self._documents.at("connections", id), fields)

    async def unadmitted(self, now: datetime) -> list[Connection]:
        """1 RunQuery. It finds also connections that have expired."""
        query = self._documents.query(
            "connections", at_most("admitBy", now), order_by="admitBy", limit=_DUE_LIMIT
        )
        snapshots = await self._documents.run(query)
        return [due for snapshot in snapshots if (due := connection_in(snapshot, _LONG_AGO))]

    async def turn_away(self, connection: Connection, now: datetime, admit_by: datetime) -> bool:
        """1 Commit."""
        return await self._change(connection, {**closed(now), "admitBy": admit_by})

    async def naming(self, user: UserId) -> AsyncIterator[list[Connection]]:
        """1 RunQuery for each page of 300."""
        named = names([user], "userId", "owner", "shownUserId")
        query = self._documents.query("connections", named)
        async for page in self._documents.pages(query):
            yield [found for each in page if (found := connection_in(each, _LONG_AGO))]

    async def remove(self, connections: Sequence[Connection]) -> int:
        """1 Commit for each 150, 0 for none; if a connection has changed, 1 more for each."""
        removals = [self._removal(each) for each in connections if each.version]
        removed = 0
        for first in range(0, len(removals), _REMOVED_AT_ONCE):
            some = removals[first : first + _REMOVED_AT_ONCE]
            removed += await self._documents.change_unchanged(some)
        return removed

    def _removal(self, connection: Connection) -> Change:
        """With a session goes what waits for its client."""
        waiting = self._documents.at("polls", connection.id) if polls(connection.id) else None
        reference = self._documents.at("connections", connection.id)
        return Change(reference, connection.version, goes_along=waiting)

    async def _change(self, connection: Connection, fields: Mapping[str, object]) -> bool:
        assert connection.version is not None  # noqa: S101 - `connection` was read, not made
        return await self._documents.update_unchanged(
            self._documents.at("connections", connection.id), connection.version, fields
        )


def fields_of(connection: Connection) -> dict[str, object]:
    """All that a new connection's document has."""
    return {name: value for name, value in _all_fields(connection).items() if value is not None}


def fields_taken_over(connection: Connection) -> dict[str, object]:
    """All that the document of a connection has which takes over a session; what it had besides is
    deleted."""
    return _deleting(_all_fields(connection))


def _deleting(fields: Mapping[str, object]) -> dict[str, object]:
    """The same, to be written over what there is: what is None is deleted."""
    return {name: DELETE_FIELD if value is None else value for name, value in fields.items()}


def _all_fields(connection: Connection) -> dict[str, object]:
    """The fields, None for those that are not there."""
    return {
        **_namespaces(connection),
        "owner": connection.owner,
        "userId": connection.user,
        "profile": profile_fields(connection.profile),
        "wire": connection.wire.value,
        "connectedAt": connection.connected_at,
        "expiresAt": connection.expires_at,
        "isOpen": None if connection.is_open else False,
        "shownUserId": connection.shown_user,
        "shownProfile": profile_fields(connection.shown_profile),
        "saidUserId": connection.said_user,
        "refusal": connection.refusal,
        "admitBy": connection.admit_by,
        "deviceId": connection.device,
        "onlyCall": connection.only_call,
        "registration": connection.registration,
        "formerOwner": connection.former_owner,
        "formerLeftAt": connection.former_left_at,
        "admittedAt": connection.admitted_at,
        "closedAt": connection.closed_at,
        "leftAt": connection.left_at,
        "calling": {
            id: {"signalId": ring.signal_id, "ringsUntil": ring.rings_until}
            for id, ring in connection.calling.items()
        }
        or None,
        "upgrades": connection.upgrades,
        "upgradedFrom": connection.upgraded_from,
        "upgradedTo": connection.upgraded_to,
        "upgradeId": connection.upgrade_id,
        "toldSince": connection.told_since,
    }


def profile_fields(profile: Profile) -> dict[str, str] | None:
    """The fields of a profile's map; None if it says nothing."""
    return None if profile.name is None else {"name": profile.name}


def _of_ring_token(connection: Connection) -> dict[str, object]:
    """Once somebody is let in by a ring token, this never changes again."""
    if connection.only_call is None:
        return {}
    known = {"registration": connection.registration} if connection.registration else {}
    return {"onlyCall": connection.only_call, **known}


def _namespaces(connection: Connection) -> dict[str, object]:
    """The fields that say in which namespaces the client is; most clients are in the root alone."""
    in_root = connection.namespace == ROOT
    return {
        "namespace": None if in_root else connection.namespace,
        "alsoIn": dict(connection.also_in) or None,
    }


def closed(now: datetime) -> dict[str, object]:
    """The fields that change when nobody is to be told by a connection any more.

    `close` merges them without a look, so they make a document if there is none yet. A `$connect`
    that is handled later finds it.
    """
    return {"userId": DELETE_FIELD, "closedAt": now, "expiresAt": now + _CLOSED_IS_KEPT}
