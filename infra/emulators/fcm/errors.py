"""The error answers of FCM HTTP v1."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from starlette.responses import JSONResponse, Response

from infra.emulators.fcm.message import InvalidMessage


class FcmError(StrEnum):
    """What FCM can be told to answer; HANG is no answer at all."""

    UNREGISTERED = "UNREGISTERED"
    SENDER_ID_MISMATCH = "SENDER_ID_MISMATCH"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"
    THIRD_PARTY_AUTH_ERROR = "THIRD_PARTY_AUTH_ERROR"
    HANG = "HANG"


# The HTTP status, google.rpc.Code and text that come with each error code.
_ANSWERS = {
    FcmError.UNREGISTERED: (404, "NOT_FOUND", "Requested entity was not found."),
    FcmError.SENDER_ID_MISMATCH: (403, "PERMISSION_DENIED", "SenderId mismatch"),
    FcmError.INVALID_ARGUMENT: (
        400,
        "INVALID_ARGUMENT",
        "The registration token is not a valid FCM registration token",
    ),
    FcmError.QUOTA_EXCEEDED: (429, "RESOURCE_EXHAUSTED", "Resource has been exhausted."),
    FcmError.UNAVAILABLE: (503, "UNAVAILABLE", "The service is currently unavailable."),
    FcmError.INTERNAL: (500, "INTERNAL", "Internal error encountered."),
    FcmError.THIRD_PARTY_AUTH_ERROR: (401, "UNAUTHENTICATED", "Auth error from APNS or Web Push"),
}


def invalid(error: InvalidMessage) -> Response:
    violations = [
        {name: text for name in ("field", "description") if (text := getattr(each, name))}
        for each in error.violations
    ]
    details: list[dict[str, Any]] = [
        {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}
    ]
    if error.by_fcm:
        details.append(_code(FcmError.INVALID_ARGUMENT))
    return _error(400, "INVALID_ARGUMENT", str(error), details)


def failure(error: FcmError, retry_after: int | None = None) -> Response:
    """`retry_after` in seconds."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return _error(*_ANSWERS[error], [_code(error)], headers)


def unauthenticated() -> Response:
    text = "Request is missing required authentication credential."
    return _error(401, "UNAUTHENTICATED", text, [_reason("CREDENTIALS_MISSING")])


def _code(error: FcmError) -> dict[str, Any]:
    kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    return {"@type": kind, "errorCode": error.value}


def _reason(reason: str) -> dict[str, Any]:
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    return {"@type": kind, "reason": reason, "domain": "googleapis.com"}


def _error(
    code: int,
    status: str,
    message: str,
    details: list[dict[str, Any]],
    headers: Mapping[str, str] | None = None,
) -> Response:
    """An error as all of Google's JSON APIs write it."""
    error = {"code": code, "message": message, "status": status, "details": details}
    return JSONResponse({"error": error}, status_code=code, headers=headers)
