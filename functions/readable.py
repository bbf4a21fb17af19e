"""What people may read of a text that somebody else has written. Pure."""

import unicodedata

_READ = 20  # times the limit, in characters; of more, none is looked at
# What Unicode calls default ignorable, beyond the formats: letters and marks that show nothing.
# https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point
_IGNORABLE = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2065, 0x2065),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0xE0000, 0xE0FFF),
)


def readable(text: object, limit: int) -> str | None:
    """`text` without what shows nothing or turns the text around, and of the rest at most `limit`
    characters; None if nothing is left, or if it is no text. Of what it gives it gives the same."""
    if not isinstance(text, str):
        return None
    shown = "".join(each for each in text[: _READ * limit] if not _is_unreadable(each))
    return shown.strip()[:limit].rstrip() or None


def is_control(character: str) -> bool:
    # Cc: control characters; Cs: halves of surrogate pairs, which no wire can carry on.
    return unicodedata.category(character) in {"Cc", "Cs"}


def _is_unreadable(character: str) -> bool:
    # Cf: formats, some of no width and some that turn the text around; Zl and Zp: ends of lines.
    if is_control(character) or unicodedata.category(character) in {"Cf", "Zl", "Zp"}:
        return True
    return any(first <= ord(character) <= last for first, last in _IGNORABLE)
