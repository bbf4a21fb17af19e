"""Tokens by which the page's phones come in, whoever says whose a token is."""

from dataclasses import replace

import jwt
import pytest

from infra.emulators.auth.oidc import OidcIssuer
from infra.emulators.auth.opaque import OpaqueTokens
from infra.local.console.tokens import token_of
from infra.local.identities import SECRET, Identities
from infra.local.stack import Stack
from tests.support.stacks import Watched


@pytest.fixture
def stack(watched: Watched) -> Stack:
    return watched.stack


async def test_it_is_of_the_first_identity_that_is_played(stack: Stack) -> None:
    async with OidcIssuer("audience") as oidc, OpaqueTokens() as opaque:
        played = Identities(oidc, opaque, signs=True)

        def token(identity: str) -> str:
            values = {**stack.values, "IDENTITY": identity}
            made = token_of(replace(stack, values=values, identities=played), "alice")
            assert made
            return made

        def claims(token: str) -> dict[str, object]:
            read: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
            return read

        assert claims(token("oidc"))["iss"] == oidc.url
        assert claims(token(" firebase ,oidc"))["user_id"] == "alice"
        assert "|" in token("introspection")
        assert jwt.decode(token("secret,firebase"), SECRET, ["HS256"])["sub"] == "alice"


async def test_of_others_there_is_none(stack: Stack) -> None:
    values = {**stack.values, "IDENTITY": "oidc,secret,introspection"}
    assert token_of(replace(stack, values=values, identities=Identities()), "alice") is None
