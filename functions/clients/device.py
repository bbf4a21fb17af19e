"""One app installation that FCM reaches."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import NewType

from functions.calls.call import UserId

DeviceId = NewType("DeviceId", str)  # SHA-256 of the address, hex: a token is too long for an id
DEVICE_ID_LENGTH = 64  # characters


class FcmToken(str):
    """An FCM registration token."""

    __slots__ = ()


class InstallationId(str):
    """A Firebase installation id, by which newer apps are reached."""

    __slots__ = ()


FcmAddress = FcmToken | InstallationId


class Platform(StrEnum):
    ANDROID = "android"
    IOS = "ios"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class Device:
    """An app installation and its user; `version` changes when it registers again."""

    id: DeviceId
    user: UserId
    address: FcmAddress
    platform: Platform
    expires_at: datetime
    version: datetime
    registered_at: datetime | None = None  # None if the document does not say it
    app_id: str | None = None  # what the app calls it: `deviceId` on the wire and in the document


def device_id(address: FcmAddress) -> DeviceId:
    return DeviceId(sha256(address.encode()).hexdigest())
