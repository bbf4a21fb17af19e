"""Cloud Run's front: who gets through to a function, and what the function then sees."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from google.pubsub_v1 import types
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import request_response

from infra.emulators.auth.tokens import account_claims, unsigned
from infra.emulators.cloudrun.invoker import Front, Issuer
from infra.emulators.http import serving
from infra.emulators.pubsub import PubSubServer
from infra.emulators.scheduler import Scheduler
from tests.emulators.pubsub.support import TOPIC, clients_at, message
from tests.support.forgery import forgeries
from tests.support.pace import PATIENCE_SECONDS

CALLER = "unring-caller@unring-test.iam.gserviceaccount.com"
HOUR, NO_TIME = timedelta(hours=1), timedelta(0)
STRANGER = "somebody@unring-test.iam.gserviceaccount.com"


@dataclass
class Function:
    """Answers as it is told, and remembers what reached it."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Response = field(default_factory=lambda: Response(status_code=204))

    async def take(self, request: Request) -> Response:
        self.requests.append(request)
        self.bodies.append(await request.body())
        self.came.set()
        return self.answer


@pytest.fixture
async def function() -> AsyncIterator[Function]:
    made = Function()
    async with serving(request_response(made.take), lifespan="off") as made.url:
        yield made


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def front(function: Function, issuer: Issuer) -> AsyncIterator[Front]:
    async with Front(lambda: function.url, issuer, {CALLER}) as front:
        yield front


async def call(
    front: Front, headers: list[tuple[str, str]], path: str = "", method: str = "POST"
) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.request(method, front.url + path, headers=headers, content=b"body")


def bearer(token: str) -> list[tuple[str, str]]:
    return [("Authorization", f"Bearer {token}")]


# Who gets through


async def test_who_may_invoke_the_function_gets_through(
    front: Front, function: Function, issuer: Issuer
) -> None:
    function.answer = Response(b"answer", 418, {"X-Own": "its"}, "application/own")
    headers = [*bearer(issuer.token(CALLER, front.url)), ("X-Mine", "1"), ("X-Mine", "2")]
    answer = await call(front, headers, "/a%2Fb?c=%20d", "PUT")
    assert (answer.status_code, answer.content) == (418, b"answer")
    assert (answer.headers["x-own"], answer.headers["content-type"]) == ("its", "application/own")
    (request,) = function.requests
    assert (request.method, function.bodies) == ("PUT", [b"body"])
    assert request.scope["raw_path"] == b"/a%2Fb"
    assert request.scope["query_string"] == b"c=%20d"
    assert request.headers.getlist("x-mine") == ["1", "2"]
    assert "user-agent" in request.headers


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_the_function_sees_who_called_but_can_not_be_the_caller(
    front: Front, function: Function, issuer: Issuer, scheme: str
) -> None:
    token = issuer.token(CALLER, front.url)
    await call(front, [("Authorization", f"{scheme} {token}")])
    (seen,) = function.requests[0].headers.getlist("authorization")
    head, _, signature = token.rpartition(".")
    assert seen == f"{scheme} {head}.SIGNATURE_REMOVED_BY_GOOGLE"
    assert signature not in seen
    assert (await call(front, [("Authorization", seen)])).status_code == 401


async def test_a_token_may_come_in_cloud_runs_own_header_which_then_counts_alone(
    front: Front, function: Function, issuer: Issuer
) -> None:
    own, good = "X-Serverless-Authorization", issuer.token(CALLER, front.url)
    both = [(own, f"Bearer {good}"), ("Authorization", "the application's")]
    assert (await call(front, both)).status_code == 204
    seen = function.requests[0].headers
    assert seen["authorization"] == "the application's"
    assert seen[own].endswith(".SIGNATURE_REMOVED_BY_GOOGLE")
    swapped = [(own, "Bearer garbage"), *bearer(good)]
    assert (await call(front, swapped)).status_code == 401


# Who doesn't


@pytest.mark.parametrize(
    "headers",
    [[], [("Authorization", "")], [("Authorization", "Basic dXNlcjpwYXNz")]],
    ids=["nothing", "empty", "basic"],
)
async def test_without_a_token_the_answer_is_403(
    front: Front, function: Function, headers: list[tuple[str, str]]
) -> None:
    for method in ("GET", "POST", "PUT", "OPTIONS"):
        answer = await call(front, headers, "/<b>", method)
        assert answer.status_code == 403
        assert answer.headers["content-type"].startswith("text/html")
        assert "<h1>Error: Forbidden</h1>" in answer.text
        assert "<b>" not in answer.text
        assert "www-authenticate" not in answer.headers
    assert function.requests == []


