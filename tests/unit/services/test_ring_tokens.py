"""Ring tokens: what is signed comes back, and what nobody with the secret has signed is refused."""

import base64
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.calls.call import CallId, UserId
from functions.clients.device import FcmToken, device_id
from functions.clients.ringtoken import GOOD_FOR, RingToken, is_ring_token, ring_token_limit
from functions.ports.identity import NotAuthenticated
from functions.services import ring_tokens
from functions.services.identity.secret import SecretIdentity
from functions.services.ring_tokens import SignedRingTokens
from functions.settings import ApiSettings, SettingsError
from tests.support.makers import CALL, RECEIVER, now
from tests.support.processes import settings_of

SECRET, OTHER = "s" * 32, "o" * 32
TOKENS = SignedRingTokens(SECRET)
REGISTRATION = device_id(FcmToken("token"))
TOKEN = RingToken(CALL, RECEIVER, "phone 1")
TEXTS = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=128)


def signed(
    token: RingToken = TOKEN, tokens: SignedRingTokens = TOKENS, at: datetime | None = None
) -> str:
    made = tokens.sign(token, at or now())
    assert made is not None
    return made


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims."""
    header, claims, _ = token.removeprefix("ring.").split(".")
    return decoded(header), decoded(claims)


def decoded(part: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return content


def encoded(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def resigned(changes: dict[str, Any], header: dict[str, Any] | None = None) -> str:
    """A token with other claims, signed with the key of the ring tokens itself."""
    was, claims = parts(signed())
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    made = jwt.encode(claims, ring_tokens._key(SECRET), "HS256", {**was, **(header or {})})
    return f"ring.{made}"


def is_refused(text: str, tokens: SignedRingTokens = TOKENS) -> bool:
    try:
        tokens.verify(text)
    except NotAuthenticated as error:
        return SECRET not in str(error) and text not in str(error)
    return False


@given(
    call=TEXTS,
    user=st.one_of(TEXTS, st.just("u" * 256)),
    device=st.one_of(TEXTS, st.none()),
    registration=st.sampled_from([REGISTRATION, None]),
)
def test_what_is_signed_comes_back_and_is_no_longer_than_it_is_measured(
    call: str, user: str, device: str | None, registration: str | None
) -> None:
    token = RingToken(CallId(call), UserId(user), device, registration)
    text = signed(token)
    assert is_ring_token(text)
    assert text.isascii()
    assert len(text) <= ring_token_limit(token.call, token.user)
    is_short = device is not None and len(json.dumps(device, ensure_ascii=False).encode()) <= 130
    known = device if is_short else None
    assert TOKENS.verify(text) == RingToken(token.call, token.user, known, registration)


def test_the_longest_token_is_as_long_as_it_is_measured() -> None:
    token = RingToken(CALL, RECEIVER, "d" * 128, REGISTRATION)
    assert len(signed(token)) == ring_token_limit(CALL, RECEIVER)
    assert TOKENS.verify(signed(token)) == token


def test_a_device_whose_name_is_too_long_is_known_by_its_registration_alone() -> None:
    for device in ("€" * 43, '"' * 65):
        token = RingToken(CALL, RECEIVER, device, REGISTRATION)
        assert TOKENS.verify(signed(token)) == replace(token, device=None)


def test_a_token_names_its_key_and_says_for_whom_it_is() -> None:
    header, claims = parts(signed())
    assert header == {"alg": "HS256", "kid": header["kid"]}
    assert (claims["iss"], claims["aud"]) == ("unring", "ring")
    assert (claims["call"], claims["sub"], claims["device"]) == (CALL, RECEIVER, "phone 1")
    # Two minutes of ringing, four hours of talking, and ten minutes to read of the end.
    assert claims["exp"] - claims["iat"] == GOOD_FOR.total_seconds() == 15_120


def test_a_token_of_the_previous_secret_is_good_and_the_current_one_signs() -> None:
    changed = SignedRingTokens(OTHER, SECRET)
    assert changed.verify(signed()) == TOKEN
    assert is_refused(signed(tokens=changed))
    assert SignedRingTokens(OTHER).verify(signed(tokens=changed)) == TOKEN
    assert is_refused(signed(), SignedRingTokens(OTHER))


def test_a_token_is_good_until_it_expires() -> None:
    assert TOKENS.verify(signed(at=now() - GOOD_FOR + timedelta(seconds=5))) == TOKEN
    with pytest.raises(NotAuthenticated, match="the token has expired"):
        TOKENS.verify(signed(at=now() - GOOD_FOR - timedelta(seconds=1)))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "calls"},
        {"aud": None},
        {"iss": "somebody"},
        {"iss": None},
        {"exp": None},
        {"exp": 1},
        {"exp": "never"},
        {"sub": None},
        {"sub": 7},
        {"call": None},
        {"call": ["CALL_1"]},
    ],
)
def test_a_token_with_other_claims_is_refused(changes: dict[str, Any]) -> None:
    assert not is_refused(resigned({}))
    assert is_refused(resigned(changes))


def test_nobody_else_can_sign() -> None:
    header, claims = parts(signed())
    header = {"kid": header["kid"]}
    forged = [
        jwt.encode(claims, "x" * 32, "HS256", header),
        jwt.encode(claims, SECRET, "HS256", header),  # the secret itself is no key
        f"{encoded({'alg': 'none', **header})}.{encoded(claims)}.",
        jwt.encode(claims, ring_tokens._key(SECRET) * 2, "HS512", header),
        jwt.encode(claims, ring_tokens._key(SECRET), "HS256"),  # names no key
        f"{encoded({'alg': 'HS256', 'kid': 7})}.{encoded(claims)}.x",
        jwt.encode(claims, ring_tokens._key(SECRET), "HS256", {"kid": "unknown"}),
    ]
    assert all(is_refused(f"ring.{each}") for each in forged)


def test_a_token_that_was_changed_is_refused() -> None:
    head, claims, signature = signed().removeprefix("ring.").split(".")
    _, others, _ = signed(RingToken(CallId("CALL_2"), RECEIVER)).removeprefix("ring.").split(".")
    broken = [f"{head}.{others}.{signature}", f"{head}.{claims}.", f"{head}.{claims}", claims]
    broken += ["", ".", "..", "...", "é.é.é", "x" * 100_000, f"{head}.{'W' * 3000}.{signature}"]
    assert all(is_refused(f"ring.{each}") for each in broken)
    assert is_refused(signed().removeprefix("ring."))
    assert is_refused(f"ring.{signed()}")


async def test_neither_token_stands_for_the_other_though_the_secret_is_the_same() -> None:
    identity = SecretIdentity([SECRET], "sub", "name", issuer=None, audience=None, max_age=None)
    with pytest.raises(NotAuthenticated):
        await identity.verify(signed().removeprefix("ring."))
    claims = {**parts(signed())[1], "exp": now() + timedelta(hours=1)}
    users = jwt.encode(claims, SECRET, "HS256", {"kid": ring_tokens._key_id(SECRET)})
    assert (await identity.verify(users)).user == RECEIVER
    assert is_refused(f"ring.{users}")


def test_without_a_secret_nothing_is_signed_and_nothing_is_taken() -> None:
    nobody = SignedRingTokens(None)
    assert nobody.sign(TOKEN, now()) is None
    assert is_refused(signed(), nobody)


async def test_to_warm_up_harms_nobody() -> None:
    await TOKENS.warm_up()
    await SignedRingTokens(None).warm_up()


def test_a_secret_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(SettingsError, match="RING_TOKEN_SECRET must have at least 32 bytes"):
        settings_of(ApiSettings, RING_TOKEN_SECRET="short")


def test_only_the_previous_secret_is_none_to_sign_with() -> None:
    settings = settings_of(ApiSettings, RING_TOKEN_SECRET="", RING_TOKEN_SECRET_PREVIOUS=SECRET)
    tokens = ring_tokens.connect(settings)
    assert tokens.verify(signed()) == TOKEN
    assert tokens.sign(TOKEN, now()) is None
