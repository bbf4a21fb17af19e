"""What we post to FCM and make of its answers, against firebase-admin's own client."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import firebase_admin
import pytest
from firebase_admin import _http_client, messaging
from firebase_admin.exceptions import FirebaseError

from functions.dialect.dialect import USUAL
from functions.ports.push_sender import PushOutcome
from functions.services import fcm
from functions.services.fcmerrors import error_in, outcome_of
from functions.services.http import Http
from functions.settings import PushSettings
from functions.wire.push import Sending
from infra.emulators.fcm import FcmServer
from tests.contract.test_fcm import device
from tests.support.makers import RECEIVER, event, now
from tests.support.pace import PATIENCE_SECONDS
from tests.support.processes import settings_of
from tests.support.rawhttp import closing, raw_server, saying

DEAD, REFUSED, FAILED = PushOutcome.DEAD, PushOutcome.REFUSED, PushOutcome.FAILED
FCM = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


def google(
    code: int, status: str, *details: dict[str, Any], message: str = "Sorry."
) -> tuple[int, str]:
    """An error as Google writes it."""
    error = {"code": code, "message": message, "status": status, "details": details}
    return code, json.dumps({"error": error})


def by_fcm(code: str) -> dict[str, Any]:
    return {"@type": FCM, "errorCode": code}


def about(field: str) -> dict[str, Any]:
    violation = {"field": field, "description": "Invalid value"}
    return {"@type": BAD_REQUEST, "fieldViolations": [violation]}


def because(reason: str) -> dict[str, Any]:
    return {
        "@type": ERROR_INFO,
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"a": "b"},
    }


NO_TOKEN = "The registration token is not a valid FCM registration token"
HTML = "<!DOCTYPE html><title>Error</title>"
ANSWERS = {
    # All that https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode has.
    "unspecified": (google(500, "INTERNAL", by_fcm("UNSPECIFIED_ERROR")), FAILED),
    "invalid": (google(400, "INVALID_ARGUMENT", by_fcm("INVALID_ARGUMENT")), REFUSED),
    "unregistered": (google(404, "NOT_FOUND", by_fcm("UNREGISTERED")), DEAD),
    "sender": (google(403, "PERMISSION_DENIED", by_fcm("SENDER_ID_MISMATCH")), REFUSED),
    "quota": (google(429, "RESOURCE_EXHAUSTED", by_fcm("QUOTA_EXCEEDED")), FAILED),
    "unavailable": (google(503, "UNAVAILABLE", by_fcm("UNAVAILABLE")), FAILED),
    "internal": (google(500, "INTERNAL", by_fcm("INTERNAL")), FAILED),
    "apple": (google(401, "UNAUTHENTICATED", by_fcm("THIRD_PARTY_AUTH_ERROR")), REFUSED),
    "apple, as it was called": (google(401, "UNAUTHENTICATED", by_fcm("APNS_AUTH_ERROR")), REFUSED),
    # What is said beside it.
    "no token": (google(400, "INVALID_ARGUMENT", message=NO_TOKEN), DEAD),
    "no token, and FCM says so": (
        google(400, "INVALID_ARGUMENT", by_fcm("INVALID_ARGUMENT"), message=NO_TOKEN),
        DEAD,
    ),
    "token": (
        google(400, "INVALID_ARGUMENT", by_fcm("INVALID_ARGUMENT"), about("message.token")),
        DEAD,
    ),
    "fid": (
        google(400, "INVALID_ARGUMENT", by_fcm("INVALID_ARGUMENT"), about("message.fid")),
        DEAD,
    ),
    "data": (google(400, "INVALID_ARGUMENT", about("message.data[0].value")), REFUSED),
    "unregistered, with more": (
        google(404, "NOT_FOUND", because("OF_THAT"), by_fcm("UNREGISTERED")),
        DEAD,
    ),
    # What is said before FCM is asked: https://cloud.google.com/apis/design/errors
    "no credential": (google(401, "UNAUTHENTICATED", because("CREDENTIALS_MISSING")), FAILED),
    "not allowed": (google(403, "PERMISSION_DENIED", because("IAM_PERMISSION_DENIED")), FAILED),
    "switched off": (google(403, "PERMISSION_DENIED", because("SERVICE_DISABLED")), FAILED),
    "no project": (google(404, "NOT_FOUND"), FAILED),
    "rate": (google(429, "RESOURCE_EXHAUSTED", because("RATE_LIMIT_EXCEEDED")), FAILED),
    **{
        f"{code} {status}": (google(code, status), FAILED)
        for code, status in (
            *((400, "FAILED_PRECONDITION"), (400, "OUT_OF_RANGE"), (409, "ABORTED")),
            *((409, "ALREADY_EXISTS"), (499, "CANCELLED"), (500, "DATA_LOSS"), (500, "UNKNOWN")),
            *((504, "DEADLINE_EXCEEDED"), (501, "UNIMPLEMENTED"), (418, "TEAPOT")),
        )
    },
    # What is not written as Google writes errors.
    "400 alone": ((400, HTML), REFUSED),
    **{
        f"{code} alone": ((code, HTML), FAILED)
        for code in (302, 401, 403, 404, 409, 412, 413, 418, 429, 500, 502, 503, 504)
    },
    "nothing": ((503, ""), FAILED),
    "a list": ((400, "[]"), REFUSED),
    "an object": ((500, "{}"), FAILED),
    "an empty error": ((404, '{"error": {}}'), FAILED),
    "an error without details": ((400, '{"error": {"status": "INVALID_ARGUMENT"}}'), REFUSED),
    "taken": ((200, '{"name": "projects/p/messages/1"}'), None),
    "taken, without a word of JSON": ((200, HTML), FAILED),
}


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[firebase_admin.App]:
    """An app of firebase-admin's, which repeats nothing."""
    monkeypatch.setattr(_http_client.DEFAULT_HTTPX_RETRY_CONFIG, "retries_left", 0)
    app = firebase_admin.initialize_app(
        fcm._LocalCredential(),
        {"projectId": "unring-test", "httpTimeout": PATIENCE_SECONDS},
        name=str(uuid4()),
    )
    yield app
    firebase_admin.delete_app(app)


