"""Firebase's keys, as the SDK's own verifier and a program that asks for a token see them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import pytest
from cryptography import x509
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request as GoogleRequest
from google.oauth2.id_token import verify_token

from infra.emulators.auth.keys import TokenKeys

PROJECT = "unring-test"

Verified = Callable[[str], Any]


@pytest.fixture
async def keys() -> AsyncIterator[TokenKeys]:
    async with TokenKeys(PROJECT, max_age_seconds=77) as keys:
        yield keys


@pytest.fixture
def verified(keys: TokenKeys) -> Verified:
    """The claims of a token, judged by Google's library, which fetches the keys each time."""

    async def verify(token: str) -> Any:
        return await asyncio.to_thread(
            verify_token, token, GoogleRequest(), audience=PROJECT, certs_url=keys.url
        )

    return verify


async def get(url: str, method: str = "GET") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.request(method, url)


async def test_a_signed_token_says_what_firebase_says(keys: TokenKeys, verified: Verified) -> None:
    claims = await verified(keys.sign("USR_1"))
    assert claims["sub"] == claims["user_id"] == "USR_1"
    assert claims["iss"] == f"https://securetoken.google.com/{PROJECT}"
    assert claims["exp"] - claims["iat"] == 3600
    header = jwt.get_unverified_header(keys.sign("USR_1"))
    assert (header["alg"], header["typ"]) == ("RS256", "JWT")


async def test_a_token_can_be_made_that_has_expired_or_lies(
    keys: TokenKeys, verified: Verified
) -> None:
    with pytest.raises(GoogleAuthError, match="expired"):
        await verified(keys.sign("USR_1", lifetime_seconds=-1))
    with pytest.raises(GoogleAuthError, match="audience"):
        await verified(keys.sign("USR_1", aud="another-project"))


async def test_the_keys_are_published_as_google_publishes_them(keys: TokenKeys) -> None:
    answer = await get(keys.url)
    assert answer.headers["content-type"] == "application/json"
    assert "max-age=77," in answer.headers["cache-control"]
    ((id, certificate),) = answer.json().items()
    assert id == jwt.get_unverified_header(keys.sign("USR_1"))["kid"]
    assert x509.load_pem_x509_certificate(certificate.encode())
    assert keys.url.startswith("http://127.0.0.1:")
    assert keys.url.endswith("/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com")


async def test_after_a_rotation_only_what_the_new_key_signs_is_good(
    keys: TokenKeys, verified: Verified
) -> None:
    old = keys.sign("USR_1")
    (old_id,) = (await get(keys.url)).json()
    keys.rotate()
    (new_id,) = (await get(keys.url)).json()
    assert new_id != old_id
    with pytest.raises(GoogleAuthError, match="not found"):
        await verified(old)
    assert (await verified(keys.sign("USR_1")))["sub"] == "USR_1"


@pytest.mark.parametrize("user", ["USR_1", "a/b?c#d", "é "])
async def test_a_program_may_ask_for_a_token(
    keys: TokenKeys, verified: Verified, user: str
) -> None:
    answer = await get(keys.tokens_url + quote(user, safe=""))
    assert (await verified(answer.text))["sub"] == user


async def test_nothing_else_is_answered(keys: TokenKeys) -> None:
    assert (await get(f"{keys.url}/more")).status_code == 404
    assert (await get(keys.url, "POST")).status_code == 405
