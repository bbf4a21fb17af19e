"""The comparison of the gateway's secret takes the same time however much of a guess is right."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.datastructures import Headers

from functions.inbound import apigateway

SECRETS = ("the current secret", "the previous secret")


class Leak(AssertionError):
    """Something was done with a secret whose time depends on what is in it."""


def _leak(name: str) -> Callable[..., Any]:
    def leak(*_: object, **__: object) -> Any:
        raise Leak(name)

    return leak


def _forbidding(kind: type) -> dict[str, Callable[..., Any]]:
    """All that one can do with a `kind` of text, but for being made and for being encoded."""
    harmless = {"__new__", "__init__", "__init_subclass__", "__class__", "__getattribute__"}
    harmless |= {"__getattr__", "__del__", "__repr__", "__dir__", "__doc__", "__subclasshook__"}
    return {
        name: _leak(f"{kind.__name__}.{name}")
        for name in dir(kind)
        if name not in harmless and callable(getattr(kind, name))
    }


# hmac.compare_digest reads the bytes themselves, by the buffer protocol: it calls none of these.
SecretBytes = type("SecretBytes", (bytes,), _forbidding(bytes))


class SecretText(type("SecretText", (str,), _forbidding(str))):  # type: ignore[misc]
    """A secret with which nothing can be done but to encode it; it counts how often that is."""

    encoded = 0

    def encode(self, *_: object) -> Any:
        type(self).encoded += 1
        return SecretBytes(str.encode(self))


@pytest.fixture
def secrets() -> list[SecretText]:
    SecretText.encoded = 0
    return [SecretText(secret) for secret in SECRETS]


def headers(*given: str) -> Headers:
    return Headers(raw=[(b"unring-secret", value.encode()) for value in given])


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        (SECRETS[0], True),
        (SECRETS[1], True),
        (SECRETS[0][:-1], False),
        (f"{SECRETS[0]}x", False),
        (f"{SECRETS[0][:-1]}x", False),
        (f"x{SECRETS[0][1:]}", False),
        ("", False),
        ("é" * 18, False),
    ],
)
def test_nothing_is_done_with_a_secret_but_to_compare_all_of_it(
    secrets: list[SecretText], given: str, accepted: bool
) -> None:
    assert apigateway.is_from_api_gateway(headers(given), secrets) is accepted
    # With each of them, whichever it is, and whether or not the first was right.
    assert SecretText.encoded == len(SECRETS)


def test_every_value_is_compared_with_every_secret(secrets: list[SecretText]) -> None:
    assert not apigateway.is_from_api_gateway(headers(*SECRETS), secrets)
    assert SecretText.encoded == len(SECRETS) ** 2


def test_without_a_value_there_is_nothing_to_compare(secrets: list[SecretText]) -> None:
    assert not apigateway.is_from_api_gateway(headers(), secrets)
    assert SecretText.encoded == 0


def test_another_comparison_would_have_been_noticed(secrets: list[SecretText]) -> None:
    """This very test's tool, held against the ways in which one would do it wrong."""
    secret, guess = secrets[0], "a guess"
    wrong: list[Callable[[], object]] = [
        lambda: guess == secret,
        lambda: secret == guess,
        lambda: secret != guess,
        lambda: guess in secrets,
        lambda: guess in (secret,),
        lambda: secret in {guess},
        lambda: secret.startswith(guess),
        lambda: len(secret) == len(guess),
        lambda: secret[0] == guess[0],
        lambda: all(a == b for a, b in zip(secret, guess, strict=False)),
        lambda: secret.encode() == guess.encode(),
        lambda: guess.encode() == secret.encode(),
        lambda: list(secret.encode()),
    ]
    for compare in wrong:
        with pytest.raises(Leak):
            compare()