def point(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Has firebase-admin take the server at `url` for FCM."""
    path = "/v1/projects/{0}/messages:send"
    monkeypatch.setattr(messaging._MessagingService, "FCM_URL", url + path)


async def by_sdk(app: firebase_admin.App, message: messaging.Message) -> FirebaseError | None:
    """What firebase-admin has against the message, after it was sent."""
    try:
        (response,) = (await messaging.send_each_async([message], app=app)).responses
    except FirebaseError as error:
        return error
    return None if response.success else response.exception


@pytest.mark.parametrize(("answer", "outcome"), ANSWERS.values(), ids=ANSWERS)
async def test_each_answer_is_to_us_what_it_is_to_the_sdk(
    answer: tuple[int, str],
    outcome: PushOutcome | None,
    sdk: firebase_admin.App,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status, body = answer
    head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n"
    async with raw_server(saying(f"{head}{body}".encode())) as server:
        point(monkeypatch, server.url)
        theirs = await by_sdk(sdk, messaging.Message(fid="phone"))
        posted_by_sdk = len(server.heads)
        settings = settings_of(PushSettings, FCM_URL=server.url)
        ours = error_in(await fcm.connect(settings)._post('{"message": {}}'))
        posted = len(server.heads) - posted_by_sdk
    assert type(ours) is type(theirs)
    assert (ours and outcome_of(ours)) is outcome
    if ours and theirs and ours.code != "UNKNOWN" and '"message"' in body:
        assert str(ours) == str(theirs)
    # Of what FCM says with 401, each has got a new access token, and has posted twice more.
    assert posted == posted_by_sdk == (3 if status == 401 else 1)


async def test_of_a_server_that_is_not_there_both_say_the_same(
    sdk: firebase_admin.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with raw_server(closing(b"")) as server:
        gone = server.url
    point(monkeypatch, gone)
    with pytest.raises(FirebaseError) as ours:
        await fcm.connect(settings_of(PushSettings, FCM_URL=gone))._post("{}")
    assert ours.type is type(await by_sdk(sdk, messaging.Message(fid="phone")))


async def test_of_a_server_that_does_not_answer_both_say_the_same(
    sdk: firebase_admin.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_: asyncio.StreamWriter) -> None:
        """No answer."""

    sdk.options._options["httpTimeout"] = 0.1
    async with raw_server(nothing) as server:
        point(monkeypatch, server.url)
        sender = fcm.connect(settings_of(PushSettings, FCM_URL=server.url))
        sender._http = Http(timeout_seconds=0.1)
        with pytest.raises(FirebaseError) as ours:
            await sender._post("{}")
        assert ours.type is type(await by_sdk(sdk, messaging.Message(fid="phone")))


async def test_a_message_is_posted_as_the_sdk_posts_it(
    sdk: firebase_admin.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FcmServer() as server:
        point(monkeypatch, server.url)
        sender = fcm.connect(settings_of(PushSettings, FCM_URL=server.url))
        said = {"reason": 'né "à" \u2028 \U0001f4de'}
        monkeypatch.setattr(fcm, "push_data", lambda *_: said)
        made, at = event(), now()
        recipient, to = made.recipients[0], device("phone", RECEIVER)
        await sender.send(made, recipient, to, at)
        await by_sdk(sdk, fcm.message(made, recipient, to.address, Sending(at, None), USUAL))
        ours, theirs = server.messages
    assert ours == theirs
