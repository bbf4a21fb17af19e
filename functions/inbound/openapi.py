"""The HTTPS interface as OpenAPI 3.1 has it. Imported only when somebody asks for it."""

from typing import Any

from functions.calls.call import USER_ID_LIMIT, Cause, Status
from functions.calls.ring import INITIATE
from functions.calls.transitions import REASON_LIMIT, SIGNALS
from functions.clients.connection import Wire
from functions.clients.device import Platform
from functions.inbound.calls import SIGNALS_BY_STEP
from functions.wire.requests import (
    CALL_ID_LIMIT,
    DEVICE_LIMIT,
    LONGEST_RING,
    PASSED_ON_LIMIT,
    SHORTEST_RING,
    TOKEN_LIMIT,
)

_VERDICT = {"$ref": "#/components/schemas/Verdict"}
_CONTROLS = r"\u0000-\u001f\u007f-\u009f"
_CALL_ID = {
    "type": "string",
    "maxLength": CALL_ID_LIMIT,
    # What may name a document in Firestore.
    "pattern": rf"^(?!\.\.?$)(?!_{{2,3}}$|__.*__$)[^/{_CONTROLS}]+$",
}
_USER_ID = {
    "type": ["string", "integer"],
    "minLength": 1,
    "maxLength": USER_ID_LIMIT,
    # Of an integer.
    "minimum": -(2**63),
    "maximum": 2**63 - 1,
    "pattern": f"^[^{_CONTROLS}]+$",
}
_CALL_ID_IN_PATH = {"name": "callId", "in": "path", "required": True, "schema": _CALL_ID}
# No request is refused for these: what is none of either counts as none.
_REASON = {"description": f"A text, cut to {REASON_LIMIT} characters."}
_DEVICE = {"description": "The app's own name for the device on which the user acts, a text."}
_FAILURES = {
    "400": "The request is malformed: `field` says what is wrong, `message` how.",
    "401": "The token, or the key, is missing or not valid: `message` says why.",
    "403": "The wrong party: a receiver can't cancel, a caller can't accept or reject; and a ring "
    "token may only reject.",
    "404": "There is no such call, or the user is no party to it.",
    "409": "The call got another answer first, which `outcome` says: `already_…`. Of a call that "
    "is to ring also: it was cancelled before it came (`already_cancelled`), its receiver is in "
    "another call (`busy`), or another call has this id (`differs`).",
    "408": "The body did not come.",
    "413": "The body is larger than a megabyte.",
    "422": "The call's document makes no sense; only its writer can mend it.",
    "429": "The user asks more often than FRAMES_PER_SECOND, or has more calls ring than "
    "CALLS_PER_MINUTE: see `Retry-After`.",
    "503": "Something could not be reached, or there is too much to do: see `Retry-After`.",
}


_RING_SECONDS = {
    "type": ["integer", "null"],
    "minimum": SHORTEST_RING,
    "maximum": LONGEST_RING,
    "description": "By default, and at most, what RING_SECONDS says.",
}


def _request(event: dict[str, Any], required: str, **data: dict[str, Any]) -> dict[str, Any]:
    """What a frame has, for one kind of events."""
    return {
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "event": event,
            "data": {"type": "object", "required": [required], "properties": data},
            # Whatever it is, it counts only where there is no header.
            "token": {"description": "Instead of the header, where there can be none: a string."},
        },
    }


