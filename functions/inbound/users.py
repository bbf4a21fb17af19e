"""Users over HTTPS, for backends: whether one is online, his devices, his sign-out, his erasure."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.calls.call import UserId
from functions.calls.decision import NOT_FOUND, UNAVAILABLE
from functions.calls.event import unix_ms
from functions.clients.connection import Connection
from functions.clients.device import Device, DeviceId, InstallationId
from functions.delivery.erasure import Erasure
from functions.inbound.asking import Asking, content_of
from functions.inbound.load import Load, Urgency
from functions.inbound.replies import Reply, said
from functions.ports.clock import Clock
from functions.ports.store import Store
from functions.sessions.registration import Registration
from functions.sessions.signout import SignOut
from functions.wire.frames import RegisterDevice
from functions.wire.requests import parse, user_in

_UNFINISHED = replace(UNAVAILABLE, message="it is not finished; a repeat goes on")
_DEVICE_ID = re.compile("[0-9a-f]{64}")
_SHOWN = 4  # characters of an address, at each end
_LONG_ENOUGH = 4 * _SHOWN  # to be told from another by its ends, and not to be given away by them

_Answer = Callable[[UserId, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class UserRequests:
    """Replies at `/v1/users/…`."""

    store: Store
    sign_out: SignOut
    registration: Registration
    erasure: Erasure
    asking: Asking
    load: Load
    clock: Clock

    def at(self, steps: Sequence[str]) -> Mapping[str, Reply]:
        match steps:
            case ["v1", "users", str(user), *rest] if user:
                answers = self._answers_at(rest)
                return {name: partial(self._reply, user, each) for name, each in answers.items()}
            case _:
                return {}

    def _answers_at(self, steps: Sequence[str]) -> Mapping[str, _Answer]:
        match steps:
            case []:
                return {"DELETE": self._erase}
            case ["connections"]:
                return {"GET": self._connections, "DELETE": self._sign_out}
            case ["devices"]:
                return {"GET": self._devices, "PUT": self._register, "DELETE": self._unregister_all}
            case ["devices", str(device)] if device:
                return {"DELETE": partial(self._unregister, device)}
            case _:
                return {}

    async def _reply(self, user: str, answer: _Answer, request: Request) -> Response:
        """A body without the key is not waited for."""
        self.asking.check_backend(request)
        return await answer(user_in({"userId": user}), request)

    # Connections

    async def _connections(self, user: UserId, _: Request) -> Response:
        """1 RunQuery."""
        with self.load.carrying_out(Urgency.LATER):
            found = await self.store.connections.of([user], self.clock())
        # Who has shown a ring token hears of no other call: he is not online by that.
        full = [each for each in found if each.only_call is None]
        connections = sorted(full, key=lambda each: each.connected_at)
        described = [_described_connection(each) for each in connections]
        online = any(each.is_open for each in full)
        return JSONResponse({"userId": user, "online": online, "connections": described})

    async def _sign_out(self, user: UserId, _: Request) -> Response:
        """What it costs to sign him out."""
        with self.load.carrying_out(Urgency.SOON):
            signed_out = await self.sign_out.everywhere(user)
        if signed_out.unreached:
            return said(_UNFINISHED, None)
        return _done("signed_out", closed=signed_out.closed)

    # Devices

    async def _devices(self, user: UserId, _: Request) -> Response:
        """1 RunQuery."""
        with self.load.carrying_out(Urgency.LATER):
            found = await self.store.devices.of([user], self.clock())
        devices = [_described_device(each) for each in sorted(found, key=lambda each: each.version)]
        return JSONResponse({"userId": user, "devices": devices})

    async def _register(self, user: UserId, request: Request) -> Response:
        """1 Commit and 1 RunQuery, and 1 Commit for each device that is too many."""
        content = await content_of(request)
        if isinstance(content, Response):
            return content
        device = parse("device:register", content)
        assert isinstance(device, RegisterDevice)  # noqa: S101 - as its event says
        with self.load.carrying_out(Urgency.LATER):
            id = await self.registration.register(user, device)
        return _done("registered", id=id)

    async def _unregister(self, device: str, user: UserId, _: Request) -> Response:
        """1 BatchGetDocuments, and 1 Commit if the device is his; nothing if no device has such an
        id."""
        is_his = False
        if _DEVICE_ID.fullmatch(device):
            with self.load.carrying_out(Urgency.LATER):
                is_his = await self.store.devices.unregister(user, DeviceId(device))
        return _done("unregistered", devices=1) if is_his else said(NOT_FOUND, None)

    async def _unregister_all(self, user: UserId, _: Request) -> Response:
        """1 RunQuery and, if there are any, 1 Commit and 1 RunQuery for each 300."""
        with self.load.carrying_out(Urgency.LATER):
            removed = await self.store.devices.remove_all(user)
        return _done("unregistered", devices=removed)

    # All of him

    async def _erase(self, user: UserId, _: Request) -> Response:
        """What it costs to erase him."""
        with self.load.carrying_out(Urgency.LATER):
            erased = await self.erasure.erase(user)
        if not erased.is_finished:
            return said(_UNFINISHED, None)
        counts = {"connections": erased.connections, "devices": erased.devices}
        return _done("erased", **counts, calls=erased.calls)


def _done(outcome: str, **more: object) -> Response:
    return JSONResponse({"ok": True, "outcome": outcome, **more})


def _described_connection(connection: Connection) -> dict[str, object]:
    """Without its id, by which API Gateway posts to it and closes it: nothing here takes one, and
    what nobody needs is not handed out."""
    return {
        "wire": connection.wire.value,
        "connectedAt": unix_ms(connection.connected_at),
        "isOpen": connection.is_open,
    }


def _described_device(device: Device) -> dict[str, object]:
    address = "fid" if isinstance(device.address, InstallationId) else "token"
    named = {"deviceId": device.app_id} if device.app_id else {}
    registered = {"registeredAt": unix_ms(device.registered_at)} if device.registered_at else {}
    return {
        "id": device.id,
        address: _shortened(device.address),
        "platform": device.platform.value,
        **named,
        **registered,
        "expiresAt": unix_ms(device.expires_at),
    }


def _shortened(address: str) -> str:
    """Enough to know it again, too little to send to it."""
    if len(address) < _LONG_ENOUGH:
        return "…"
    return f"{address[:_SHOWN]}…{address[-_SHOWN:]}"
