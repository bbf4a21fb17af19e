"""The app that asked for Unring, on unmodified Socket.IO clients, and what it reads."""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from infra import ROOT
from infra.local.stack import Options, Stack, running
from tests.support.socketio import SocketIoApp, socketio_client
from tests.support.stacks import pushes_to

_Types = Mapping[str, type]
_TOLD: _Types = {"callId": str, "reason": str, "timestamp": int}

# The fields that it reads of each event, all of them but `agoraAppId` and `balanceTime`, which its
# backend alone can say. Most are mandatory: without one, or with one of another type, it loses the
# event.
READ: Mapping[str, _Types] = {
    "call:incoming": {
        **{"callId": str, "callerId": str, "callerName": str, "callType": str},
        **{"channelName": str, "agoraToken": str, "timestamp": int},
    },
    "call:accepted": {"callId": str, "timestamp": int},
    "call:rejected": _TOLD,
    "call:cancelled": _TOLD,
    "call:timeout": {"callId": str, "reason": str},
    "call:busy": {"callId": str},
    "call:ended": {**_TOLD, "endedBy": str},
}
EVENTS = (*READ, "call:error", "call:upgrade:request", "call:upgrade:response")


@dataclass(frozen=True)
class Device:
    """Somebody's phone, as FCM knows it."""

    stack: Stack
    user: str
    device: str

    async def is_pushed(self, type: str, call: str) -> dict[str, str]:
        """Waits for a message by FCM; gives what else it says."""
        count = 1
        while True:
            pushes = [each["data"] for each in await pushes_to(self.stack, self.device, count)]
            for data in pushes:
                if (data["type"], data["callId"]) == (type, call):
                    return {name: data[name] for name in data if name not in ("type", "callId")}
            count = len(pushes) + 1


@dataclass(frozen=True)
class Phone(Device):
    """The app on somebody's phone, with its socket."""

    app: SocketIoApp

    async def reads(self, event: str, **said: str) -> dict[str, Any]:
        """Waits for an event, which has all that the app reads and says so; gives its data."""
        data = await self.app.told(event)
        assert {name: type(data.get(name)) for name in READ[event]} == READ[event], data
        assert said.items() <= data.items(), data
        return data


@asynccontextmanager
async def speaking(
    name: str, paths: pytest.TempPathFactory, **settings: str
) -> AsyncIterator[Stack]:
    """A stack in an example's dialect."""
    dialect = (ROOT / f"docs/dialects/{name}.toml").read_text()  # as Terraform gives it
    options = Options(port=0, settings={"DIALECT": dialect, **settings}, logs=paths.mktemp("logs"))
    async with running(options) as stack:
        yield stack


@asynccontextmanager
async def agora_phone(
    kind: str, stack: Stack, user: str, device: str | None = None
) -> AsyncIterator[Phone]:
    """The app of `user`, let in by an opaque token; it registers `device`, a new one by default."""
    opaque, device = stack.identities.opaque, device or uuid.uuid4().hex
    assert opaque
    async with socketio_client(
        kind, stack.websocket, token=opaque.issue(user), user=user, events=EVENTS
    ) as app:
        await app.connected()
        assert (await app.emit("device:register", token=device, platform="android"))["success"]
        yield Phone(stack, user, device, app)
