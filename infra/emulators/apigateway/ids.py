"""Ids of connections and requests, in AWS's shape: 16 characters of URL-safe base64, `=` last."""

import base64
import re
import secrets

_ID_BYTES = 11
_ID = re.compile(r"[A-Za-z0-9_-]{15}=")


def new_id() -> str:
    """An id that can't be guessed."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_ID_BYTES)).decode("ascii")


def is_well_formed(connection_id: str) -> bool:
    """Whether this could be an id at all: @connections answers 400 if not, 410 if it is unknown."""
    return _ID.fullmatch(connection_id) is not None
