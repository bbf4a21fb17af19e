"""Whose token it is, judged with real keys: RS256 against a server that plays Google's."""

import base64
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from infra.emulators.auth.tokens import unsigned_token
from infra.emulators.http import serving

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "unring-test"


@dataclass(frozen=True)
class Signer:
    """Signs ID tokens as Firebase does; its certificate is what Google publishes."""

    key: rsa.RSAPrivateKey
    certificate: str

    @classmethod
    def new(cls) -> "Signer":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "securetoken")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        return cls(key, certificate.public_bytes(serialization.Encoding.PEM).decode())

    def token(self, key_id: str = "key-1", **changes: object) -> str:
        now = int(time.time())
        claims = {
            "iss": f"https://securetoken.google.com/{PROJECT}",
            "aud": PROJECT,
            "sub": "USR_1",
            "iat": now - 10,
            "exp": now + 3600,
            **changes,
        }
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": key_id})


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.new()


@pytest.fixture(scope="module")
async def keys_url(signer: Signer) -> AsyncIterator[str]:
    async def keys(_: object) -> JSONResponse:
        return JSONResponse({"key-1": signer.certificate})

    async with serving(Starlette(routes=[Route("/keys", keys)])) as url:
        yield f"{url}/keys"


_VERIFY = """
import asyncio, sys
from functions import settings
from functions.settings import GatewaySettings
from functions.services import identity

async def main():
    found = identity.connect(settings.load(GatewaySettings))
    for token in sys.argv[1:]:
        try:
            if token == "warm-up":
                print("warm", await found.warm_up())
            else:
                print(await found.verify(token))
        except (identity.NotAuthenticated, identity.IdentityUnavailable) as error:
            print(f"{type(error).__name__}: {error}")

asyncio.run(main())
"""


async def verified(*tokens: str, **environment: str) -> list[str]:
    """What each token is found to be, by a process with this environment."""
    import asyncio

    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _VERIFY,
        *tokens,
        cwd=ROOT,
        env={
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "GATEWAY_SECRET": "0123456789abcdef",
            "CONNECTIONS_URL": "http://127.0.0.1:9/dev/@connections",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode().splitlines()


async def test_a_signed_token_is_its_subjects(signer: Signer, keys_url: str) -> None:
    assert await verified(signer.token(), ID_TOKEN_KEYS_URL=keys_url) == ["USR_1"]


async def test_a_token_that_is_expired_forged_or_for_others_is_refused(
    signer: Signer, keys_url: str
) -> None:
    now = int(time.time())
    forged = Signer.new().token()
    refused = [
        (signer.token(exp=now - 10, iat=now - 3600), "the token has expired"),
        (forged, "the token is not valid"),
        (signer.token(key_id="key-2"), "the token is not valid"),
        (signer.token(aud="another-project"), "the token is not valid"),
        (signer.token(iss="https://example.com"), "the token is not valid"),
        (signer.token(sub=""), "the token is not valid"),
        (unsigned_token("USR_1", PROJECT), "the token is not valid"),
        (signer.token()[:-8], "the token is not valid"),
        ("garbage", "the token is not valid"),
        ("a.b.c", "the token is not valid"),
        (f"{base64.urlsafe_b64encode(b'[' * 9_000).decode()}.e30.AA", "the token is not valid"),
    ]
    found = await verified(*(token for token, _ in refused), ID_TOKEN_KEYS_URL=keys_url)
    assert found == [f"NotAuthenticated: {reason}" for _, reason in refused]


async def test_without_the_public_keys_no_token_is_judged(signer: Signer) -> None:
    (found,) = await verified(signer.token(), ID_TOKEN_KEYS_URL="http://127.0.0.1:9/keys")
    assert found.startswith("IdentityUnavailable")


async def test_warming_up_fetches_the_keys(keys_url: str) -> None:
    assert await verified("warm-up", ID_TOKEN_KEYS_URL=keys_url) == ["warm None"]
    (found,) = await verified("warm-up", ID_TOKEN_KEYS_URL="http://127.0.0.1:9/keys")
    assert found.startswith("IdentityUnavailable")


async def test_the_emulators_tokens_are_taken_unsigned_but_not_unchecked() -> None:
    import base64
    import json

    def unsigned(payload: object) -> str:
        parts = ({"alg": "none"}, payload)
        return (
            ".".join(
                base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
                for part in parts
            )
            + "."
        )

    claims = {"aud": PROJECT, "iss": f"https://securetoken.google.com/{PROJECT}", "sub": "USR_1"}
    tokens = [
        unsigned_token("USR_1", PROJECT),
        unsigned_token("USR_1", PROJECT, lifetime_seconds=-1),
        unsigned_token("USR_1", "another-project"),
        unsigned(claims),
        unsigned({**claims, "exp": "never"}),
        unsigned([]),
        unsigned("x"),
    ]
    expired = "NotAuthenticated: the token has expired"
    invalid = "NotAuthenticated: the token is not valid"
    found = await verified(*tokens, FIREBASE_AUTH_EMULATOR_HOST="127.0.0.1:9099")
    assert found == ["USR_1", expired, invalid, expired, expired, invalid, invalid]
