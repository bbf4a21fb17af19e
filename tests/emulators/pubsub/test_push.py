"""Push delivery of the embedded Pub/Sub, to real HTTP endpoints."""

import asyncio
import base64
import json
import re
import socket
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.pubsub_v1 import SubscriberClient
from google.pubsub_v1 import PublisherAsyncClient, SubscriberAsyncClient, types
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infra.emulators.http import serving
from infra.emulators.pubsub import PubSubServer
from infra.emulators.pubsub.subscription import backoff
from tests.emulators.pubsub.support import PULL, TOPIC, clients_at, message
from tests.support.pace import PATIENCE_SECONDS

GRAVE = "projects/unring/topics/dead-letters"
PUSH = "projects/unring/subscriptions/push"
TINY = types.RetryPolicy(
    minimum_backoff=timedelta(milliseconds=10), maximum_backoff=timedelta(milliseconds=20)
)
HANG = "hang"


class Receivers:
    """Push endpoints at `url`/NAME; each gives its planned answers in turn, then 204s."""

    def __init__(self) -> None:
        self.url = ""
        self.plans: dict[str, list[int | str]] = defaultdict(list)
        self.bodies: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.headers: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.gates: dict[str, asyncio.Event] = {}
        self._changed = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        name = request.path_params["name"]
        self.headers[name].append(dict(request.headers))
        self.bodies[name].append(await request.json())
        self._changed.set()
        if name in self.gates:
            await self.gates[name].wait()
        plan = self.plans[name]
        planned = plan.pop(0) if plan else 204
        if planned == HANG:
            await asyncio.Event().wait()
        return Response(status_code=int(planned))

    async def wait_for(self, name: str, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.bodies[name]) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.bodies[name]


@pytest.fixture(scope="module")
async def all_receivers() -> AsyncIterator[Receivers]:
    receivers = Receivers()
    app = Starlette(routes=[Route("/{name}", receivers.answer, methods=["POST"])])
    async with serving(app, grace=0) as receivers.url:
        yield receivers


@pytest.fixture
def receivers(all_receivers: Receivers) -> Receivers:
    for state in (all_receivers.plans, all_receivers.bodies, all_receivers.headers):
        state.clear()
    all_receivers.gates.clear()
    return all_receivers


def subscription(endpoint: str, name: str = PUSH, **settings: Any) -> types.Subscription:
    return types.Subscription(
        {"name": name, "topic": TOPIC, "push_config": {"push_endpoint": endpoint}, **settings}
    )


