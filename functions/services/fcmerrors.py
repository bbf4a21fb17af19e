"""What FCM answers, as firebase-admin's errors, and what each says of the device.

https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode has FCM's own codes, and
https://cloud.google.com/apis/design/errors those of all of Google's services.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import msgspec
from firebase_admin import exceptions, messaging

from functions.ports.push_sender import PushOutcome
from functions.services.http import Answer

# What FCM says of a token that no app can have, with INVALID_ARGUMENT and without naming a field.
_NO_TOKEN = "registration token is not a valid"  # noqa: S105
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BY_FCM_CODE: Mapping[str, type[exceptions.FirebaseError]] = {
    "APNS_AUTH_ERROR": messaging.ThirdPartyAuthError,
    "QUOTA_EXCEEDED": messaging.QuotaExceededError,
    "SENDER_ID_MISMATCH": messaging.SenderIdMismatchError,
    "THIRD_PARTY_AUTH_ERROR": messaging.ThirdPartyAuthError,
    "UNREGISTERED": messaging.UnregisteredError,
}
_BY_CODE: Mapping[str, type[exceptions.FirebaseError]] = {
    exceptions.ABORTED: exceptions.AbortedError,
    exceptions.ALREADY_EXISTS: exceptions.AlreadyExistsError,
    exceptions.CANCELLED: exceptions.CancelledError,
    exceptions.CONFLICT: exceptions.ConflictError,
    exceptions.DATA_LOSS: exceptions.DataLossError,
    exceptions.DEADLINE_EXCEEDED: exceptions.DeadlineExceededError,
    exceptions.FAILED_PRECONDITION: exceptions.FailedPreconditionError,
    exceptions.INTERNAL: exceptions.InternalError,
    exceptions.INVALID_ARGUMENT: exceptions.InvalidArgumentError,
    exceptions.NOT_FOUND: exceptions.NotFoundError,
    exceptions.OUT_OF_RANGE: exceptions.OutOfRangeError,
    exceptions.PERMISSION_DENIED: exceptions.PermissionDeniedError,
    exceptions.RESOURCE_EXHAUSTED: exceptions.ResourceExhaustedError,
    exceptions.UNAUTHENTICATED: exceptions.UnauthenticatedError,
    exceptions.UNAVAILABLE: exceptions.UnavailableError,
}
# The code of an answer that has none, as it comes from what stands before FCM.
_CODE_OF_STATUS: Mapping[int, str] = {
    400: exceptions.INVALID_ARGUMENT,
    401: exceptions.UNAUTHENTICATED,
    403: exceptions.PERMISSION_DENIED,
    404: exceptions.NOT_FOUND,
    409: exceptions.CONFLICT,
    412: exceptions.FAILED_PRECONDITION,
    429: exceptions.RESOURCE_EXHAUSTED,
    500: exceptions.INTERNAL,
    503: exceptions.UNAVAILABLE,
}


class _Violation(msgspec.Struct):
    field: str = ""


class _Detail(msgspec.Struct, rename="camel"):
    type: str = msgspec.field(default="", name="@type")
    error_code: str = ""
    field_violations: list[_Violation] = []


class _Error(msgspec.Struct):
    status: str = ""
    message: str = ""
    details: list[_Detail] = []


class _Body(msgspec.Struct):
    error: _Error = msgspec.field(default_factory=_Error)


def error_in(answer: Answer) -> exceptions.FirebaseError | None:
    """What FCM has against a message; None if it has taken it."""
    if 200 <= answer.status < 300:
        return None if _is_json(answer.body) else exceptions.UnknownError("the answer is no JSON")
    error = _error(answer.body)
    code = error.status or _CODE_OF_STATUS.get(answer.status, exceptions.UNKNOWN)
    kind = _BY_CODE.get(code, exceptions.UnknownError)
    fcm_code = next((each.error_code for each in error.details if each.type == _FCM_ERROR), "")
    return _BY_FCM_CODE.get(fcm_code, kind)(
        error.message or f"HTTP {answer.status}", http_response=answer
    )


def outcome_of(error: exceptions.FirebaseError) -> PushOutcome:
    match error:
        case messaging.UnregisteredError():
            return PushOutcome.DEAD
        # The fault may be ours: the wrong project, or one whose key for Apple's phones is wrong.
        case messaging.SenderIdMismatchError() | messaging.ThirdPartyAuthError():
            return PushOutcome.REFUSED
        case exceptions.InvalidArgumentError():
            return PushOutcome.DEAD if _is_about_token(error) else PushOutcome.REFUSED
        case _:
            return PushOutcome.FAILED


def retry_after(error: exceptions.FirebaseError, now: datetime) -> timedelta | None:
    """How long FCM asks us to wait, in seconds or until a date; None if it doesn't say."""
    answer = error.http_response
    header = answer.headers.get("retry-after", "") if answer is not None else ""
    try:
        if header.isdecimal():
            return timedelta(seconds=int(header))
        return parsedate_to_datetime(header) - now
    except (OverflowError, TypeError, ValueError):
        return None


def _is_about_token(error: exceptions.InvalidArgumentError) -> bool:
    """Whether FCM refuses the token, which nobody can mend, rather than what we send to it."""
    details = _error(error.http_response.body).details
    fields = {each.field for detail in details for each in detail.field_violations}
    return _NO_TOKEN in str(error) or not {"message.token", "message.fid"}.isdisjoint(fields)


def _error(body: bytes) -> _Error:
    """As Google writes it; an empty one if the body is anything else."""
    try:
        return msgspec.json.decode(body, type=_Body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Error()


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
