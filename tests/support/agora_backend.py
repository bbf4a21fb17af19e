"""The backend of the app that asked for Unring, as far as calls go: its REST API, and what it tells
its socket server."""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from time import time_ns
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.client.calls import client_at
from infra.emulators.auth.opaque import OpaqueTokens
from infra.local.stack import Stack

# What its REST steps make of a call.
STATUSES = {"accept": "ONGOING", "reject": "REJECTED", "cancel": "CANCELLED", "end": "ENDED"}
_RINGS = "CONNECTING"
_PREFIX = "CALL_"


@dataclass
class _Call:
    """One of its calls, as its own database has it."""

    id: str
    caller: str
    receiver: str
    status: str = _RINGS


class AgoraBackend(OpaqueTokens):
    """Knows the users by their tokens and the phones as FCM does. An async context.

    GET  /api/v1/users/me                   whose the token is, which Unring asks too
    POST /api/v1/calls/initiate             {receiverId, callType}: makes a call and pushes its ring
    POST /api/v1/calls/ID/STEP              one of STATUSES, with a `reason` perhaps
    GET  /api/v1/calls/ID                   its status
    """

    def __init__(self) -> None:
        super().__init__()
        self.shares_calls = False  # they are documents that Unring ends, and not its own to change
        self.emits: list[Mapping[str, Any]] = []  # how they were answered
        self._calls: dict[str, _Call] = {}
        self._devices: defaultdict[str, list[str]] = defaultdict(list)
        self._numbers = itertools.count(time_ns())

    @property
    def origin(self) -> str:
        return self._origin

    @property
    def api(self) -> str:
        return f"{self._origin}/api/v1"

    def serve(self, stack: Stack) -> None:
        """From now on `stack` is its socket server."""
        self._server = stack
        self._documents = client_at(stack.firestore, stack.project).collection("calls")

    async def know(self, user: str, device: str) -> None:
        """Remembers a phone of `user`, and has Unring push to it as well."""
        self._devices[user].append(device)
        key = {"Authorization": f"Bearer {self._server.values['API_KEY']}"}
        said = {"token": device, "platform": "android"}
        answer = await self._ask("PUT", f"/v1/users/{user}/devices", said, key)
        assert answer.status_code == HTTPStatus.OK, answer.text

    async def emit(self, event: str, secret: str | None = None, **said: str) -> Mapping[str, Any]:
        """Has its socket server tell somebody something; gives the answer."""
        shown = {"X-Internal-Secret": secret or self._server.values["INTERNAL_SECRET"]}
        answer = await self._ask("POST", f"/api/emit/{event}", said, shown)
        found: Mapping[str, Any] = answer.json()
        self.emits.append(found)
        return found

    async def health(self) -> int:
        """What its socket server answers when it is asked how it is."""
        return (await self._ask("GET", "/health")).status_code

    async def _answer(self, request: Request) -> Response:
        match request.method, request.scope["path"].strip("/").split("/"):
            case "GET", ["api", "v1", "users", "me"]:
                return self.say_whose(request)
            case method, ["api", "v1", "calls", *steps]:
                if user := self.owner(request):
                    return await self._calls_answer(method, steps, user, request)
                return _failure(HTTPStatus.UNAUTHORIZED)
            case _:
                return _failure(HTTPStatus.NOT_FOUND)

    async def _calls_answer(
        self, method: str, steps: Sequence[str], user: str, request: Request
    ) -> Response:
        match method, steps:
            case "POST", ["initiate"]:
                return await self._initiate(user, await request.json())
            case "POST", [id, step] if step in STATUSES and (call := self._call(id, user)):
                return await self._change(call, step, await request.json())
            case "GET", [id] if call := self._call(id, user):
                return _success(status=await self._status(call))
            case _:
                return _failure(HTTPStatus.NOT_FOUND)

    async def _initiate(self, caller: str, asked: Mapping[str, str]) -> Response:
        call = _Call(f"{_PREFIX}{next(self._numbers)}", caller, asked["receiverId"])
        self._calls[call.id] = call
        if self.shares_calls:
            parties = {"callerId": call.caller, "receiverId": call.receiver}
            await self._documents.document(call.id).set({**parties, "status": _RINGS})
        made = {
            "agoraToken": f"007eJx{call.id}",
            "agoraAppId": "0a1b2c",
            "balanceTime": "12:00",
            "callId": call.id,
        }
        channel = f"channel_{call.id}"
        await self._push(
            call.receiver,
            {
                "type": "incoming_call",
                "callerId": caller,
                "callerName": f"User {caller}",
                "callerPhoto": "https://app.example/1.jpg",
                "channelId": channel,
                "callType": asked["callType"],
                "timestamp": str(time_ns() // 1_000_000),
                **made,
            },
        )
        return _success(channelName=channel, **made)

    async def _change(self, call: _Call, step: str, said: Mapping[str, str]) -> Response:
        """A cancel alone looks at what the call's status is."""
        if step == "cancel" and await self._status(call) != _RINGS:
            return _failure(HTTPStatus.CONFLICT)
        call.status = STATUSES[step]
        match step:
            case "cancel":
                await self.emit("call-cancelled", receiverId=call.receiver, callId=call.id, **said)
            case "accept":
                parties = {"callerId": call.caller, "receiverId": call.receiver}
                await self.emit("call-accepted", callId=call.id, **parties)
        return _success(status=call.status)

    def _call(self, id: str, user: str) -> _Call | None:
        """The call of which `user` is a party, whether its id comes with the prefix or without."""
        call = self._calls.get(f"{_PREFIX}{id.removeprefix(_PREFIX)}")
        return call if call and user in (call.caller, call.receiver) else None

    async def _status(self, call: _Call) -> str:
        if not self.shares_calls:
            return call.status
        return str((await self._documents.document(call.id).get()).get("status"))

    async def _push(self, user: str, data: Mapping[str, str]) -> None:
        url = f"{self._server.fcm.url}/v1/projects/{self._server.project}/messages:send"
        async with httpx.AsyncClient(trust_env=False) as http:
            for device in self._devices[user]:
                message = {"token": device, "data": data, "android": {"priority": "HIGH"}}
                answer = await http.post(
                    url, json={"message": message}, headers={"Authorization": "Bearer any"}
                )
                answer.raise_for_status()

    async def _ask(
        self,
        method: str,
        path: str,
        said: Mapping[str, str] | None = None,
        shown: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Asks its socket server, at the one host that the app knows too."""
        base = self._server.socketio
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as http:
            return await http.request(method, path, json=said, headers=dict(shown or {}))


def _success(**data: str) -> Response:
    return JSONResponse({"success": True, "data": data})


def _failure(status: HTTPStatus) -> Response:
    return JSONResponse({"success": False, "message": status.phrase}, status_code=status)
