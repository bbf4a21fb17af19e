"""Whose ID token of Firebase it is: real keys, RS256, against a server that plays Google's."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, Lock

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from firebase_admin import _token_gen
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from functions.calls.call import UserId
from functions.clients.profile import Profile
from functions.ports.identity import Identified, IdentityUnavailable, NotAuthenticated
from functions.services.identity import firebase
from functions.services.identity.choice import Unverified
from functions.services.identity.firebase import FirebaseIdentity, OneAtATime
from functions.settings import IdentitySettings
from infra.emulators.auth.tokens import unsigned_token
from infra.emulators.http import serving
from tests.support.names import HOSTILE_NAMES
from tests.support.processes import settings_of

PROJECT = "unring-test"
USER = UserId("USR_1")


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


@dataclass
class Keys:
    """Google's public keys at `url`, which may be kept for an hour, and how often they were asked
    for."""

    url: str = ""
    fetched: int = 0
    free: asyncio.Event = field(default_factory=asyncio.Event)  # until then nobody gets them


@pytest.fixture
async def keys(signer: Signer) -> AsyncIterator[Keys]:
    keys = Keys()
    keys.free.set()

    async def answer(_: object) -> JSONResponse:
        keys.fetched += 1
        await keys.free.wait()
        headers = {"Cache-Control": "public, max-age=3600"}
        return JSONResponse({"key-1": signer.certificate}, headers=headers)

    async with serving(Starlette(routes=[Route("/keys", answer)])) as url:
        keys.url = f"{url}/keys"
        yield keys


Connect = Callable[..., FirebaseIdentity]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Makes a verifier with these variables, which the SDK reads as well; it ends with the test."""
    # To connect changes it for the whole process.
    monkeypatch.setattr(_token_gen, "ID_TOKEN_CERT_URI", _token_gen.ID_TOKEN_CERT_URI)

    def connect(**environment: str) -> FirebaseIdentity:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return firebase.connect(settings_of(IdentitySettings, **environment))

    return connect


async def verdict(verifier: FirebaseIdentity, token: str) -> str:
    """Whose the token is, or why it is nobody's."""
    try:
        return (await verifier.verify(token)).user
    except NotAuthenticated as error:
        return str(error)


async def test_a_signed_token_is_its_subjects(signer: Signer, keys: Keys, connect: Connect) -> None:
    assert await connect(ID_TOKEN_KEYS_URL=keys.url).verify(signer.token()) == Identified(USER)


async def test_a_signed_token_says_what_its_user_is_called(
    signer: Signer, keys: Keys, connect: Connect
) -> None:
    verifier = connect(ID_TOKEN_KEYS_URL=keys.url)
    for why, (name, shown) in HOSTILE_NAMES.items():
        found = await verifier.verify(signer.token(name=name))
        assert found == Identified(USER, Profile(shown)), why


async def test_a_token_that_is_expired_forged_or_for_others_is_refused(
    signer: Signer, keys: Keys, connect: Connect
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
        (signer.token(exp=[]), "the token is not valid"),
        (signer.token(iat={"now": 1}), "the token is not valid"),
        (
            signer.token(iat=10**400),
            "the token is not valid yet: the clocks differ by more than 30 seconds",
        ),
        (unsigned_token("USR_1", PROJECT), "the token is not valid"),
        (signer.token()[:-8], "the token is not valid"),
        ("garbage", "the token is not valid"),
        ("a.b.c", "the token is not valid"),
        (f"{base64.urlsafe_b64encode(b'[' * 9_000).decode()}.e30.AA", "the token is not valid"),
    ]
    verifier = connect(ID_TOKEN_KEYS_URL=keys.url)
    for token, reason in refused:
        assert await verdict(verifier, token) == reason


async def test_a_clock_that_is_ahead_by_half_a_minute_is_forgiven(
    signer: Signer, keys: Keys, connect: Connect
) -> None:
    now = int(time.time())
    verifier = connect(ID_TOKEN_KEYS_URL=keys.url)
    assert await verdict(verifier, signer.token(iat=now + 25)) == "USR_1"
    assert await verdict(verifier, signer.token(iat=now + 90)) == (
        "the token is not valid yet: the clocks differ by more than 30 seconds"
    )
    # Of a clock that is behind nothing is forgiven: who has expired must not go on.
    expired = signer.token(iat=now - 3600, exp=now - 5)
    assert await verdict(verifier, expired) == "the token has expired"


