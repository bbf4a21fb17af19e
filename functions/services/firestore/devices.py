"""Devices in Firestore: one document for each address that FCM knows, under its hash."""

from collections.abc import Collection
from datetime import datetime

from functions.calls.call import ConnectionId, UserId
from functions.clients.device import (
    Device,
    DeviceId,
    FcmAddress,
    InstallationId,
    Platform,
    device_id,
)
from functions.ports.store import StoreUnavailable
from functions.services.firestore.documents import device_in
from functions.services.firestore.queries import is_one_of
from functions.services.firestore.remote import PAGE, Change, Documents
from functions.telemetry import Log

_UNREGISTER_TRIES = 3  # the device may register again at this moment

log = Log(__name__)


class FirestoreDevices:
    """The collection `devices`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def of(self, users: Collection[UserId], now: datetime) -> list[Device]:
        """1 RunQuery."""
        query = self._documents.query("devices", is_one_of("userId", users))
        snapshots = await self._documents.run(query)
        return [found for snapshot in snapshots if (found := device_in(snapshot, now))]

    async def register(
        self,
        user: UserId,
        address: FcmAddress,
        platform: Platform,
        now: datetime,
        expires: datetime,
        app_id: str | None = None,
        by: ConnectionId | None = None,
    ) -> None:
        """1 Commit."""
        named = {"deviceId": app_id} if app_id else {}
        id = device_id(address)
        on_connection = {"registration": id, **named}
        await self._documents.replace(
            self._documents.at("devices", id),
            {
                "userId": user,
                "fid" if isinstance(address, InstallationId) else "token": str(address),
                "platform": platform.value,
                "registeredAt": now,
                "expiresAt": expires,
                **named,
            },
            updated=(self._documents.at("connections", by), on_connection) if by else None,
        )

    async def unregister(self, user: UserId, device: DeviceId) -> bool:
        """1 BatchGetDocuments and, if the device is this user's, 1 Commit; again on a conflict."""
        for _ in range(_UNREGISTER_TRIES):
            (snapshot,) = await self._documents.get(self._documents.at("devices", device))
            if snapshot is None or snapshot.fields.get("userId") != user:
                return False
            if await self._documents.delete_unchanged(snapshot.reference, snapshot.version):
                return True
        raise StoreUnavailable("the device keeps changing")

    async def remove_all(self, user: UserId) -> int:
        """1 RunQuery and 1 Commit for each 300 devices, and 1 RunQuery more; if one has changed, 1
        Commit more for each."""
        query = self._documents.query("devices", is_one_of("userId", [user]), limit=PAGE)
        removed = 0
        while found := await self._documents.run(query):
            changes = [Change(each.reference, each.version) for each in found]
            now_removed = await self._documents.change_unchanged(changes)
            if not now_removed:
                raise StoreUnavailable("the devices keep changing")
            removed += now_removed
        return removed

    async def forget(self, device: Device) -> None:
        """1 Commit."""
        if not await self._documents.delete_unchanged(
            self._documents.at("devices", device.id), device.version
        ):
            log.info("a dead device changed, and stays")
