"""Who may not call the functions, nor speak in API Gateway's name, and what comes of trying."""

import base64
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from google.cloud.firestore import AsyncClient
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from functions.calls.event import CallEvent
from functions.clients.connection import Wire
from functions.published import ConnectionAccepted, encode
from infra.client.calls import Calls, client_at
from infra.client.phone import JsonPhone, json_phone
from infra.emulators.auth.signing import SigningKey
from infra.emulators.auth.tokens import account_claims, unsigned
from infra.local.functions import Function
from infra.local.stack import Options, Stack, running
from infra.local.topology import API, caller
from tests.support.attackers import attacker, connection_of
from tests.support.chosen import chosen
from tests.support.forgery import forgeries
from tests.support.makers import event, fields_of
from tests.support.processes import environment
from tests.support.stacks import Ids

pytestmark = pytest.mark.thorough

PRIVATE = pytest.mark.parametrize("function", ["deliver", "push", "ring", "sweep"])


@pytest.fixture
def stack(signed_stack: Stack) -> Stack:
    return signed_stack


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        yield http


# The gateway's secret


def forwarded(secret: str | None, connection: str, event_type: str = "MESSAGE") -> dict[str, str]:
    """The headers of a request that API Gateway forwards."""
    return {
        "unring-connection-id": connection,
        "unring-event-type": event_type,
        "unring-request-time": "1700000000000",
        **({} if secret is None else {"unring-secret": secret}),
    }


