"""What of texts is shown lets nobody in."""

import json
from collections.abc import Callable

import pytest
from google.cloud.firestore_v1 import types

from infra.emulators.auth.tokens import unsigned_token
from infra.local.console.redaction import redacted, shown_text

SECRET = "a-secret-that-nobody-may-read"
JWT = unsigned_token("alice", "p")


def in_document() -> str:
    fields = {"ringToken": types.Value(string_value=SECRET), "kept": types.Value(string_value="K")}
    return str(types.Document(name="d", fields=fields))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"event": "device:register", "data": {"token": SECRET, "kept": "K"}}),
        f'40{{"token":"{SECRET}","kept":"K"}}',
        json.dumps({"data": json.dumps({"ring_token": SECRET, "kept": "K"})}),
        f"/socket.io/?EIO=4&sid={SECRET}&kept=K",
        f"/dev?token={SECRET} K",
        f"Authorization: Bearer {SECRET} K",
        f"K {JWT.replace('..', '.' + SECRET + '.')}",
        in_document(),
    ],
)
def test_tokens_and_secrets_are_left_out(text: str) -> None:
    assert SECRET not in redacted(text)
    assert "K" in redacted(text)
    assert redacted(redacted(text)) == redacted(text)


def test_an_id_token_is_left_out_wherever_it_stands() -> None:
    assert JWT not in redacted(f"it was {JWT} here")


def test_two_tokens_can_be_told_apart_and_a_short_one_is_left_out_whole() -> None:
    assert redacted(json.dumps({"token": SECRET})) == '{"token": "a-secr…"}'
    assert redacted('{"token": "short"}') == '{"token": "…"}'


def test_what_is_json_stays_json() -> None:
    said = {"token": 'with "quotes" and \\ in it', "kept": [1, {"password": "p"}]}
    shown = redacted(json.dumps(said))
    assert json.loads(shown)["kept"][0] == 1
    assert "quotes" not in shown


@pytest.mark.parametrize("dumped", [json.dumps, lambda said: json.dumps(json.dumps(said))])
def test_a_token_in_which_the_text_is_cut_is_left_out_too(
    dumped: Callable[[object], str],
) -> None:
    # What is hidden of the first brings the second, and the cut in it, to where it is shown.
    tokens = {"a_token": "x" * 7900, "b_token": SECRET * 10}
    shown = shown_text(dumped(tokens))
    assert "b_token" in shown
    assert SECRET not in shown


def test_a_long_text_says_how_long_it_was() -> None:
    assert shown_text("x" * 5000).endswith("x… (5000 characters)")
    assert shown_text("short") == "short"