@dataclass(frozen=True)
class Pushing:
    """The embedded Pub/Sub, its clients, and the endpoints it pushes to."""

    server: PubSubServer
    publisher: PublisherAsyncClient
    subscriber: SubscriberAsyncClient
    receivers: Receivers

    async def subscribe(self, endpoint: str = "a", name: str = PUSH, **settings: Any) -> None:
        """Creates a subscription that pushes to the receiver called `endpoint`, which a busy
        machine gives time to answer: the longest ack deadline passes in six seconds."""
        patient = {"ack_deadline_seconds": 600}
        await self.subscriber.create_subscription(
            subscription(f"{self.receivers.url}/{endpoint}", name, **{**patient, **settings})
        )

    async def publish(self, *messages: types.PubsubMessage) -> list[str]:
        """Gives the ids of the messages."""
        sent = await self.publisher.publish(topic=TOPIC, messages=list(messages))
        return list(sent.message_ids)

    async def settled(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.server.idle()


@pytest.fixture
def pushing(
    server: PubSubServer,
    publisher: PublisherAsyncClient,
    subscriber: SubscriberAsyncClient,
    receivers: Receivers,
) -> Pushing:
    return Pushing(server, publisher, subscriber, receivers)


async def test_a_push_is_the_wrapped_message_of_the_real_service(
    pushing: Pushing, receivers: Receivers
) -> None:
    await pushing.subscribe()
    before = datetime.now(UTC)
    (sent,) = await pushing.publish(message(b'{"a": "\xc3\xa9"}', event="call:cancelled"))
    (body,) = await receivers.wait_for("a", 1)
    time = body["message"]["publishTime"]
    assert body == {
        "message": {
            "attributes": {"event": "call:cancelled"},
            "data": base64.b64encode(b'{"a": "\xc3\xa9"}').decode(),
            "messageId": sent,
            "message_id": sent,
            "publishTime": time,
            "publish_time": time,
        },
        "subscription": PUSH,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    assert abs(datetime.fromisoformat(time) - before) < timedelta(minutes=1)
    assert receivers.headers["a"][0]["content-type"] == "application/json"
    assert "authorization" not in receivers.headers["a"][0]


async def test_a_push_leaves_out_what_is_empty(pushing: Pushing, receivers: Receivers) -> None:
    await pushing.subscribe()
    await pushing.publish(message(b"", a="1"))
    await pushing.publish(message(b"x"))
    bodies = await receivers.wait_for("a", 2)
    assert sorted(
        ("data" in each["message"], "attributes" in each["message"]) for each in bodies
    ) == [
        (False, True),
        (True, False),
    ]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_these_statuses_acknowledge(
    status: int, pushing: Pushing, receivers: Receivers
) -> None:
    await pushing.subscribe()
    receivers.plans["a"] = [status]
    await pushing.publish(message())
    await pushing.settled()
    assert len(receivers.bodies["a"]) == 1


@pytest.mark.parametrize("status", [203, 205, 302, 400, 404, 429, 500, 503])
async def test_every_other_status_is_a_nack(
    status: int, pushing: Pushing, receivers: Receivers
) -> None:
    await pushing.subscribe(retry_policy=TINY)
    receivers.plans["a"] = [status]
    await pushing.publish(message())
    await pushing.settled()
    first, second = receivers.bodies["a"]
    assert first == second


async def test_attempts_are_counted_when_there_is_a_dead_letter_policy(
    pushing: Pushing, receivers: Receivers
) -> None:
    await pushing.publisher.create_topic(name=GRAVE)
    policy = types.DeadLetterPolicy(dead_letter_topic=GRAVE)
    await pushing.subscribe(retry_policy=TINY, dead_letter_policy=policy)
    receivers.plans["a"] = [500, 429]
    await pushing.publish(message())
    await pushing.settled()
    assert [each["deliveryAttempt"] for each in receivers.bodies["a"]] == [1, 2, 3]


async def test_no_answer_within_the_ack_deadline_is_a_nack(
    pushing: Pushing, receivers: Receivers
) -> None:
    await pushing.subscribe(retry_policy=TINY, ack_deadline_seconds=100)
    receivers.plans["a"] = [HANG]
    await pushing.publish(message())
    await pushing.settled()
    assert len(receivers.bodies["a"]) == 2


async def test_an_endpoint_that_is_down_gets_the_message_once_it_is_up(pushing: Pushing) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    await pushing.subscriber.create_subscription(
        subscription(f"http://127.0.0.1:{port}/late", retry_policy=TINY)
    )
    await pushing.publish(message())
    late = Receivers()
    app = Starlette(routes=[Route("/{name}", late.answer, methods=["POST"])])
    async with serving(app, port=port):
        await late.wait_for("late", 1)
        await pushing.settled()


async def test_after_the_last_attempt_a_message_lies_in_the_dead_letter_topic(
    pushing: Pushing, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pushing.publisher.create_topic(name=GRAVE)
    await pushing.subscriber.create_subscription(name=PULL, topic=GRAVE)
    policy = types.DeadLetterPolicy(dead_letter_topic=GRAVE, max_delivery_attempts=5)
    await pushing.subscribe(retry_policy=TINY, dead_letter_policy=policy)
    receivers.plans["a"] = [500] * 10
    (sent,) = await pushing.publish(message(b"poison", event="call:ended"))
    await pushing.settled()
    assert [each["deliveryAttempt"] for each in receivers.bodies["a"]] == [1, 2, 3, 4, 5]
    assert pushing.server.outstanding(PUSH) == 0

    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pushing.server.address)
    with SubscriberClient() as reader:
        request = {"subscription": PULL, "max_messages": 10}
        pulled = await asyncio.to_thread(reader.pull, request=request)
        (letter,) = pulled.received_messages
        assert letter.message.data == b"poison"
        assert letter.message.message_id != sent
        attributes = dict(letter.message.attributes)
        published = attributes.pop("CloudPubSubDeadLetterSourceTopicPublishTime")
        original = receivers.bodies["a"][0]["message"]["publishTime"]
        assert published == original.replace("Z", "+00:00")
        assert attributes == {
            "event": "call:ended",
            "CloudPubSubDeadLetterSourceDeliveryCount": "5",
            "CloudPubSubDeadLetterSourceSubscription": "push",
            "CloudPubSubDeadLetterSourceSubscriptionProject": "unring",
        }
        acknowledgement = {"subscription": PULL, "ack_ids": [letter.ack_id]}
        await asyncio.to_thread(reader.acknowledge, request=acknowledgement)
    assert pushing.server.outstanding(PULL) == 0


async def test_without_its_dead_letter_topic_a_message_is_tried_on(
    pushing: Pushing, receivers: Receivers
) -> None:
    await pushing.publisher.create_topic(name=GRAVE)
    policy = types.DeadLetterPolicy(dead_letter_topic=GRAVE, max_delivery_attempts=5)
    await pushing.subscribe(retry_policy=TINY, dead_letter_policy=policy)
    await pushing.publisher.delete_topic(topic=GRAVE)
    receivers.plans["a"] = [500] * 6
    await pushing.publish(message())
    await pushing.settled()
    assert len(receivers.bodies["a"]) == 7


async def test_each_subscription_gets_what_its_filter_matches(
    pushing: Pushing, receivers: Receivers
) -> None:
    filters = {"all": "", "rung": 'attributes.push = "yes"', "rest": 'attributes.push != "yes"'}
    for name, text in filters.items():
        await pushing.subscribe(name, f"{PUSH}-{name}", filter=text)
    messages = [message(b"1", push="yes"), message(b"2", push="no"), message(b"3")]
    await pushing.publish(*messages)
    await pushing.settled()
    got = {
        name: sorted(base64.b64decode(each["message"]["data"]) for each in receivers.bodies[name])
        for name in filters
    }
    assert got == {"all": [b"1", b"2", b"3"], "rung": [b"1"], "rest": [b"2", b"3"]}


async def test_a_later_subscription_does_not_get_earlier_messages(
    pushing: Pushing, receivers: Receivers
) -> None:
    await pushing.publish(message(b"early"))
    await pushing.subscribe()
    await pushing.publish(message(b"late"))
    await pushing.settled()
    (body,) = receivers.bodies["a"]
    assert base64.b64decode(body["message"]["data"]) == b"late"


async def test_messages_are_delivered_side_by_side(pushing: Pushing, receivers: Receivers) -> None:
    await pushing.subscribe(ack_deadline_seconds=600)
    receivers.gates["a"] = asyncio.Event()
    # More than an HTTP client keeps connections by itself.
    messages = [message(str(number).encode()) for number in range(110)]
    await pushing.publish(*messages)
    await receivers.wait_for("a", 110)
    # All of them are under way before the first is answered.
    assert len({each["message"]["messageId"] for each in receivers.bodies["a"]}) == 110
    assert pushing.server.outstanding(PUSH) == 110
    receivers.gates["a"].set()
    await pushing.settled()
    assert len(receivers.bodies["a"]) == 110


async def test_a_push_carries_an_identity_token_if_one_is_configured(
    pushing: Pushing, receivers: Receivers
) -> None:
    account = "pubsub@unring.iam.gserviceaccount.com"
    for name, audience in (("a", "https://push.example"), ("b", "")):
        token = {"service_account_email": account, "audience": audience}
        config = types.PushConfig(push_endpoint=f"{receivers.url}/{name}", oidc_token=token)
        await pushing.subscriber.create_subscription(
            name=f"{PUSH}-{name}", topic=TOPIC, push_config=config
        )
    await pushing.publish(message())
    for name, audience in (("a", "https://push.example"), ("b", f"{receivers.url}/b")):
        await receivers.wait_for(name, 1)
        scheme, shown = receivers.headers[name][0]["authorization"].split(" ")
        header, claims, signature = shown.split(".")
        assert scheme == "Bearer"
        assert json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "none", "typ": "JWT"}
        assert signature == ""
        claimed = json.loads(base64.urlsafe_b64decode(claims + "=="))
        assert (claimed["aud"], claimed["email"]) == (audience, account)
        assert claimed["exp"] > datetime.now(UTC).timestamp() > claimed["exp"] - 3700


async def test_a_new_endpoint_gets_what_the_old_one_refused(
    pushing: Pushing, receivers: Receivers
) -> None:
    await pushing.subscribe("old", retry_policy=TINY)
    receivers.plans["old"] = [500] * 1000
    await pushing.publish(message())
    await receivers.wait_for("old", 2)
    changed = await pushing.subscriber.update_subscription(
        subscription=subscription(f"{receivers.url}/new"),
        update_mask={"paths": ["push_config"]},
    )
    assert changed.push_config.push_endpoint == f"{receivers.url}/new"
    await pushing.settled()
    assert len(receivers.bodies["new"]) == 1


async def test_push_can_be_turned_off_and_on_without_losing_a_message(
    pushing: Pushing, receivers: Receivers
) -> None:
    await pushing.subscriber.create_subscription(name=PULL, topic=TOPIC)
    await pushing.publish(message())
    config = types.PushConfig(push_endpoint=f"{receivers.url}/a")
    await pushing.subscriber.modify_push_config(subscription=PULL, push_config=config)
    await receivers.wait_for("a", 1)
    await pushing.settled()
    await pushing.subscriber.modify_push_config(subscription=PULL, push_config=types.PushConfig())
    await pushing.publish(message(b"y"))
    pulled = await pushing.subscriber.pull(subscription=PULL, max_messages=5)
    assert [each.message.data for each in pulled.received_messages] == [b"y"]
    assert len(receivers.bodies["a"]) == 1


async def test_a_deleted_subscription_tries_no_more(
    pushing: Pushing, receivers: Receivers, caplog: pytest.LogCaptureFixture
) -> None:
    await pushing.subscribe(retry_policy=TINY)
    receivers.plans["a"] = [500] * 1000
    await pushing.publish(message())
    await receivers.wait_for("a", 2)
    await pushing.subscriber.delete_subscription(subscription=PUSH)
    await pushing.settled()
    tried = len(receivers.bodies["a"])
    # A second subscription that fails and succeeds meanwhile is the clock of this test.
    await pushing.subscribe("clock", f"{PUSH}-clock", retry_policy=TINY)
    receivers.plans["clock"] = [500] * 20
    await pushing.publish(message())
    await receivers.wait_for("clock", 21)
    assert len(receivers.bodies["a"]) == tried
    assert not [record for record in caplog.records if record.name == "asyncio"]


def _is_ours(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and "/infra/emulators/" in code.co_filename


async def test_stop_ends_deliveries_and_leaves_no_task_and_no_port(receivers: Receivers) -> None:
    before = asyncio.all_tasks()
    server = PubSubServer()
    await server.start()
    address = server.address
    async with clients_at(address) as (publisher, subscriber):
        await publisher.create_topic(name=TOPIC)
        await subscriber.create_subscription(subscription(f"{receivers.url}/hanging"))
        await subscriber.create_subscription(
            subscription(f"{receivers.url}/failing", f"{PUSH}-failing")
        )
        await subscriber.create_subscription(
            types.Subscription(name=PULL, topic=TOPIC, filter="attributes:never")
        )
        receivers.plans["hanging"] = [HANG]
        receivers.plans["failing"] = [500] * 1000
        await publisher.publish(topic=TOPIC, messages=[message()])
        await receivers.wait_for("hanging", 1)
        await receivers.wait_for("failing", 1)
        pulling = asyncio.ensure_future(
            subscriber.pull(subscription=PULL, max_messages=1, retry=None)
        )
        waiting = asyncio.ensure_future(server.idle())
        await asyncio.wait([pulling, waiting], timeout=0.05)
        assert not pulling.done()
        assert not waiting.done()
        await asyncio.wait_for(server.stop(), PATIENCE_SECONDS)
        await server.stop()
        with pytest.raises(exceptions.GoogleAPICallError):
            await asyncio.wait_for(pulling, PATIENCE_SECONDS)
        await asyncio.wait_for(waiting, PATIENCE_SECONDS)
    left = asyncio.all_tasks() - before
    assert not {task for task in left if _is_ours(task)}
    host, _, port = address.partition(":")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))
    with pytest.raises(RuntimeError):
        _ = server.address


async def test_a_taken_port_is_an_error() -> None:
    async with PubSubServer() as server:
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(RuntimeError):
            await PubSubServer(port=port).start()


@pytest.mark.parametrize(
    ("config", "delays"),
    [
        (
            subscription(
                "http://a",
                retry_policy={
                    "minimum_backoff": timedelta(seconds=1),
                    "maximum_backoff": timedelta(seconds=10),
                },
            ),
            [1, 2, 4, 8, 10, 10],
        ),
        (subscription("http://a", retry_policy=TINY), [0.01, 0.02, 0.02, 0.02, 0.02, 0.02]),
        (subscription("http://a"), [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]),
        (types.Subscription(name=PULL), [0, 0, 0, 0, 0, 0]),
    ],
)
def test_back_off_doubles_between_its_bounds(
    config: types.Subscription, delays: list[float]
) -> None:
    assert [backoff(config, failures) for failures in range(1, 7)] == delays
    assert backoff(config, 5000) <= 600
