"""Users that are not Firebase's: an app comes with the tokens that it has, to the whole stack."""

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import jwt
import pytest
from google.cloud.firestore import FieldFilter
from websockets.exceptions import InvalidStatus

from functions.clients.connection import Wire
from functions.collections import USUAL
from infra.client.calls import Calls, client_at
from infra.client.phone import json_phone, socketio_phone
from infra.emulators.auth.oidc import OidcIssuer
from infra.emulators.auth.opaque import OpaqueTokens
from infra.emulators.auth.tokens import unsigned, unsigned_token
from infra.local.identities import SECRET, signed_token
from infra.local.stack import Options, Stack, running
from tests.support.attackers import attacker, connected
from tests.support.forgery import forgeries


@pytest.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack that takes every kind of token, and checks all of them."""
    settings = {"IDENTITY": "firebase,oidc,secret,introspection"}
    logs: Path = tmp_path_factory.mktemp("logs")
    async with running(Options(port=0, signed=True, settings=settings, logs=logs)) as made:
        yield made


@pytest.fixture
def issuer(stack: Stack) -> OidcIssuer:
    assert stack.identities.oidc
    return stack.identities.oidc


@pytest.fixture
def backend(stack: Stack) -> OpaqueTokens:
    assert stack.identities.opaque
    return stack.identities.opaque


@pytest.fixture
def kinds(
    stack: Stack, issuer: OidcIssuer, backend: OpaqueTokens
) -> Mapping[str, Callable[[str], str]]:
    """How a user of each kind gets a token."""
    return {
        "firebase": stack.token,
        "oidc": issuer.sign,
        "secret": signed_token,
        "introspection": backend.issue,
    }


async def test_users_of_every_kind_cancel_each_others_calls(
    stack: Stack, kinds: Mapping[str, Callable[[str], str]]
) -> None:
    calls = Calls(stack.firestore, stack.project)
    names = list(kinds)
    for caller, receiver in zip(names, names[1:] + names[:1], strict=True):
        call = f"CALL_{caller}"
        await calls.ring(call, f"USR_{caller}", f"USR_{receiver}")
        async with (
            json_phone(stack.websocket, kinds[caller](f"USR_{caller}")) as his,
            socketio_phone(stack.websocket, kinds[receiver](f"USR_{receiver}")) as hers,
        ):
            assert (await his.emit("call:cancel", callId=call))["outcome"] == "cancelled"
            assert (await hers.told("call:cancelled"))["callId"] == call


async def test_a_user_of_every_kind_is_known_by_his_name(
    stack: Stack, kinds: Mapping[str, Callable[[str], str]]
) -> None:
    client = client_at(stack.firestore, stack.project)
    connections = client.collection(USUAL.named("connections"))
    for kind, token in kinds.items():
        user = f"USR_named_{kind}"
        for phone in json_phone, socketio_phone:
            async with phone(stack.websocket, token(user)):
                query = connections.where(filter=FieldFilter("userId", "==", user))
                (found,) = await query.get()
                assert found.get("profile") == {"name": f"User {user}"}, kind


async def test_a_backend_that_is_down_makes_a_client_come_again(
    stack: Stack, backend: OpaqueTokens
) -> None:
    backend.is_down = True
    token = backend.issue("USR_9")
    with pytest.raises(InvalidStatus) as unavailable:
        async with json_phone(stack.websocket, token):
            pytest.fail("let in")
    assert unavailable.value.response.status_code == 503
    backend.is_down = False
    async with json_phone(stack.websocket, token):
        pass


async def test_nobody_gets_in_by_a_token_that_is_none(
    stack: Stack, issuer: OidcIssuer, backend: OpaqueTokens
) -> None:
    claims = issuer.claims("USR_1")
    mine = {"sub": "USR_1", "exp": 4_000_000_000}
    bad = {
        **{
            f"{why}, of the issuer": token
            for why, token in forgeries(
                claims, issuer.key.id, issuer.key.certificate("issuer")
            ).items()
        },
        "for another audience": issuer.sign("USR_1", aud="another"),
        "for no audience": issuer.sign("USR_1", aud=None),
        "without an end": issuer.sign("USR_1", exp=None),
        "expired": issuer.sign("USR_1", exp=1),
        "from the future": issuer.sign("USR_1", iat=4_000_000_000),
        "of nobody": issuer.sign(""),
        "of another issuer": issuer.sign("USR_1", iss="https://issuer.example"),
        "of Firebase, signed by the issuer": issuer.sign(
            "USR_1", iss=f"https://securetoken.google.com/{stack.project}"
        ),
        "of another project": unsigned_token("USR_1", "another"),
        "signed by nobody": unsigned(mine),
        "signed with another secret": jwt.encode(mine, "x" * 32),
        "signed with the secret, without an end": jwt.encode({"sub": "USR_1"}, SECRET),
        "signed with the secret, otherwise": jwt.encode(mine, SECRET * 2, "HS512"),
        "the issuer's, signed with the secret": jwt.encode({**claims, "sub": ""}, SECRET),
        "opaque, and unknown": "1|guess",
        "opaque, and no header": "1|gu\u00e9ss",
    }
    shown = len(backend.asked)
    for why, token in bad.items():
        with pytest.raises(InvalidStatus) as refused:
            async with connected(stack, token=token):
                pytest.fail(why)
        assert refused.value.response.status_code == 401, why
        async with attacker(stack, Wire.EIO4, token) as client:
            (answer,) = client.heard
            assert answer.startswith('44{"message":"the token'), why
    # The app's backend has been shown what is no JSON Web Token, and nobody else's.
    assert backend.asked[shown:] == ["1|guess"]


async def test_a_token_that_is_revoked_is_refused_where_it_was_not_known(
    stack: Stack, backend: OpaqueTokens
) -> None:
    token = backend.issue("USR_10")
    backend.revoke(token)
    with pytest.raises(InvalidStatus) as refused:
        async with json_phone(stack.websocket, token):
            pytest.fail("let in")
    assert refused.value.response.status_code == 401