async def test_without_its_secret_the_gateway_takes_no_frame_for_anybody(
    stack: Stack, documents: AsyncClient, calls: Calls, ids: Ids, http: httpx.AsyncClient
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    frame = f'{{"event": "call:cancel", "data": {{"callId": "{ids.call}"}}}}'
    url, secret = stack.functions["gateway"], stack.secret
    async with json_phone(stack.websocket, stack.token(ids.caller)) as phone:
        connection = await connection_of(documents, ids.caller)

        async def post(secret: str | None, event_type: str = "MESSAGE", **more: str) -> int:
            headers = {**forwarded(secret, connection, event_type), **more}
            return (await http.post(url, headers=headers, content=frame)).status_code

        wrong = (None, "", "x", secret[:-1], f"{secret}x", secret.swapcase(), f"'{secret}'")
        several = (f"{secret},{secret}", f"{secret}, x", f"x,{secret}")
        for guess, event_type in itertools.product(
            (*wrong, *several), ("CONNECT", "MESSAGE", "DISCONNECT")
        ):
            assert await post(guess, event_type) == 403, guess
        for header in ("authorization", "x-unring-secret", "unring_secret", "cookie"):
            assert await post(None, **{header: secret}) == 403
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            refused = await http.request(method, url, headers=forwarded("x", connection))
            assert refused.status_code == 403
        assert (await http.post(f"{url}/?unring-secret={secret}")).status_code == 403
        assert await calls.status(ids.call) == "ringing"
        assert await calls.is_connected(ids.caller)
        # The same frame in API Gateway's name: it was the secret that kept it out.
        assert await post(secret) == 200
        assert await calls.status(ids.call) == "cancelled"
        assert (await phone.emit("call:cancel", callId=ids.call))["outcome"] == "already_cancelled"


async def test_a_secret_is_good_until_it_is_no_longer_the_one_before(
    tmp_path: Path, http: httpx.AsyncClient
) -> None:
    first, second, third = ("a" * 32, "b" * 32, "c" * 32)
    values = {**environment(), "FIRESTORE_EMULATOR_HOST": "127.0.0.1:9"}

    def generation(current: str, previous: str) -> dict[str, str]:
        return {**values, "GATEWAY_SECRET": current, "GATEWAY_SECRET_PREVIOUS": previous}

    async with Function("gateway", generation(second, first), tmp_path) as gateway:

        async def accepted() -> list[int]:
            return [
                (await http.post(gateway.url, headers=forwarded(secret, "c="))).status_code
                for secret in (first, second, third)
            ]

        assert await accepted() == [200, 200, 403]
        await gateway.replace(generation(third, second))
        assert await accepted() == [403, 200, 200]


# API Gateway's own headers, sent by a client


@pytest.fixture(scope="module")
async def joining_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """An API Gateway that adds its headers to the client's of the same name: AWS does not say."""
    options = Options(
        port=0,
        gateway=replace(API, client_sent_mapped_header="join"),
        logs=tmp_path_factory.mktemp("logs"),
    )
    async with running(options) as stack:
        yield stack


OURS = ["Unring-Connection-Id", "Unring-Event-Type", "Unring-Request-Time", "Unring-Secret"]


@pytest.fixture(params=["signed", "joining"])
def either_stack(request: pytest.FixtureRequest) -> Stack:
    stack: Stack = chosen(request, "stack")
    return stack


async def test_a_client_can_not_speak_in_api_gateways_name(either_stack: Stack, ids: Ids) -> None:
    stack = either_stack
    replaces = stack.signers is not None
    calls = Calls(stack.firestore, stack.project)
    documents = client_at(stack.firestore, stack.project)
    token = stack.token("USR_STRANGER")
    async with (
        json_phone(stack.websocket, stack.token(ids.caller)) as phone,
        json_phone(stack.websocket, stack.token(ids.receiver)) as victim,
    ):
        assert stack.queue
        await stack.queue.idle()  # that it has opened may be noted later
        connection = await connection_of(documents, ids.receiver)
        before = await fields_of(documents, "connections", connection)
        said = dict(zip(OURS, (connection, "DISCONNECT", "1", stack.secret), strict=True))
        for names in (*([name] for name in OURS), OURS, [name.upper() for name in OURS]):
            forged = {name: said[name.title()] for name in names}
            in_query = "&".join(f"{name}={value}" for name, value in forged.items())
            statuses = [
                await status(stack.websocket, Authorization=f"Bearer {token}", **forged),
                await status(f"{stack.websocket}?token={token}&{in_query}"),
            ]
            assert statuses[1] == 101
            assert statuses[0] == 101 if replaces else statuses[0] in (400, 403)
        for user in ("Unring-User-Id", "unring-user-id"):
            claim = {user: ids.receiver, "Authorization": f"Bearer {token}"}
            assert await status(stack.websocket, **claim) == 401
        assert await fields_of(documents, "connections", connection) == before
        await cancelled(calls, ids, phone)
        assert (await victim.told("call:cancelled"))["callId"] == ids.call


async def status(url: str, **headers: str) -> int:
    """Of a handshake; 101 when it is accepted."""
    try:
        async with connect(url, additional_headers=headers):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


async def cancelled(calls: Calls, ids: Ids, phone: JsonPhone) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    assert (await phone.emit("call:cancel", callId=ids.call))["ok"]


# The identity of the subscriptions and of the scheduler


def delivery(made: CallEvent | ConnectionAccepted) -> dict[str, object]:
    """What Pub/Sub would push."""
    data = base64.b64encode(encode(made)).decode()
    return {"message": {"messageId": "1", "data": data}, "subscription": "projects/p/s/x"}


def ending(ids: Ids) -> CallEvent:
    """That the caller has given up, which it has not."""
    return event(call=ids.call, caller=ids.caller, receiver=ids.receiver)


@pytest.fixture
def tokens(stack: Stack) -> Callable[[str], dict[str, str]]:
    """Tokens with which the function at a URL may not be called, by what is wrong with them."""

    def of(url: str) -> dict[str, str]:
        assert stack.signers
        google, account = stack.signers.callers, caller(stack.project)
        claims = account_claims(account, url, datetime.now(UTC))
        ago = datetime.now(UTC) - timedelta(hours=2)
        gateway = stack.functions["gateway"]
        return {
            **forgeries(claims, google.key.id, google.key.certificate("accounts.google.com")),
            "as the emulators push": unsigned(claims),
            "expired": google.sign(account_claims(account, url, ago)),
            "for gateway": google.token(account, gateway),
            "for all": google.token(account, "*"),
            "for @connections": google.token(account, "unring-local"),
            "of an app's user": stack.token(account),
            "of another issuer": google.sign({**claims, "iss": "https://example.com"}),
            "by a new key": SigningKey.new().sign(claims),
        }

    return of


@PRIVATE
async def test_a_function_is_called_by_nobody_but_its_invoker(
    stack: Stack, tokens: Callable[[str], dict[str, str]], function: str, http: httpx.AsyncClient
) -> None:
    assert stack.signers
    url = stack.functions[function]
    for why, token in tokens(url).items():
        for header in ("Authorization", "X-Serverless-Authorization"):
            answer = await http.post(url, headers={header: f"Bearer {token}"}, json={})
            assert answer.status_code == 401, why
    accounts = ("gateway", "deliver", "push", "ring", "sweep", "builder")
    for account in (*(f"unring-{name}" for name in accounts), "project-owner"):
        email = f"{account}@{stack.project}.iam.gserviceaccount.com"
        good = stack.signers.callers.token(email, url)
        answer = await http.post(url, headers={"Authorization": f"Bearer {good}"}, json={})
        assert answer.status_code == 403, account
    elsewhere = caller("another-project")
    foreign = {"Authorization": f"Bearer {stack.signers.callers.token(elsewhere, url)}"}
    assert (await http.post(url, headers=foreign, json={})).status_code == 403
    for other in {"deliver", "push", "ring", "sweep"} - {function}:
        assert (await http.post(url, headers=stack.headers(other), json={})).status_code == 401
    for method in ("GET", "POST", "HEAD", "PUT", "OPTIONS"):
        assert (await http.request(method, f"{url}/robots.txt")).status_code == 403
    secret = forwarded(stack.secret, "c=")
    assert (await http.post(url, headers=secret, json={})).status_code == 403
    assert (await http.get(url, headers=stack.headers(function))).status_code == 200


async def test_nobody_is_told_or_pushed_what_an_attacker_has_made_up(
    stack: Stack,
    tokens: Callable[[str], dict[str, str]],
    calls: Calls,
    documents: AsyncClient,
    ids: Ids,
    http: httpx.AsyncClient,
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    # As if it were true: nothing but who they are shall keep the attackers out.
    await documents.collection("calls").document(ids.call).update({"status": "cancelled"})
    envelope = delivery(ending(ids))
    async with attacker(stack, Wire.JSON, stack.token(ids.receiver)) as victim:
        await victim.ask("device:register", {"token": ids.token, "platform": "android"})
        for function in ("deliver", "push"):
            url = stack.functions[function]
            for token in ("", *tokens(url).values()):
                shown = {"Authorization": f"Bearer {token}"} if token else {}
                assert (await http.post(url, headers=shown, json=envelope)).status_code >= 400
        assert await victim.hears_nothing()
        assert stack.fcm.attempts(ids.token) == 0
        # The same in Pub/Sub's name: it was the identity that kept it out.
        for function in ("deliver", "push"):
            url, headers = stack.functions[function], stack.headers(function)
            assert (await http.post(url, headers=headers, json=envelope)).status_code == 204
        assert ids.call in await victim.told()
        assert stack.fcm.attempts(ids.token) == 1


# The sockets themselves


async def test_nobody_but_the_functions_posts_to_a_socket_or_closes_it(
    stack: Stack, documents: AsyncClient, ids: Ids, http: httpx.AsyncClient
) -> None:
    async with attacker(stack, Wire.JSON, stack.token(ids.receiver)) as victim:
        connection = await connection_of(documents, ids.receiver)
        url = f"{stack.connections}/{connection.replace('=', '%3D')}"
        for headers in (
            {},
            {"Authorization": f"Bearer {stack.token(ids.caller)}"},
            {"unring-secret": stack.secret},
            stack.headers("deliver"),
        ):
            for method in ("POST", "DELETE", "GET"):
                answer = await http.request(method, url, headers=headers, content=b'{"event":"x"}')
                assert answer.status_code == 403
        assert await victim.hears_nothing()
