"""Users that are not Firebase's: an app comes with the tokens that it has, to the whole stack."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
from starlette.responses import Response
from websockets.exceptions import InvalidStatus

from infra.client.calls import Calls
from infra.client.phone import json_phone, socketio_phone
from infra.local.stack import Options, Stack, running
from tests.support.issuers import AUDIENCE, Backend, Issuer, backend, issuer, public_jwk, rsa_key

KEY = rsa_key()
SECRET = "a secret of thirty-two bytes, or more"
OPAQUE = "7|opaque"


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[Issuer]:
    async with issuer() as made:
        made.keys = [public_jwk(KEY, "1")]
        yield made


@pytest.fixture(scope="module")
async def app() -> AsyncIterator[Backend]:
    async with backend() as made:
        made.users[OPAQUE] = {"success": True, "data": {"id": "USR_7", "name": "Ann"}}
        yield made


@pytest.fixture(scope="module")
async def open_to_all(
    provider: Issuer, app: Backend, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """A stack that takes every kind of token."""
    settings = {
        "IDENTITY": "firebase,oidc,secret,introspection",
        "OIDC_ISSUER": provider.url,
        "OIDC_AUDIENCE": AUDIENCE,
        "TOKEN_SECRET": SECRET,
        "TOKEN_ISSUER": "app",
        "INTROSPECTION_URL": app.url,
        "INTROSPECTION_USER": "/data/id",
    }
    logs: Path = tmp_path_factory.mktemp("logs")
    async with running(Options(port=0, settings=settings, logs=logs)) as stack:
        yield stack


async def test_users_of_every_kind_cancel_each_others_calls(
    open_to_all: Stack, provider: Issuer
) -> None:
    own = jwt.encode({"iss": "app", "sub": 12, "exp": int(time.time()) + 600}, SECRET)
    tokens = {
        "USR_F": open_to_all.token("USR_F"),
        "auth0|1": provider.token(KEY),
        "12": own,
        "USR_7": OPAQUE,
    }
    calls = Calls(open_to_all.firestore, open_to_all.project)
    users = list(tokens)
    for caller, receiver in zip(users, users[1:] + users[:1], strict=True):
        call = f"CALL_{users.index(caller)}"
        await calls.ring(call, caller, receiver)
        async with (
            json_phone(open_to_all.websocket, tokens[caller]) as his,
            socketio_phone(open_to_all.websocket, tokens[receiver]) as hers,
        ):
            assert (await his.emit("call:cancel", callId=call))["outcome"] == "cancelled"
            assert (await hers.told("call:cancelled"))["callId"] == call


async def test_a_backend_that_is_down_makes_a_client_come_again(
    open_to_all: Stack, app: Backend
) -> None:
    app.other = Response(status_code=503)
    with pytest.raises(InvalidStatus) as unavailable:
        async with json_phone(open_to_all.websocket, "9|another"):
            pass
    assert unavailable.value.response.status_code == 503
    app.other = Response(status_code=401)
    with pytest.raises(InvalidStatus) as refused:
        async with json_phone(open_to_all.websocket, "9|another"):
            pass
    assert refused.value.response.status_code == 401
