"""Whose token it is, by the providers that settings choose: real keys, real answers over HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.responses import JSONResponse, RedirectResponse, Response

from functions.calls.call import UserId
from functions.clients.profile import NO_PROFILE, Profile
from functions.ports.identity import Identified, Identity, IdentityUnavailable, NotAuthenticated
from functions.services import identity
from functions.services.http import Http
from functions.services.identity.introspection import IntrospectionIdentity
from functions.services.identity.oidc import Keys, OidcIdentity
from functions.settings import IdentitySettings
from infra.emulators.auth.tokens import unsigned, unsigned_token, user_claims
from tests.support.issuers import AUDIENCE, Backend, Issuer, backend, issuer, public_jwk, rsa_key
from tests.support.names import HOSTILE_NAMES
from tests.support.pace import PATIENCE_SECONDS
from tests.support.processes import settings_of

KEY, OTHER_KEY = rsa_key(), rsa_key()
SECRET, PREVIOUS = "s" * 32, "p" * 32


def chosen(**settings: str) -> Identity:
    return identity.connect(settings_of(IdentitySettings, **settings))


async def user_of(judge: Identity, token: str) -> UserId:
    return (await judge.verify(token)).user


async def refusal(judge: Identity, token: str) -> str:
    with pytest.raises(NotAuthenticated) as refused:
        await judge.verify(token)
    return str(refused.value)


# OpenID Connect


@pytest.fixture
async def provider() -> AsyncIterator[Issuer]:
    async with issuer() as made:
        made.keys = [public_jwk(KEY, "1")]
        yield made


@pytest.fixture
def oidc(provider: Issuer) -> Identity:
    return chosen(IDENTITY="oidc", OIDC_ISSUER=provider.url, OIDC_AUDIENCE=AUDIENCE)


async def test_a_token_of_the_issuer_is_its_users(oidc: Identity, provider: Issuer) -> None:
    assert await user_of(oidc, provider.token(KEY)) == "auth0|1"
    assert await user_of(oidc, provider.token(KEY, aud=["another", AUDIENCE])) == "auth0|1"
    assert await user_of(oidc, provider.token(KEY, sub=17)) == "17"
    # Once discovered and once fetched, for all of them.
    assert provider.asked == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize("algorithm", ["RS512", "PS256", "ES256"])
async def test_each_kind_of_public_key_verifies(
    oidc: Identity, provider: Issuer, algorithm: str
) -> None:
    key = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else KEY
    provider.keys = [public_jwk(key, "1")]
    assert await user_of(oidc, provider.token(key, algorithm=algorithm)) == "auth0|1"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "https://another.example"}, "the token is not valid"),
        ({"aud": "another"}, "the token is not valid"),
        ({"aud": None}, "the token is not valid"),
        ({"exp": 1}, "the token has expired"),
        ({"exp": None}, "the token is not valid"),
        ({"exp": "soon"}, "the token is not valid"),
        ({"exp": float("inf")}, "the token is not valid"),
        ({"sub": None}, "the token is not valid"),
        ({"sub": ""}, "the token is not valid"),
        ({"sub": ["auth0|1"]}, "the token is not valid"),
        ({"sub": "x" * 257}, "the token is not valid"),
        ({"iat": 4_000_000_000}, "the token is not valid yet: the clocks differ"),
        ({"nbf": 4_000_000_000}, "the token is not valid yet: the clocks differ"),
        ({"iat": float("nan")}, "the token is not valid"),
        ({"iat": 10**400}, "the token is not valid"),
        ({"nbf": -(10**400)}, "the token is not valid"),
        ({"exp": 10**400, "iat": []}, "the token is not valid"),
    ],
)
async def test_a_token_that_does_not_say_what_it_must_is_refused(
    oidc: Identity, provider: Issuer, changes: dict[str, Any], why: str
) -> None:
    assert (await refusal(oidc, provider.token(KEY, **changes))).startswith(why)


async def test_a_clock_may_be_thirty_seconds_ahead(oidc: Identity, provider: Issuer) -> None:
    ahead = int(time.time()) + 20
    assert await user_of(oidc, provider.token(KEY, iat=ahead, nbf=ahead)) == "auth0|1"


async def test_what_somebody_else_has_signed_is_refused(oidc: Identity, provider: Issuer) -> None:
    for token in (
        provider.token(OTHER_KEY),
        provider.token(KEY)[:-8] + "AAAAAAAA",
        unsigned(provider.claims()),
        "not.a.token",
        "",
        "opaque",
    ):
        assert await refusal(oidc, token) == "the token is not valid"


async def test_the_public_key_is_no_secret_to_sign_with(oidc: Identity, provider: Issuer) -> None:
    pem = KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    forged = _signed_with(pem, provider.claims())
    assert await refusal(oidc, forged) == "the token is not valid"
    # Nor is a key of that kind taken from the issuer, should it publish one.
    provider.keys = [{"kty": "oct", "kid": "1", "k": "AAAA"}]
    fresh = chosen(IDENTITY="oidc", OIDC_ISSUER=provider.url, OIDC_AUDIENCE=AUDIENCE)
    assert await refusal(fresh, forged) == "the token is not valid"


def _signed_with(secret: bytes, claims: dict[str, Any]) -> str:
    """HS256 with any secret: PyJWT itself refuses to sign with a public key."""
    import base64
    import hashlib
    import hmac
    import json

    def part(content: bytes) -> bytes:
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    header = part(json.dumps({"alg": "HS256", "kid": "1", "typ": "JWT"}).encode())
    signed = header + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.digest(secret, signed, hashlib.sha256))).decode()


async def test_a_key_signs_only_as_its_issuer_says(oidc: Identity, provider: Issuer) -> None:
    provider.keys = ["junk", public_jwk(KEY, "1", alg="RS256")]
    assert await user_of(oidc, provider.token(KEY)) == "auth0|1"
    assert await refusal(oidc, provider.token(KEY, algorithm="RS512")) == "the token is not valid"


async def test_a_private_key_that_anybody_can_read_is_none(
    oidc: Identity, provider: Issuer
) -> None:
    private = jwt.algorithms.RSAAlgorithm.to_jwk(KEY, as_dict=True)
    provider.keys = [{**private, "kid": "1"}]
    assert await refusal(oidc, provider.token(KEY)) == "the token is not valid"


Aged = tuple[Identity, list[float]]


@pytest.fixture
def aged(provider: Issuer) -> Aged:
    """A judge of the issuer's tokens, and the time that its keys' age is taken from."""
    at = [0.0]
    keys = Keys(Http(PATIENCE_SECONDS), provider.url, lambda: at[0])
    judge = OidcIdentity(
        keys, provider.url, AUDIENCE, audience_claim="aud", user_claim="sub", name_claim="name"
    )
    return judge, at


async def test_a_new_key_is_fetched_once_it_is_named_and_not_for_every_token(
    provider: Issuer, aged: Aged
) -> None:
    judge, at = aged
    assert await user_of(judge, provider.token(KEY)) == "auth0|1"
    provider.keys = [public_jwk(OTHER_KEY, "2")]
    for _ in range(3):  # too soon after the last fetch
        assert await refusal(judge, provider.token(OTHER_KEY, "2")) == "the token is not valid"
    assert provider.asked.count("/keys") == 1
    at[0] = 6.0
    assert await user_of(judge, provider.token(OTHER_KEY, "2")) == "auth0|1"
    assert await refusal(judge, provider.token(KEY)) == "the token is not valid"
    assert provider.asked.count("/keys") == 2


async def test_keys_are_good_for_a_day_while_the_issuer_is_down(
    provider: Issuer, aged: Aged
) -> None:
    judge, at = aged
    provider.down = True
    for _ in range(3):  # nor is an issuer that is down asked for every token
        with pytest.raises(IdentityUnavailable):
            await judge.verify(provider.token(KEY))
    assert len(provider.asked) == 1
    provider.down, at[0] = False, 6.0
    assert await user_of(judge, provider.token(KEY)) == "auth0|1"
    provider.down, at[0] = True, 4_000.0
    assert await user_of(judge, provider.token(KEY)) == "auth0|1"
    # Which keys there are now, nobody can tell: this may be one of them.
    for at[0] in (4_001.0, 4_010.0):
        with pytest.raises(IdentityUnavailable):
            await judge.verify(provider.token(OTHER_KEY, "2"))
    at[0] = 24 * 60 * 60 + 7.0
    with pytest.raises(IdentityUnavailable):
        await judge.verify(provider.token(KEY))
    provider.down, at[0] = False, at[0] + 6.0
    assert await user_of(judge, provider.token(KEY)) == "auth0|1"


async def test_whoever_shows_a_known_key_does_not_wait_for_new_ones(
    provider: Issuer, aged: Aged
) -> None:
    judge, at = aged
    assert await user_of(judge, provider.token(KEY)) == "auth0|1"
    provider.answering.clear()
    provider.keys, at[0] = [public_jwk(OTHER_KEY, "2")], 4_000.0
    for _ in range(3):
        assert await user_of(judge, provider.token(KEY)) == "auth0|1"
    waiting = asyncio.create_task(user_of(judge, provider.token(OTHER_KEY, "2")))
    provider.answering.set()
    assert await waiting == "auth0|1"
    assert await refusal(judge, provider.token(KEY)) == "the token is not valid"
    assert provider.asked.count("/keys") == 2


async def test_keys_that_have_moved_are_found_again(provider: Issuer, aged: Aged) -> None:
    judge, at = aged
    assert await user_of(judge, provider.token(KEY)) == "auth0|1"
    provider.keys_path, provider.keys = "/moved", [public_jwk(OTHER_KEY, "2")]
    at[0] = 6.0
    with pytest.raises(IdentityUnavailable):
        await judge.verify(provider.token(OTHER_KEY, "2"))
    at[0] = 12.0
    assert await user_of(judge, provider.token(OTHER_KEY, "2")) == "auth0|1"


async def test_of_many_who_need_the_keys_one_fetches_them(oidc: Identity, provider: Issuer) -> None:
    token = provider.token(KEY)
    assert set(await asyncio.gather(*(user_of(oidc, token) for _ in range(50)))) == {"auth0|1"}
    assert provider.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_the_issuers_slash_at_the_end_is_named(provider: Issuer) -> None:
    provider.issuer = f"{provider.url}/"
    judge = chosen(IDENTITY="oidc", OIDC_ISSUER=provider.url, OIDC_AUDIENCE=AUDIENCE)
    with pytest.raises(IdentityUnavailable, match="they differ by the slash at the end"):
        await judge.warm_up()
    slashed = chosen(IDENTITY="oidc", OIDC_ISSUER=f"{provider.url}/", OIDC_AUDIENCE=AUDIENCE)
    await slashed.warm_up()
    assert await user_of(slashed, provider.token(KEY, iss=f"{provider.url}/")) == "auth0|1"
    assert await refusal(slashed, provider.token(KEY)) == "the token is not valid"


async def test_a_claim_may_have_any_name_or_be_pointed_at(provider: Issuer) -> None:
    named = {"IDENTITY": "oidc", "OIDC_ISSUER": provider.url, "OIDC_AUDIENCE": AUDIENCE}
    at_pointer = chosen(**named, OIDC_USER_CLAIM="/app/ids/0")
    assert await user_of(at_pointer, provider.token(KEY, app={"ids": [7, 8]})) == "7"
    namespaced = chosen(**named, OIDC_USER_CLAIM="https://app.example/user")
    token = provider.token(KEY, **{"https://app.example/user": "U"})
    assert await user_of(namespaced, token) == "U"
    client = chosen(**named, OIDC_AUDIENCE_CLAIM="client_id")
    assert await user_of(client, provider.token(KEY, aud=None, client_id=AUDIENCE)) == "auth0|1"
    assert await refusal(client, provider.token(KEY, client_id="another"))
    assert await refusal(client, provider.token(KEY))


async def test_the_name_is_at_the_claim_that_is_set(provider: Issuer) -> None:
    named = {"IDENTITY": "oidc", "OIDC_ISSUER": provider.url, "OIDC_AUDIENCE": AUDIENCE}
    claims: dict[str, Any] = {
        "name": "Ann",
        "app": {"name": "Bob"},
        "https://app.example/name": "Cid",
    }
    token = provider.token(KEY, **claims)
    for place, name in (
        ({}, "Ann"),
        ({"OIDC_NAME_CLAIM": "/app/name"}, "Bob"),
        ({"OIDC_NAME_CLAIM": "https://app.example/name"}, "Cid"),
        ({"OIDC_NAME_CLAIM": "nickname"}, None),
    ):
        assert (await chosen(**named, **place).verify(token)).profile == Profile(name)


# A secret that is shared


def signed(secret: str = SECRET, algorithm: str = "HS256", **changes: object) -> str:
    claims = {"sub": "USR_1", "exp": int(time.time()) + 86_400, **changes}
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None}, secret, algorithm
    )


@pytest.fixture
def secret() -> Identity:
    return chosen(IDENTITY="secret", TOKEN_SECRET=SECRET, TOKEN_SECRET_PREVIOUS=PREVIOUS)


async def test_a_token_of_either_secret_is_its_users(secret: Identity) -> None:
    assert await user_of(secret, signed()) == "USR_1"
    assert await user_of(secret, signed(PREVIOUS, sub=12)) == "12"


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (signed("x" * 32), "the token is not valid"),
        (signed(SECRET * 2, "HS512"), "the token is not valid"),
        (signed(exp=1), "the token has expired"),
        (signed(PREVIOUS, exp=1), "the token has expired"),
        (signed("x" * 32, exp=1), "the token is not valid"),
        (signed(exp=None), "the token is not valid"),
        (signed(sub=None), "the token is not valid"),
        (unsigned({"sub": "USR_1", "exp": 4_000_000_000}), "the token is not valid"),
        ("opaque", "the token is not valid"),
    ],
)
async def test_another_token_is_refused(secret: Identity, token: str, why: str) -> None:
    assert await refusal(secret, token) == why


async def test_issuer_and_audience_are_checked_where_they_are_set() -> None:
    judge = chosen(
        IDENTITY="secret", TOKEN_SECRET=SECRET, TOKEN_ISSUER="app", TOKEN_AUDIENCE="calls"
    )
    assert await user_of(judge, signed(iss="app", aud="calls")) == "USR_1"
    for token in (signed(), signed(iss="app"), signed(iss="else", aud="calls"), signed(aud="x")):
        assert await refusal(judge, token) == "the token is not valid"


async def test_without_an_expiry_a_token_is_good_for_as_long_as_is_set() -> None:
    judge = chosen(IDENTITY="secret", TOKEN_SECRET=SECRET, TOKEN_MAX_AGE="3600")
    now = int(time.time())
    assert await user_of(judge, signed(exp=None, iat=now - 3000)) == "USR_1"
    assert await refusal(judge, signed(exp=None, iat=now - 4000)) == "the token has expired"
    assert await refusal(judge, signed(exp=None)) == "the token is not valid"
    assert await refusal(judge, signed(iat=now, exp=1)) == "the token has expired"
    for odd in (float("nan"), -(10**400), "now", None):
        assert await refusal(judge, signed(exp=None, iat=odd)) == "the token is not valid"


async def test_the_name_is_at_the_claim_that_is_set_for_ones_own_tokens() -> None:
    token = signed(name="Ann", app={"name": "Bob"})
    for place, name in ({}, "Ann"), ({"TOKEN_NAME_CLAIM": "/app/name"}, "Bob"):
        judge = chosen(IDENTITY="secret", TOKEN_SECRET=SECRET, **place)
        assert (await judge.verify(token)).profile == Profile(name)


# An app's own backend


@pytest.fixture
async def app() -> AsyncIterator[Backend]:
    async with backend() as made:
        made.users["7|opaque"] = {"success": True, "data": {"id": "USR_7", "name": "Ann"}}
        yield made


@pytest.fixture
def opaque(app: Backend) -> Identity:
    return chosen(
        IDENTITY="introspection", INTROSPECTION_URL=app.url, INTROSPECTION_USER="/data/id"
    )


async def test_the_backend_says_whose_an_opaque_token_is(opaque: Identity, app: Backend) -> None:
    for _ in range(3):
        assert await user_of(opaque, "7|opaque") == "USR_7"
    (headers,) = app.asked  # what it has said is kept
    assert headers["authorization"] == "Bearer 7|opaque"
    assert headers["accept"] == "application/json"


async def test_the_backend_says_also_what_the_user_is_called_where_it_is_asked(
    opaque: Identity, app: Backend
) -> None:
    assert (await opaque.verify("7|opaque")).profile == NO_PROFILE
    judge = chosen(
        IDENTITY="introspection",
        INTROSPECTION_URL=app.url,
        INTROSPECTION_USER="/data/id",
        INTROSPECTION_NAME="/data/name",
    )
    for _ in range(2):
        assert (await judge.verify("7|opaque")).profile == Profile("Ann")
        app.users["7|opaque"] = {"data": {"id": "USR_7", "name": "Anna"}}
    assert len(app.asked) == 2  # by each judge once: the name is kept as the id is


@pytest.mark.parametrize(
    "answer",
    [
        Response(status_code=401),
        Response(status_code=404),
        RedirectResponse("/login"),
        JSONResponse({"success": True, "data": {}}),
        JSONResponse({"success": True, "data": {"id": ""}}),
        JSONResponse(["USR_7"]),
        Response("<html>", status_code=200),
        Response(status_code=204),
    ],
)
async def test_whom_the_backend_does_not_name_is_refused_and_not_asked_about_again(
    opaque: Identity, app: Backend, answer: Response
) -> None:
    app.other = answer
    for _ in range(2):
        assert await refusal(opaque, "8|unknown") == "the token is not valid"
    assert len(app.asked) == 1


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_backend_that_is_down_refuses_nobody(
    opaque: Identity, app: Backend, status: int
) -> None:
    app.other = Response(status_code=status)
    for _ in range(2):
        with pytest.raises(IdentityUnavailable):
            await opaque.verify("8|unknown")
    assert len(app.asked) == 2  # nothing is known, so it is asked again
    nobody = chosen(
        IDENTITY="introspection",
        INTROSPECTION_URL="http://127.0.0.1:9",
        INTROSPECTION_USER="/data/id",
    )
    with pytest.raises(IdentityUnavailable):
        await nobody.verify("7|opaque")


async def test_many_who_show_one_token_ask_once(opaque: Identity, app: Backend) -> None:
    first = asyncio.create_task(user_of(opaque, "7|opaque"))
    others = [asyncio.create_task(user_of(opaque, "7|opaque")) for _ in range(20)]
    await asyncio.sleep(0)
    first.cancel()  # who asks and gives up leaves the answer to the others
    assert set(await asyncio.gather(*others)) == {"USR_7"}
    assert len(app.asked) == 1


async def test_what_was_said_holds_for_a_while(app: Backend) -> None:
    at = [0.0]
    judge = IntrospectionIdentity(Http(PATIENCE_SECONDS), app.url, "/data/id", None, lambda: at[0])
    assert await user_of(judge, "7|opaque") == "USR_7"
    assert await refusal(judge, "8|new")
    app.users, app.users["8|new"] = {}, {"data": {"id": 8}}
    at[0] = 31.0
    assert await user_of(judge, "8|new") == "8"
    assert await user_of(judge, "7|opaque") == "USR_7"
    at[0] = 15 * 60 + 1.0
    assert await refusal(judge, "7|opaque") == "the token is not valid"


async def test_a_flood_of_refused_tokens_leaves_the_good_ones_known(
    app: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.services.identity.introspection._REMEMBERED", 2)
    judge = IntrospectionIdentity(Http(PATIENCE_SECONDS), app.url, "/data/id", None)
    assert await user_of(judge, "7|opaque") == "USR_7"
    for count in range(5):
        assert await refusal(judge, f"{count}|made up") == "the token is not valid"
    app.users.clear()
    assert await user_of(judge, "7|opaque") == "USR_7"


@pytest.mark.parametrize("token", ["a\nb", "é", "\0"])
async def test_what_fits_no_header_is_nobodys_and_asked_of_nobody(
    opaque: Identity, app: Backend, token: str
) -> None:
    assert await refusal(opaque, token) == "the token is not valid"
    assert app.asked == []


# Several at once


@pytest.mark.parametrize(
    "names",
    [
        ("firebase", "oidc", "secret", "introspection"),
        ("introspection", "secret", "oidc", "firebase"),
    ],
)
async def test_each_token_goes_to_the_one_provider_whose_own_it_is(
    provider: Issuer, app: Backend, monkeypatch: pytest.MonkeyPatch, names: Sequence[str]
) -> None:
    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:9099")
    judge = chosen(
        IDENTITY=", ".join(names),
        OIDC_ISSUER=provider.url,
        OIDC_AUDIENCE=AUDIENCE,
        TOKEN_SECRET=SECRET,
        TOKEN_ISSUER=provider.url,
        INTROSPECTION_URL=app.url,
        INTROSPECTION_USER="/data/id",
    )
    assert await user_of(judge, unsigned_token("USR_F", "unring-test")) == "USR_F"
    assert await user_of(judge, provider.token(KEY)) == "auth0|1"
    # Of tokens whose issuer has one name, how they are signed tells.
    assert await user_of(judge, signed(iss=provider.url)) == "USR_1"
    assert await user_of(judge, "7|opaque") == "USR_7"
    assert len(app.asked) == 1
    # What is none of theirs is shown to nobody.
    for token in (
        unsigned_token("USR_F", "another-project"),
        provider.token(KEY, iss="https://another.example"),
        signed(iss="another"),
        "e30.e30.",
        "e30",
        f"{signed()}.more",
        "eyJhbGciOiJIUzI1NiJ9.broken",
        # Nor is it to be shown to the app's backend if there is something around it.
        f"Bearer Bearer {signed()}",
        f"JWT {provider.token(KEY)}",
        f'"{provider.token(KEY)}"',
        f".{provider.token(KEY)}",
        f" {provider.token(KEY)},",
        f"x.{provider.token(KEY).partition('.')[2]}",
    ):
        assert await refusal(judge, token) == "the token is not valid"
    assert len(app.asked) == 1


@pytest.mark.parametrize("why", HOSTILE_NAMES)
async def test_nobody_is_kept_out_by_his_name(
    provider: Issuer, app: Backend, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setenv("FIREBASE_AUTH_EMULATOR_HOST", "127.0.0.1:9099")
    each = {
        "firebase": {},
        "oidc": {"OIDC_ISSUER": provider.url, "OIDC_AUDIENCE": AUDIENCE},
        "secret": {"TOKEN_SECRET": SECRET},
        "introspection": {
            "INTROSPECTION_URL": app.url,
            "INTROSPECTION_USER": "/data/id",
            "INTROSPECTION_NAME": "/data/name",
        },
    }
    together = chosen(
        IDENTITY=",".join(each),
        **{name: value for settings in each.values() for name, value in settings.items()},
    )
    name, shown = HOSTILE_NAMES[why]
    app.users["7|opaque"] = {"data": {"id": "U", "name": name}}
    tokens = {
        "firebase": unsigned({**user_claims("U", "unring-test", 600), "name": name}),
        "oidc": provider.token(KEY, sub="U", name=name),
        "secret": signed(sub="U", name=name),
        "introspection": "7|opaque",
    }
    expected = Identified(UserId("U"), Profile(shown))
    for provided, token in tokens.items():
        alone = chosen(IDENTITY=provided, **each[provided])
        assert [await alone.verify(token), await together.verify(token)] == [expected] * 2, provided


async def test_a_number_that_python_does_not_read_keeps_nobody_out(app: Backend) -> None:
    digits = "9" * 5_000
    app.other = Response(f'{{"data": {{"id": 7, "name": {digits}, "balance": -{digits}}}}}')
    judge = IntrospectionIdentity(Http(PATIENCE_SECONDS), app.url, "/data/id", "/data/name")
    assert await judge.verify("7|any") == Identified(UserId("7"))
    nobody = IntrospectionIdentity(Http(PATIENCE_SECONDS), app.url, "/data/name", None)
    assert await refusal(nobody, "7|any") == "the token is not valid"