async def test_keys_that_hang_are_fetched_once_and_hold_up_nothing_else(
    signer: Signer, keys: Keys, connect: Connect
) -> None:
    keys.free.clear()
    verifier = connect(ID_TOKEN_KEYS_URL=keys.url)
    judged = [asyncio.create_task(verifier.verify(signer.token())) for _ in range(50)]
    assert await asyncio.to_thread(str, "done meanwhile") == "done meanwhile"
    assert not any(each.done() for each in judged)
    keys.free.set()
    assert set(await asyncio.gather(*judged)) == {Identified(USER)}
    assert keys.fetched == 1


async def test_of_keys_that_could_not_be_fetched_all_who_waited_hear_at_once() -> None:
    asked: list[str] = []
    one, everybody = OneAtATime(lambda url: fetch(url)), 10

    class Entrance:
        """The lock, by which it is known that everybody waits."""

        def __init__(self) -> None:
            self.lock, self.left, self.all_in = Lock(), everybody, Event()

        def __enter__(self) -> None:
            self.lock.acquire()

        def __exit__(self, *_: object) -> None:
            self.left -= 1
            if self.left == 0:
                self.all_in.set()
            self.lock.release()

    def fetch(url: str) -> object:
        asked.append(url)
        entrance.all_in.wait()
        raise OSError("nobody there")

    entrance = Entrance()
    one._lock = entrance  # type: ignore[assignment]
    with ThreadPoolExecutor(everybody) as threads:
        waiting = [threads.submit(one, "keys") for _ in range(everybody)]
    assert {str(each.exception()) for each in waiting} == {"nobody there"}
    assert asked == ["keys"]
    with pytest.raises(OSError, match="nobody there"):
        one("keys")  # the next one tries anew
    assert asked == ["keys", "keys"]


async def test_without_the_public_keys_no_token_is_judged(signer: Signer, connect: Connect) -> None:
    verifier = connect(ID_TOKEN_KEYS_URL="http://127.0.0.1:9/keys")
    with pytest.raises(IdentityUnavailable):
        await verifier.verify(signer.token())


async def test_warming_up_fetches_the_keys_that_tokens_are_then_judged_by(
    signer: Signer, keys: Keys, connect: Connect
) -> None:
    verifier = connect(ID_TOKEN_KEYS_URL=keys.url)
    await verifier.warm_up()
    assert keys.fetched == 1
    assert await verifier.verify(signer.token()) == Identified(USER)
    assert keys.fetched == 1


async def test_warming_up_fails_where_the_keys_are_not_reached(connect: Connect) -> None:
    with pytest.raises(IdentityUnavailable):
        await connect(ID_TOKEN_KEYS_URL="http://127.0.0.1:9/keys").warm_up()


async def test_the_emulators_tokens_are_taken_unsigned_but_not_unchecked(connect: Connect) -> None:
    claims = {"aud": PROJECT, "iss": f"https://securetoken.google.com/{PROJECT}", "sub": "USR_1"}
    expired, invalid = "the token has expired", "the token is not valid"
    verdicts = [
        (unsigned_token("USR_1", PROJECT), "USR_1"),
        (unsigned_token("USR_1", PROJECT, lifetime_seconds=-1), expired),
        (unsigned_token("USR_1", "another-project"), invalid),
        (unsigned(claims), expired),
        (unsigned({**claims, "exp": "never"}), expired),
        (unsigned([]), invalid),
        (unsigned("x"), invalid),
    ]
    verifier = connect(FIREBASE_AUTH_EMULATOR_HOST="127.0.0.1:9099")
    for token, found in verdicts:
        assert await verdict(verifier, token) == found


def unsigned(payload: object) -> str:
    """A token that nobody signed, of whatever this is."""
    parts = ({"alg": "none"}, payload)
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts)
    return "".join(f"{part.rstrip('=')}." for part in encoded)


async def test_users_may_be_those_of_another_firebase_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:9099")
    provider = firebase.provider(settings_of(IdentitySettings, FIREBASE_PROJECT="the-app"))
    issuer = "https://securetoken.google.com/"
    assert provider.owns(Unverified("none", f"{issuer}the-app"))
    assert not provider.owns(Unverified("none", f"{issuer}{PROJECT}"))
    await provider.identity.verify(unsigned_token(USER, "the-app"))
    with pytest.raises(NotAuthenticated):
        await provider.identity.verify(unsigned_token(USER, PROJECT))
