"""The embedded FCM, as the unmodified firebase_admin and plain HTTP clients see it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import firebase_admin
import httpx
import pytest
from firebase_admin import _http_client, credentials, exceptions, messaging
from google.auth.credentials import Credentials

from infra.emulators.fcm import FcmServer
from infra.emulators.fcm.errors import FcmError
from tests.support.pace import PATIENCE_SECONDS

PATH = "/v1/projects/unring/messages:send"
BEARER = {"Authorization": "Bearer made-up"}


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[FcmServer]:
    async with FcmServer() as fcm:
        yield fcm


@pytest.fixture
def fcm(running: FcmServer) -> FcmServer:
    running.clear()
    running.heal()
    return running


@pytest.fixture(scope="module")
async def client(running: FcmServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=running.url, headers=BEARER) as client:
        yield client


@pytest.fixture
def http(fcm: FcmServer, client: httpx.AsyncClient) -> httpx.AsyncClient:
    return client


class MadeUpToken(Credentials):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # google-auth leaves it untyped
        self.token = "made-up"

    def refresh(self, request: object) -> None:
        """It does not expire."""


class MadeUpCredential(credentials.Base):  # type: ignore[misc] # firebase_admin has no types
    def get_credential(self) -> MadeUpToken:
        return MadeUpToken()


@pytest.fixture(scope="module")
def app(running: FcmServer) -> Iterator[firebase_admin.App]:
    url = messaging._MessagingService.FCM_URL
    messaging._MessagingService.FCM_URL = f"{running.url}/v1/projects/{{0}}/messages:send"
    app = firebase_admin.initialize_app(
        MadeUpCredential(), {"projectId": "unring", "httpTimeout": 5}, name="test-fcm"
    )
    yield app
    messaging._MessagingService.FCM_URL = url
    # The service's own close() needs a loop of its own, and its sockets are local.
    firebase_admin._apps.pop(app.name)


# The SDK would have every token be a fid; the apps that Unring talks to register tokens.
pytestmark = pytest.mark.filterwarnings("ignore:Message.token is deprecated:DeprecationWarning")


async def send(app: firebase_admin.App, *tokens: str) -> list[messaging.SendResponse]:
    messages = [messaging.Message(token=token, data={"type": "call_cancelled"}) for token in tokens]
    batch = await messaging.send_each_async(messages, app=app)
    responses: list[messaging.SendResponse] = batch.responses
    return responses


async def test_a_message_of_the_sdk_lies_in_the_inbox_as_it_was_sent(
    fcm: FcmServer, http: httpx.AsyncClient, app: firebase_admin.App
) -> None:
    message = messaging.Message(
        token="phone-1",
        data={"type": "call_cancelled", "callId": "CALL_1", "callerId": "USR_1"},
        android=messaging.AndroidConfig(
            priority="high",
            ttl=timedelta(seconds=59.5),
            collapse_key="CALL_1",
            direct_boot_ok=True,
            notification=messaging.AndroidNotification(
                title="t", priority="max", visibility="public"
            ),
        ),
        apns=messaging.APNSConfig(
            headers={"apns-priority": "5", "apns-collapse-id": "CALL_1"},
            payload=messaging.APNSPayload(messaging.Aps(content_available=True)),
        ),
        webpush=messaging.WebpushConfig(headers={"Urgency": "high", "TTL": "59"}),
        fcm_options=messaging.FCMOptions(analytics_label="cancel"),
    )
    (response,) = (await messaging.send_each_async([message], app=app)).responses
    assert response.exception is None
    assert response.message_id.startswith("projects/unring/messages/")
    expected = messaging._MessagingService.encode_message(message)
    assert (await http.get("/messages")).json() == [expected]
    assert expected["android"]["ttl"] == "59.500000000s"
    assert fcm.messages == [expected]


async def test_the_inbox_is_in_order_and_can_be_emptied(
    http: httpx.AsyncClient, app: firebase_admin.App
) -> None:
    for token in ("a", "b", "c"):
        await send(app, token)
    inbox = (await http.get("/messages")).json()
    assert [message["token"] for message in inbox] == ["a", "b", "c"]
    assert (await http.delete("/messages")).status_code == 204
    assert (await http.get("/messages")).json() == []


async def test_a_dry_run_is_answered_but_not_delivered(
    fcm: FcmServer, app: firebase_admin.App
) -> None:
    message = messaging.Message(token="a")
    batch = await messaging.send_each_async([message], dry_run=True, app=app)
    assert batch.responses[0].message_id == "projects/unring/messages/fake_message_id"
    assert fcm.messages == []


@pytest.mark.parametrize(
    ("error", "kind", "requests"),
    [
        (FcmError.UNREGISTERED, messaging.UnregisteredError, 1),
        (FcmError.SENDER_ID_MISMATCH, messaging.SenderIdMismatchError, 1),
        (FcmError.INVALID_ARGUMENT, exceptions.InvalidArgumentError, 1),
        (FcmError.QUOTA_EXCEEDED, messaging.QuotaExceededError, 1),
        # On 401 the SDK refreshes its credential and repeats, twice.
        (FcmError.THIRD_PARTY_AUTH_ERROR, messaging.ThirdPartyAuthError, 3),
    ],
)
async def test_an_error_on_demand_is_the_exception_of_the_sdk(
    fcm: FcmServer,
    app: firebase_admin.App,
    error: FcmError,
    kind: type[Exception],
    requests: int,
) -> None:
    token = f"token-{error}"
    fcm.fail(token, error)
    failed, sent = await send(app, token, "healthy")
    assert type(failed.exception) is kind
    assert sent.exception is None
    assert [message["token"] for message in fcm.messages] == ["healthy"]
    assert fcm.attempts(token) == requests


async def test_one_token_alone_is_healed(fcm: FcmServer, app: firebase_admin.App) -> None:
    fcm.fail("first", FcmError.UNREGISTERED)
    fcm.fail("second", FcmError.UNREGISTERED)
    fcm.heal("first")
    fcm.heal("never failed")
    healed, failed = await send(app, "first", "second")
    assert healed.exception is None
    assert type(failed.exception) is messaging.UnregisteredError


@pytest.mark.thorough
async def test_500_and_503_reach_the_caller_after_four_repeats_of_the_sdk(
    fcm: FcmServer, app: firebase_admin.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The one slow test here: the SDK waits 0, 1, 2 and 4 s between its five requests, unless
    # somebody in this process has told it not to.
    monkeypatch.setattr(_http_client.DEFAULT_HTTPX_RETRY_CONFIG, "retries_left", 4)
    fcm.fail("unavailable", FcmError.UNAVAILABLE, retry_after=60)
    fcm.fail("internal", FcmError.INTERNAL)
    fcm.fail("soon", FcmError.UNAVAILABLE, times=1)
    unavailable, internal, soon = await send(app, "unavailable", "internal", "soon")
    assert type(unavailable.exception) is exceptions.UnavailableError
    assert type(internal.exception) is exceptions.InternalError
    assert soon.exception is None
    attempts = [fcm.attempts(token) for token in ("unavailable", "internal", "soon")]
    assert attempts == [5, 5, 2]
    assert unavailable.exception.http_response.headers["retry-after"] == "60"


async def test_an_error_lasts_for_as_many_sends_as_it_was_told(
    fcm: FcmServer, http: httpx.AsyncClient
) -> None:
    asked = {"token": "a", "error": "QUOTA_EXCEEDED", "times": 2, "retryAfterSeconds": 7}
    assert (await http.post("/errors", json=asked)).status_code == 204
    body = {"message": {"token": "a"}}
    answers = [await http.post(PATH, json=body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert answers[0].json() == {
        "error": {
            "code": 429,
            "message": "Resource has been exhausted.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {
                    "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError",
                    "errorCode": "QUOTA_EXCEEDED",
                }
            ],
        }
    }


async def test_a_device_fails_by_its_installation_id_too(
    fcm: FcmServer, app: firebase_admin.App
) -> None:
    fcm.fail("fid-1", FcmError.UNREGISTERED)
    batch = await messaging.send_each_async([messaging.Message(fid="fid-1")], app=app)
    assert type(batch.responses[0].exception) is messaging.UnregisteredError


async def test_errors_can_be_taken_back(fcm: FcmServer, http: httpx.AsyncClient) -> None:
    await http.post("/errors", json={"token": "a", "error": "unregistered", "times": None})
    body = {"message": {"token": "a"}}
    assert (await http.post(PATH, json=body)).status_code == 404
    assert (await http.post(PATH, json=body)).status_code == 404
    assert (await http.delete("/errors")).status_code == 204
    assert (await http.post(PATH, json=body)).status_code == 200


@pytest.mark.parametrize(
    "asked",
    [
        [],
        {},
        {"token": "a"},
        {"token": 1, "error": "INTERNAL"},
        {"token": "a", "error": "NO_SUCH_ERROR"},
        {"token": "a", "error": 5},
        {"token": "a", "error": "INTERNAL", "times": 0},
        {"token": "a", "error": "INTERNAL", "times": "2"},
        {"token": "a", "error": "INTERNAL", "retryAfterSeconds": -1},
    ],
)
async def test_an_error_that_cannot_be_asked_for_is_refused(
    http: httpx.AsyncClient, asked: object
) -> None:
    answer = await http.post("/errors", json=asked)
    assert answer.status_code == 400
    assert answer.json()["error"]


async def test_a_hanging_send_is_answered_only_when_the_server_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fcm = FcmServer()
    await fcm.start()
    wait_for, asked_for = fcm.wait_for, asyncio.Queue[int]()

    async def noted(count: int, timeout: float) -> object:  # noqa: ASYNC109 - as the server's own
        asked_for.put_nowait(count)
        return await wait_for(count, timeout)

    monkeypatch.setattr(fcm, "wait_for", noted)
    fcm.fail("a", FcmError.HANG)
    async with httpx.AsyncClient(
        base_url=fcm.url, headers=BEARER, timeout=PATIENCE_SECONDS
    ) as http:
        hanging = asyncio.create_task(http.post(PATH, json={"message": {"token": "a"}}))
        waiting = asyncio.create_task(http.get("/messages?wait=60"))
        await http.post(PATH, json={"message": {"topic": "news"}})  # another is not held up
        assert (await waiting).json() == [{"topic": "news"}]
        waiting = asyncio.create_task(http.get("/messages?wait=60&count=2"))
        while await asked_for.get() != 2:
            pass  # a server that stops answers only those that it has heard
        while fcm.attempts("a") == 0:
            await http.get("/messages")
        assert not hanging.done()
        await fcm.stop()
        await fcm.stop()
        assert (await hanging).status_code == 503
        assert len((await waiting).json()) == 1
        with pytest.raises(RuntimeError):
            _ = fcm.url
        assert fcm.messages == [{"topic": "news"}]


async def test_the_inbox_can_be_waited_for(fcm: FcmServer, http: httpx.AsyncClient) -> None:
    polling = asyncio.create_task(http.get("/messages?wait=30&count=2"))
    waiting = asyncio.create_task(fcm.wait_for(2, timeout=30))
    for token in ("a", "b"):
        assert not waiting.done()
        await http.post(PATH, json={"message": {"token": token}})
    assert [message["token"] for message in (await polling).json()] == ["a", "b"]
    assert [message["token"] for message in await waiting] == ["a", "b"]
    with pytest.raises(TimeoutError):
        await fcm.wait_for(3, timeout=0.01)
    assert len((await http.get("/messages?wait=0.01&count=3")).json()) == 2
    for query in ("wait=x", "wait=nan", "wait=-1", "count=x"):
        assert (await http.get(f"/messages?{query}")).status_code == 400


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer"}, {"Authorization": "Basic eA"}])
async def test_without_a_bearer_token_nobody_sends(fcm: FcmServer, header: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=fcm.url, headers=header) as http:
        answer = await http.post(PATH, json={"message": {"token": "a"}})
    assert answer.status_code == 401
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
    assert fcm.messages == []


def to(**fields: Any) -> dict[str, Any]:
    return {"message": {"token": "a", **fields}}


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({}, "message", "not set"),
        ([], "", "Invalid value"),
        ({"message": {}}, "message", "Recipient of the message is not set."),
        ({"message": {"token": ""}}, "message", "Recipient of the message is not set."),
        ({"message": {"token": "a", "fid": "b"}}, "message", "Cannot set 'fid'"),
        ({"message": {"token": "a", "topic": "b"}}, "message", "Cannot set 'topic'"),
        ({"message": {"token": "a", "condition": "b"}}, "message", "Cannot set 'condition'"),
        ({"message": {"topic": "/topics/a"}}, "message.topic", "Invalid topic name"),
        ({"message": {"condition": "a in topics"}}, "message.condition", "Invalid condition"),
        (
            {"message": {"condition": " || ".join(["'a' in topics"] * 6)}},
            "message.condition",
            "five",
        ),
        ({"messages": []}, None, 'Unknown name "messages": Cannot find field.'),
        ({**to(), "validateOnly": "yes"}, "validate_only", "TYPE_BOOL"),
        (to(tokens=["a"]), "message", "Unknown name \"tokens\" at 'message'"),
        (to(data={"a": 1}), "message.data[0].value", "(TYPE_STRING), 1"),
        (to(data={"a": "1", "b": True}), "message.data[1].value", "(TYPE_STRING), true"),
        (to(data={"a": {}}), "message.data[0].value", "(TYPE_STRING)"),
        (to(data={"a": None}), "message.data[0].value", "(TYPE_STRING), null"),
        (to(data="a"), "message.data", "Invalid value"),
        (to(data={"from": "x"}), "message.data", "Invalid data payload key: from"),
        (to(data={"message_type": "x"}), "message.data", "message_type"),
        (to(data={"google.sent": "x"}), "message.data", "google.sent"),
        (to(data={"gcm.x": "x"}), "message.data", "gcm.x"),
        (to(android={"data": {"gcm": "x"}}), "message.android.data", "gcm"),
        (to(data={"k": "x" * 4096}), "message", "too large"),
        (to(data={"k": "é" * 2048}), "message", "too large"),
        (to(apns={"payload": {"aps": {}, "x": "y" * 4090}}), "message", "too large"),
        ({"message": {"topic": "a", "data": {"k": "x" * 2048}}}, "message", "too large"),
        (to(android={"ttl": "3"}), "message.android.ttl", "Duration"),
        (to(android={"ttl": 3}), "message.android.ttl", "Duration"),
        (to(android={"ttl": "3m"}), "message.android.ttl", "Duration"),
        (to(android={"ttl": "3.0000000001s"}), "message.android.ttl", "Duration"),
        (to(android={"ttl": "-1s"}), "message.android.ttl", "not between"),
        (to(android={"ttl": "2419201s"}), "message.android.ttl", "not between"),
        (to(android={"priority": "urgent"}), "message.android.priority", "AndroidMessagePriority"),
        (to(android={"priority": 10}), "message.android.priority", "AndroidMessagePriority"),
        (to(android={"collapse_keys": "a"}), "message.android", "collapse_keys"),
        (
            to(android={"notification": {"sticky": 1}}),
            "message.android.notification.sticky",
            "BOOL",
        ),
        (to(apns={"headers": {"apns-priority": 5}}), "message.apns.headers[0].value", "STRING), 5"),
        (to(apns={"payload": []}), "message.apns.payload", "Struct"),
        (to(webpush={"ttl": "1"}), "message.webpush", "ttl"),
        (
            to(webpush={"fcmOptions": {"link": "http://a"}}),
            "message.webpush.fcm_options.link",
            "HTTPS",
        ),
        (
            to(android={"fcmOptions": {"analyticsLabel": "a b"}}),
            "message.android.fcm_options.analytics_label",
            "label",
        ),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict | list) else "",
)
async def test_a_bad_message_is_refused_with_what_is_wrong(
    fcm: FcmServer, http: httpx.AsyncClient, body: object, field: str | None, says: str
) -> None:
    answer = await http.post(PATH, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    assert says in error["message"]
    (bad_request,) = [each for each in error["details"] if each["@type"].endswith("BadRequest")]
    (violation,) = bad_request["fieldViolations"]
    assert says in violation["description"]
    assert violation.get("field") == (field or None)
    assert fcm.messages == []


async def test_every_unknown_field_is_named(http: httpx.AsyncClient) -> None:
    answer = await http.post(PATH, json={"to": "a", "priority": "high", "data": {}})
    violations = answer.json()["error"]["details"][0]["fieldViolations"]
    assert len(violations) == 3


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"message": NaN}', b'{"message": {"token": "\\ud800"}}', b"\xff", b"[" * 100_000],
)
async def test_what_is_no_json_is_refused(http: httpx.AsyncClient, content: bytes) -> None:
    answer = await http.post(PATH, content=content)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Invalid JSON payload received. Unexpected token."


@pytest.mark.parametrize(
    "message",
    [
        {"token": "a"},
        {"fid": "a"},
        {"topic": "news"},
        {"condition": "'a' in topics && ('b' in topics || !('c' in topics))"},
        {"token": "a", "topic": None, "data": None},
        {"token": "a", "data": {"collapse_key": "x", "k": "x" * 4082}},
        {"token": "a", "android": {"priority": "HIGH", "ttl": "3.5s", "collapseKey": "a"}},
        {"token": "a", "android": {"priority": "normal", "ttl": "0s", "directBootOk": True}},
        {"token": "a", "android": {"ttl": "2419200s"}},
        {"token": "a", "webpush": {"fcm_options": {"link": "https://a"}, "notification": {"x": 1}}},
    ],
    ids=lambda value: json.dumps(value)[:60],
)
async def test_a_good_message_is_accepted_as_it_is(
    fcm: FcmServer, http: httpx.AsyncClient, message: dict[str, Any]
) -> None:
    answer = await http.post(PATH, json={"message": message})
    assert answer.status_code == 200, answer.text
    assert (await http.get("/messages")).json() == [message]


async def test_a_taken_port_is_an_error(fcm: FcmServer) -> None:
    port = int(fcm.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        await FcmServer(port=port).start()
