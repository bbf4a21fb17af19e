"""What of a text is shown: without what would let somebody in, and no more than a person reads."""

import re

_SHOWN_CHARACTERS = 4000
_KEPT_CHARACTERS = 6  # of a token, so that two can be told apart
_KEPT = re.compile(rf"[\w-]{{0,{_KEPT_CHARACTERS}}}")  # never a half of an escape
_LEFT_OUT = "…"

_NAMES = (
    r"[\w-]*(?:token|secret|password|authorization|api[_-]?key|signature)|sid|ring|auth_?key|fid"
)
_STRING = r'(?:[^"\\]|\\.)*'
# In JSON, in JSON that is itself a string, in a document as Protocol Buffers' text has it, and in a
# URL's query.
_IN_JSON = re.compile(rf'("(?:{_NAMES})"\s*:\s*")({_STRING})', re.IGNORECASE)
_IN_STRING = re.compile(rf'(\\"(?:{_NAMES})\\"\s*:\s*\\")(.*?)(?=\\"|$)', re.IGNORECASE)
_IN_DOCUMENT = re.compile(
    rf'(key: "(?:{_NAMES})"\s*value \{{\s*string_value: ")({_STRING})', re.IGNORECASE
)
_IN_QUERY = re.compile(rf"([?&](?:{_NAMES})=)([^&\s\"]+)", re.IGNORECASE)
_BEARER = re.compile(rf"(Bearer\s+)([\w.~+/=-]+{_LEFT_OUT}?)", re.IGNORECASE)
_JWT = re.compile(r"()\b(eyJ[\w-]{5,}\.[\w-]+\.[\w-]*)")


def redacted(text: str) -> str:
    """The text without the values of tokens and secrets. What was JSON stays so."""
    for pattern in (_IN_JSON, _IN_STRING, _IN_DOCUMENT, _IN_QUERY, _BEARER, _JWT):
        text = pattern.sub(lambda found: f"{found[1]}{hidden(found[2])}", text)
    return text


def shown_text(text: str) -> str:
    """The text without them, cut after some thousand characters."""
    # A secret that is cut in two here is not among those that are shown.
    shown = redacted(text[: 2 * _SHOWN_CHARACTERS])
    if len(text) <= _SHOWN_CHARACTERS:
        return shown
    return f"{shown[:_SHOWN_CHARACTERS]}{_LEFT_OUT} ({len(text)} characters)"


def hidden(secret: str) -> str:
    """Enough of it to be told from another, and too little to be used."""
    if secret.endswith(_LEFT_OUT):
        return secret
    kept = _KEPT.match(secret) if len(secret) > 3 * _KEPT_CHARACTERS else None
    return f"{kept[0] if kept else ''}{_LEFT_OUT}"
