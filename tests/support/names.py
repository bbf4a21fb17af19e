"""Names that users give themselves, or that somebody gives them, and what is shown of each."""

from collections.abc import Mapping

# By what is wrong with it: the name in a token or in an answer, and what is kept of it.
HOSTILE_NAMES: Mapping[str, tuple[object, str | None]] = {
    "nothing": (None, None),
    "empty": ("", None),
    "a number": (7, None),
    "a number that nobody can hold": (10**400, None),
    "no number": (float("nan"), None),
    "truth": (True, None),
    "a list": (["Ann"], None),
    "an object": ({"name": {"first": "Ann"}}, None),
    "nested": ([[[[[[[[{"name": ["Ann"]}]]]]]]]], None),
    "blank around it": (" \t Ann\u3000\n", "Ann"),
    "ten thousand letters": ("x" * 10_000, "x" * 200),
    "four bytes each": ("\U0001f600" * 300, "\U0001f600" * 200),
    "cut after a blank": ("x" * 199 + " y", "x" * 199),
    "turned around": ("\u202eAnn\u2069 Lee\u061c", "Ann Lee"),
    "of no width": ("\u200b\u3164\ufeff", None),
    "controls": ("Ann\x00\x1b[31m\r\nLee\u2028", "Ann[31mLee"),
    "half a character": ("Ann \ud83d", "Ann"),
    "the other half": ("\ude00Ann", "Ann"),
    "markup": ("<b>Ann</b>", "<b>Ann</b>"),  # who shows it must escape it
}
