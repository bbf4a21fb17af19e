"""What a token's claims, or a backend's answer, say of the user."""

from collections.abc import Mapping

from functions.calls.call import USER_ID_LIMIT, UserId


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


def user_at(content: object, place: str) -> UserId | None:
    """The user's id at `place`, a whole number as its digits; None if what is there can be none."""
    value = value_at(content, place)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and 0 < len(value) <= USER_ID_LIMIT and value.isprintable():
        return UserId(value)
    return None
