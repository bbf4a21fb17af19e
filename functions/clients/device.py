"""One app installation that FCM reaches."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import NewType

from functions.calls.call import UserId

FcmToken = NewType("FcmToken", str)
DeviceId = NewType("DeviceId", str)  # SHA-256 of the token, hex: a token is too long for an id


class Platform(StrEnum):
    ANDROID = "android"
    IOS = "ios"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class Device:
    """An app installation and its user; `version` changes when it registers again."""

    id: DeviceId
    user: UserId
    token: FcmToken
    platform: Platform
    expires_at: datetime
    version: datetime


def device_id(token: FcmToken) -> DeviceId:
    return DeviceId(sha256(token.encode()).hexdigest())