def _reply(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _failures(*statuses: str) -> dict[str, Any]:
    return {status: _reply(_FAILURES[status], _VERDICT) for status in statuses}


# Users, for backends

_TEXT = {"type": "string", "minLength": 1, "pattern": f"^[^{_CONTROLS}]+$"}
_MOMENT = {"type": "integer", "description": "Unix ms."}
_USER_ID_IN_PATH = {
    "name": "userId",
    "in": "path",
    "required": True,
    # A client of HTTP makes something else of `.` and `..`.
    "schema": {**_TEXT, "maxLength": USER_ID_LIMIT, "pattern": rf"^(?!\.\.?$)[^{_CONTROLS}]+$"},
}
_COUNT = {"type": "integer", "minimum": 0}


def _done(outcome: str, **more: dict[str, Any]) -> dict[str, Any]:
    """The reply that says what was done."""
    properties = {"ok": {"const": True}, "outcome": {"const": outcome}, **more}
    schema = {"type": "object", "required": list(properties), "properties": properties}
    return _reply("It is done.", schema)


def _for_backend(
    id: str, summary: str, done: dict[str, Any], *failures: str, **more: Any
) -> dict[str, Any]:
    return {
        "operationId": id,
        "summary": summary,
        "security": [{"key": []}],
        "responses": {
            "200": done,
            **_failures("400", "401"),
            "404": _reply("There is no such path, or no such device of the user's.", _VERDICT),
            **_failures(*failures, "503"),
        },
        **more,
    }


_USER_PATHS: dict[str, Any] = {
    "/v1/users/{userId}": {
        "parameters": [_USER_ID_IN_PATH],
        "delete": _for_backend(
            "erase",
            "Erase a user: his connections, his devices, his name in calls.",
            _done("erased", connections=_COUNT, devices=_COUNT, calls=_COUNT),
        ),
    },
    "/v1/users/{userId}/connections": {
        "parameters": [_USER_ID_IN_PATH],
        "get": _for_backend(
            "connections",
            "Whether a user is online.",
            _reply("His connections.", {"$ref": "#/components/schemas/Connections"}),
        ),
        "delete": _for_backend(
            "signOut",
            "Sign a user out everywhere: close his sockets.",
            _done("signed_out", closed=_COUNT),
        ),
    },
    "/v1/users/{userId}/devices": {
        "parameters": [_USER_ID_IN_PATH],
        "get": _for_backend(
            "devices",
            "Which devices a user has.",
            _reply("His devices.", {"$ref": "#/components/schemas/Devices"}),
        ),
        "put": _for_backend(
            "registerDevice",
            "Register a device of a user; it may have been another's.",
            _done("registered", id={"type": "string"}),
            "408",
            "413",
            requestBody={
                "required": True,
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/NewDevice"}}
                },
            },
        ),
        "delete": _for_backend(
            "unregisterDevices",
            "Forget all devices of a user.",
            _done("unregistered", devices=_COUNT),
        ),
    },
    "/v1/users/{userId}/devices/{id}": {
        "parameters": [
            _USER_ID_IN_PATH,
            {
                "name": "id",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1, "pattern": "^[0-9a-f]{64}$"},
            },
        ],
        "delete": _for_backend(
            "unregisterDevice",
            "Forget one device of a user.",
            _done("unregistered", devices=_COUNT),
        ),
    },
}
_ADDRESS = {**_TEXT, "maxLength": TOKEN_LIMIT}
_NOTHING = {"type": "null"}  # the same as if it were not there
_PLATFORM = {"enum": [platform.value for platform in Platform]}
_USER_SCHEMAS: dict[str, Any] = {
    "Connections": {
        "type": "object",
        "required": ["userId", "online", "connections"],
        "properties": {
            "userId": {"type": "string"},
            "online": {"type": "boolean", "description": "Whether one of them is open."},
            "connections": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["wire", "connectedAt", "isOpen"],
                    "properties": {
                        "wire": {"enum": [wire.value for wire in Wire]},
                        "connectedAt": _MOMENT,
                        "isOpen": {"type": "boolean"},
                    },
                },
            },
        },
    },
    "NewDevice": {
        "type": "object",
        "required": ["platform"],
        "properties": {
            "platform": _PLATFORM,
            "deviceId": {**_TEXT, "type": ["string", "null"], "maxLength": DEVICE_LIMIT},
        },
        "oneOf": [
            {"required": ["token"], "properties": {"token": _ADDRESS, "fid": _NOTHING}},
            {"required": ["fid"], "properties": {"fid": _ADDRESS, "token": _NOTHING}},
        ],
    },
    "Devices": {
        "type": "object",
        "required": ["userId", "devices"],
        "properties": {
            "userId": {"type": "string"},
            "devices": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id", "platform", "expiresAt"],
                    "properties": {
                        "id": {"type": "string", "description": "SHA-256 of its address."},
                        "token": {"type": "string", "description": "Shortened."},
                        "fid": {"type": "string", "description": "Shortened."},
                        "platform": _PLATFORM,
                        "deviceId": {"type": "string"},
                        "registeredAt": _MOMENT,
                        "expiresAt": _MOMENT,
                    },
                },
            },
        },
    },
}

DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Unring",
        "version": "1",
        "description": "Ends the ringing of calls over HTTPS.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    },
    "paths": {
        "/v1/signals": {
            "post": {
                "operationId": "signal",
                "summary": "Have a call ring, or cancel, reject, accept or end it.",
                "description": "A repeat is safe, and answered `already_…` with `ok: true`. The "
                "body counts as JSON whatever its type is, as a beacon has none of its own. Of "
                f"`{INITIATE}`, the user is the caller; the reply has `success` and `message` "
                "too, and what else of `ringsUntil`, `error` and `busy` there is to say. Without "
                "`deviceId` nobody knows by what he acts: all his sockets are told to stop "
                "ringing, and none of his phones is pushed.",
                "security": [{"token": []}, {}],
                "requestBody": {
                    "required": True,
                    "content": {
                        kind: {"schema": {"$ref": "#/components/schemas/Request"}}
                        for kind in ("application/json", "text/plain")
                    },
                },
                "responses": {
                    "200": _reply("It is done, or was done before.", _VERDICT),
                    **_failures("400", "401", "403", "404", "408", "409", "413", "422"),
                    **_failures("429", "503"),
                },
            }
        },
        "/v1/calls/{callId}/{signal}": {
            "post": {
                "operationId": "signalOnBehalf",
                "summary": "Cancel, reject, accept or end a call on behalf of a user.",
                "description": "For the app's backend. A repeat is safe, as above. A woken phone "
                "rejects by its ring token, for which the body may be empty.",
                "security": [{"key": []}, {"ringToken": []}],
                "parameters": [
                    _CALL_ID_IN_PATH,
                    {
                        "name": "signal",
                        "in": "path",
                        "required": True,
                        "schema": {"enum": list(SIGNALS_BY_STEP)},
                    },
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/OnBehalf"}}
                    },
                },
                "responses": {
                    "200": _reply("It is done, or was done before.", _VERDICT),
                    **_failures("400", "401", "403", "404", "408", "409", "413", "422", "503"),
                },
            }
        },
        "/v1/calls/{callId}": {
            "put": {
                "operationId": "ring",
                "summary": "Create a call, and make it ring.",
                "description": "For the app's backend. A repeat is safe, and answered "
                "`already_ringing`; another call under the same id is answered `differs`. A call "
                "whose cancel came before it is answered `already_cancelled`, and one whose "
                "receiver is in another call `busy`, if BUSY says so: they ring nobody.",
                "security": [{"key": []}],
                "parameters": [_CALL_ID_IN_PATH],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Ring"}}
                    },
                },
                "responses": {
                    "200": _reply(
                        "It rings, or is known.", {"$ref": "#/components/schemas/Ringing"}
                    ),
                    **_failures("400", "401", "404", "408", "409", "413", "422", "503"),
                },
            },
            "get": {
                "operationId": "call",
                "summary": "Whether a call still rings.",
                "description": "A call that nobody answers is `missed` (`timeout`) when its time "
                "is over, and `cancelled` (`caller_gone`) when its caller has no connection any "
                "more by which he had it ring. By a ring token it is read until ten minutes after "
                "the call's end.",
                "security": [{"token": []}, {"ringToken": []}],
                "parameters": [_CALL_ID_IN_PATH],
                "responses": {
                    "200": _reply("The call.", {"$ref": "#/components/schemas/Call"}),
                    **_failures("401", "404", "422", "429", "503"),
                },
            },
        },
        **_USER_PATHS,
    },
    "components": {
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "description": "The user's token."},
            "key": {"type": "http", "scheme": "bearer", "description": "The backend's API_KEY."},
            "ringToken": {
                "type": "http",
                "scheme": "bearer",
                "description": "What a phone was woken with: good for its call alone.",
            },
        },
        "schemas": {
            **_USER_SCHEMAS,
            "Request": {
                "oneOf": [
                    {"$ref": "#/components/schemas/Signal"},
                    {"$ref": "#/components/schemas/Initiate"},
                ]
            },
            "Signal": _request(
                {"enum": list(SIGNALS)}, "callId", callId=_CALL_ID, reason=_REASON, deviceId=_DEVICE
            ),
            "Initiate": _request(
                {"const": INITIATE},
                "receiverId",
                receiverId=_USER_ID,
                callId={
                    **_CALL_ID,
                    "type": ["string", "null"],
                    "description": "Without it, the call gets a UUID in lower case.",
                },
                ringSeconds=_RING_SECONDS,
                deviceId=_DEVICE,
                callerName={"description": "Told where the caller's identity has no name."},
            ),
            "OnBehalf": {
                "type": "object",
                "required": ["userId"],
                "properties": {
                    "userId": _USER_ID,
                    "reason": _REASON,
                    "deviceId": _DEVICE,
                },
            },
            "Ring": {
                "type": "object",
                "required": ["callerId", "receiverId"],
                "properties": {
                    "callerId": _USER_ID,
                    "receiverId": _USER_ID,
                    "ringSeconds": _RING_SECONDS,
                    "data": {
                        "type": ["object", "null"],
                        "propertyNames": {
                            "minLength": 1,
                            "pattern": r"^(?!(from|notification|message_type)$|google\.|gcm[._])",
                        },
                        "description": "What the app passes on to the receiver, unread: at most "
                        f"{PASSED_ON_LIMIT} bytes, and no name that FCM reserves.",
                    },
                    "ring": {
                        "type": ["boolean", "null"],
                        "default": True,
                        "description": "false: the call is known and can be cancelled, and "
                        "nobody is told of it yet.",
                    },
                },
            },
            "Verdict": {
                "type": "object",
                "required": ["ok", "outcome"],
                "properties": {
                    "ok": {"type": "boolean"},
                    "outcome": {"type": "string"},
                    "callId": {"type": "string"},
                    "ringsUntil": {"type": "integer", "description": "Unix ms."},
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "success": {"type": "boolean", "description": f"Of `{INITIATE}`: as `ok`."},
                    "error": {"type": "string", "description": f"Of `{INITIATE}`: as `message`."},
                    "busy": {
                        "const": True,
                        "description": f"Of `{INITIATE}`: the receiver is in another call.",
                    },
                },
            },
            "Ringing": {
                "allOf": [
                    _VERDICT,
                    {
                        "type": "object",
                        "required": ["sentAt"],
                        "properties": {
                            "sentAt": _MOMENT,
                            "expiresAt": {
                                "type": "integer",
                                "description": "When the ring ends, in Unix ms, if it is known.",
                            },
                            "ringToken": {
                                "type": "string",
                                "description": "For a phone that the backend wakes.",
                            },
                        },
                    },
                ]
            },
            "Call": {
                "type": "object",
                "required": ["callId", "status", "serverTime"],
                "properties": {
                    "callId": {"type": "string"},
                    "status": {"enum": [status.value for status in Status]},
                    "cause": {
                        "enum": [cause.value for cause in Cause],
                        "description": "Why it has ended, or stopped ringing, if we have seen it. "
                        "The two `…_elsewhere` are told to devices, and are no call's.",
                    },
                    "ringsUntil": {
                        "type": "integer",
                        "description": "Unix ms, while it rings, if it is known.",
                    },
                    "data": {
                        "type": "object",
                        "description": "What the app passes on, while it rings.",
                    },
                    "serverTime": {"type": "integer", "description": "Unix ms."},
                },
            },
        },
    },
}
