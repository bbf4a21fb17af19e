"""What a token's claims, or a backend's answer, say of the user."""

import json
from collections.abc import Mapping
from math import inf
from typing import Any

from functions.calls.call import USER_ID_LIMIT, UserId
from functions.clients.profile import NO_PROFILE, Profile
from functions.ports.identity import Identified


def json_in(body: bytes) -> Any:
    """What `body` holds. A number that is no number for Python, or half a character, is read too:
    who is named beside it must not be kept out for it. Raises ValueError and RecursionError."""
    return json.loads(body, parse_int=_whole_number)


def _whole_number(digits: str) -> float:
    # Python refuses to read thousands of digits, and no user has as many.
    return int(digits) if len(digits) <= USER_ID_LIMIT else inf


def value_at(content: object, place: str) -> object:
    """The value at a literal name, or at a JSON pointer, which begins with a slash; None if there
    is none. https://www.rfc-editor.org/rfc/rfc6901"""
    if not place.startswith("/"):
        return content.get(place) if isinstance(content, Mapping) else None
    for step in place[1:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(content, Mapping):
            content = content.get(name)
        elif isinstance(content, list) and name.isdecimal() and int(name) < len(content):
            content = content[int(name)]
        else:
            return None
    return content


def identified_at(content: object, user: str, name: str | None) -> Identified | None:
    """The user whose id is at the place `user`, and whose name is at the place `name`, if he has
    one. None if what should be the id can be none."""
    found = user_at(content, user)
    if found is None:
        return None
    profile = NO_PROFILE if name is None else Profile.of(value_at(content, name))
    return Identified(found, profile)


def user_at(content: object, place: str) -> UserId | None:
    """The user's id at `place`, a whole number as its digits; None if what is there can be none."""
    value = value_at(content, place)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and 0 < len(value) <= USER_ID_LIMIT and value.isprintable():
        return UserId(value)
    return None
