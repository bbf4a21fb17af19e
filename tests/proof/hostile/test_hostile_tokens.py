"""Whose token it is not: forged, foreign, of another time, or of somebody else."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from google.cloud.firestore import AsyncClient
from websockets.exceptions import InvalidStatus

from functions.clients.connection import Wire
from infra.client.calls import Calls
from infra.client.phone import json_phone
from infra.emulators.auth.keys import TokenKeys
from infra.emulators.auth.tokens import user_claims
from infra.local.functions import Function
from infra.local.stack import Stack
from tests.support.attackers import Attacker, attacker, connected
from tests.support.forgery import forgeries
from tests.support.makers import ids_in
from tests.support.processes import SECRET, environment
from tests.support.stacks import Ids

pytestmark = pytest.mark.thorough

WIRES = pytest.mark.parametrize("wire", Wire)
SOCKET_IO = pytest.mark.parametrize("wire", [Wire.EIO3, Wire.EIO4])


@pytest.fixture
def stack(signed_stack: Stack) -> Stack:
    return signed_stack


@pytest.fixture
async def bad_tokens(stack: Stack, ids: Ids) -> dict[str, str]:
    """Tokens that say the caller's name, or nobody's, by what is wrong with them."""
    assert stack.signers
    google, user = stack.signers.users, ids.caller
    async with httpx.AsyncClient(trust_env=False) as http:
        ((key_id, certificate),) = (await http.get(google.url)).json().items()
    claims = user_claims(user, stack.project, 3600)
    head, _, signature = google.sign("USR_STRANGER").split(".")
    payload = google.sign(user).split(".")[1]
    toolkit = "https://identitytoolkit.googleapis.com/google.identity"
    return {
        **forgeries(claims, key_id, certificate),
        # All of these Google has signed, and by the same keys for every project there is.
        "another payload": f"{head}.{payload}.{signature}",
        "another project": google.sign(
            user, aud="another", iss="https://securetoken.google.com/another"
        ),
        "for another project": google.sign(user, aud="another"),
        "for several projects": google.sign(user, aud=[stack.project, "another"]),
        "by another project": google.sign(user, iss="https://securetoken.google.com/another"),
        "by another service": google.sign(user, iss=f"https://example.com/{stack.project}"),
        "a session cookie": google.sign(
            user, iss=f"https://session.firebase.google.com/{stack.project}"
        ),
        "a custom token": google.sign(user, aud=f"{toolkit}.identitytoolkit.v1.IdentityToolkit"),
        "expired": google.sign(user, lifetime_seconds=-60),
        "expired just now": google.sign(user, lifetime_seconds=0),
        "from the future": google.sign(user, iat=claims["exp"]),
        "of nobody": google.sign(""),
        "of somebody too long": google.sign("x" * 129),
        "a service account's": stack.headers("deliver")["Authorization"].partition(" ")[2],
    }


# Forged and foreign tokens


async def test_a_json_client_with_a_bad_token_does_not_get_in(
    stack: Stack, documents: AsyncClient, ids: Ids, bad_tokens: dict[str, str]
) -> None:
    before = await ids_in(documents, "connections")
    for why, token in bad_tokens.items():
        with pytest.raises(InvalidStatus) as refused:
            async with connected(stack, token=token):
                pytest.fail(why)
        assert refused.value.response.status_code == 401, why
    assert await ids_in(documents, "connections") <= before
    async with connected(stack, token=stack.token(ids.caller)):
        pass


@SOCKET_IO
async def test_a_socketio_client_with_a_bad_token_is_nobody(
    stack: Stack, calls: Calls, ids: Ids, bad_tokens: dict[str, str], wire: Wire
) -> None:
    await calls.ring(ids.call, ids.caller, ids.receiver)
    for why, token in bad_tokens.items():
        async with attacker(stack, wire, token) as client:
            (answer,) = client.heard
            assert answer.startswith("44"), why
            assert "the token" in answer, why
            assert await is_nobody(client, ids), why
    assert await calls.status(ids.call) == "ringing"
    async with attacker(stack, wire, stack.token(ids.caller)) as client:
        assert (await client.verdict("call:cancel", {"callId": ids.call}))["ok"]


async def is_nobody(client: Attacker, ids: Ids) -> bool:
    """Whether the connection may neither end a call nor have a device."""
    answers = [
        await client.verdict("call:cancel", {"callId": ids.call}),
        await client.verdict("call:reject", {"callId": ids.call}),
        await client.verdict("device:register", {"token": ids.token, "platform": "web"}),
        await client.verdict("device:unregister", {"token": ids.token}),
    ]
    return all(
        (answer["outcome"], answer["field"]) == ("forbidden", "connection") for answer in answers
    )


# Good tokens, and a name that is not theirs


@pytest.mark.parametrize("where", ["together", "name first", "token first"])
@SOCKET_IO
async def test_who_says_to_be_somebody_else_is_nobody_and_hears_nothing(
    stack: Stack, calls: Calls, ids: Ids, wire: Wire, where: str
) -> None:
    token, victim = stack.token("USR_STRANGER"), ids.receiver
    queries: dict[str, dict[str, str]] = {
        "together": {"token": token, "userId": victim},
        "name first": {"userId": victim},
        "token first": {"token": token},
    }
    said = {
        "together": "{}",
        "name first": f'{{"token":"{token}"}}',
        "token first": f'{{"userId":"{victim}"}}',
    }[where]
    async with (
        connected(stack, **queries[where], EIO=wire.value[-1], transport="websocket") as socket,
        json_phone(stack.websocket, stack.token(ids.caller)) as caller,
    ):
        client = Attacker(socket, wire)
        assert (await client.next()).startswith("0{")
        if wire is Wire.EIO3:
            await client.next()
        assert "userId is not the token's" in await client.answer(f"40{said}")
        await calls.ring(ids.call, ids.caller, ids.receiver)
        assert await is_nobody(client, ids)
        assert (await caller.emit("call:cancel", callId=ids.call))["ok"]
        await calls.until_delivered(ids.call)
        assert await client.hears_nothing()


async def test_a_json_client_stays_who_it_is(stack: Stack, calls: Calls, ids: Ids) -> None:
    """Not even another good token changes it: only Socket.IO clients ask to be let in."""
    async with (
        attacker(stack, Wire.JSON, stack.token("USR_STRANGER")) as client,
        json_phone(stack.websocket, stack.token(ids.caller)) as caller,
    ):
        for frame in (
            f'40{{"token":"{stack.token(ids.receiver)}","userId":"{ids.receiver}"}}',
            f'40{{"userId":"{ids.receiver}"}}',
        ):
            assert await client.answer(frame) == "6"
        await calls.ring(ids.call, ids.caller, ids.receiver)
        rejected = await client.verdict("call:reject", {"callId": ids.call})
        assert rejected["outcome"] == "not_found"
        assert (await caller.emit("call:cancel", callId=ids.call))["ok"]
        await calls.until_delivered(ids.call)
        assert await client.hears_nothing()


# Keys that change


@pytest.fixture
async def keys() -> AsyncIterator[TokenKeys]:
    async with TokenKeys(environment()["GOOGLE_CLOUD_PROJECT"], max_age_seconds=0) as keys:
        yield keys


async def test_what_a_withdrawn_key_has_signed_is_good_no_more(
    keys: TokenKeys, embedded_firestore: str, tmp_path: Path
) -> None:
    values = {
        **environment(),
        "FIRESTORE_EMULATOR_HOST": embedded_firestore,
        "PUBSUB_EMULATOR_HOST": "127.0.0.1:9",
        "ID_TOKEN_KEYS_URL": keys.url,
    }
    async with AsyncExitStack() as parts:
        gateway = await parts.enter_async_context(Function("gateway", values, tmp_path))
        http = await parts.enter_async_context(httpx.AsyncClient(timeout=30))

        async def status(token: str) -> int:
            headers = {
                "unring-secret": SECRET,
                "unring-connection-id": "rotating=",
                "unring-event-type": "CONNECT",
                "unring-token": token,
            }
            return (await http.post(gateway.url, headers=headers)).status_code

        old = keys.sign("USR_1")
        assert await status(old) == 200
        keys.rotate()
        assert await status(old) == 401
        assert await status(keys.sign("USR_1")) == 200