async def test_an_account_that_may_not_invoke_the_function_is_answered_403(
    front: Front, function: Function, issuer: Issuer
) -> None:
    for email in (STRANGER, "", CALLER.upper(), f"{CALLER}.example.com"):
        answer = await call(front, bearer(issuer.token(email, front.url)))
        assert answer.status_code == 403
    assert function.requests == []


async def test_a_bad_token_is_answered_401(
    front: Front, function: Function, issuer: Issuer
) -> None:
    good = account_claims(CALLER, front.url, datetime.now(UTC))
    head, _, signature = issuer.sign(good).split(".")
    other_payload = issuer.sign({**good, "email": STRANGER}).split(".")[1]
    deep = base64.urlsafe_b64encode(b"[" * 9_000).decode()
    bad = {
        **forgeries(good, issuer.key.id, issuer.key.certificate("accounts.google.com")),
        "garbage": "garbage",
        "three dots": "...",
        "deep": f"{deep}.e30.AA",
        "another payload": f"{head}.{other_payload}.{signature}",
        "expired": issuer.sign(account_claims(CALLER, front.url, datetime.now(UTC) - 2 * HOUR)),
        "from the future": issuer.sign({**good, "iat": int(time.time()) + 600}),
        "for another function": issuer.token(CALLER, "http://127.0.0.1:1"),
        "for the path, too": issuer.token(CALLER, f"{front.url}/"),
        "of another issuer": issuer.sign({**good, "iss": "https://accounts.example.com"}),
        "not verified": issuer.sign({**good, "email_verified": False}),
        "without an address": issuer.sign({k: v for k, v in good.items() if k != "email"}),
        "without an end": issuer.sign({k: v for k, v in good.items() if k != "exp"}),
    }
    for why, token in bad.items():
        answer = await call(front, bearer(token))
        assert answer.status_code == 401, why
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert "<h1>Error: Unauthorized</h1>" in answer.text
    twice = 2 * bearer(issuer.sign(good))
    assert (await call(front, twice)).status_code == 401
    assert function.requests == []


async def test_a_function_that_is_not_there_is_answered_for(issuer: Issuer) -> None:
    async with Front(lambda: "http://127.0.0.1:9", issuer, {CALLER}) as front:
        answer = await call(front, bearer(issuer.token(CALLER, front.url)))
        assert answer.status_code == 503
        assert (await call(front, [])).status_code == 403


# Those who call in the cloud


async def test_a_push_gets_through_if_pubsub_signs_its_token(
    front: Front, function: Function, issuer: Issuer
) -> None:
    token = {"service_account_email": CALLER, "audience": front.url}
    config = types.PushConfig(push_endpoint=front.url, oidc_token=token)
    for sign, through in ((unsigned, 0), (issuer.sign, 1)):
        async with PubSubServer(sign=sign) as pubsub, clients_at(pubsub.address) as clients:
            publisher, subscriber = clients
            await publisher.create_topic(name=TOPIC)
            dead = f"{TOPIC}-dead"
            await publisher.create_topic(name=dead)
            subscription = types.Subscription(
                name="projects/unring/subscriptions/push",
                topic=TOPIC,
                push_config=config,
                dead_letter_policy={"dead_letter_topic": dead, "max_delivery_attempts": 5},
                retry_policy={"minimum_backoff": NO_TIME, "maximum_backoff": NO_TIME},
            )
            await subscriber.create_subscription(request=subscription)
            await publisher.publish(topic=TOPIC, messages=[message(b"x")])
            await pubsub.idle()
            assert len(function.requests) == through


async def test_the_scheduler_shows_a_token_with_every_call(
    front: Front, function: Function, issuer: Issuer
) -> None:
    every = timedelta(milliseconds=1)

    def headers() -> dict[str, str]:
        return dict(bearer(issuer.token(CALLER, front.url)))

    with Scheduler(front.url, every, headers):
        for _ in range(2):
            function.came.clear()
            await asyncio.wait_for(function.came.wait(), PATIENCE_SECONDS)
