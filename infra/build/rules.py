"""Which of a database's security rules reach collections that are none of the app's business.

Rules are added up, so one that lets clients into every collection lets them into ours, whatever the
others say. https://firebase.google.com/docs/firestore/security/rules-structure
"""

import re
from collections.abc import Iterator

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
# In order of their coming: the head of a block, its end, or a statement that allows something.
_PART = re.compile(
    r"\bmatch\s+(?P<path>/[^\s{]*(?:\{[^}]*\}[^\s{]*)*)\s*\{"
    r"|(?P<other>\{)|(?P<end>\})"
    r"|\ballow\b(?P<allow>[^;]*);?"
)
_NEVER = re.compile(r":\s*if\s+false\s*$")


def reaching(rules: str, prefix: str) -> Iterator[str]:
    """The paths that stand for any collection and allow something, unless their condition speaks of
    `prefix`: whoever wrote it has thought of our collections."""
    ours = tuple(f"{prefix}{name}" for name in ("connections", "devices", "outbox"))
    blocks: list[str] = []
    for part in _PART.finditer(_COMMENT.sub(" ", rules)):
        if part["path"]:
            blocks.append(part["path"])
        elif part["other"]:
            blocks.append("")
        elif part["end"]:
            del blocks[-1:]
        elif part["allow"] is not None and not _NEVER.search(part["allow"].strip()):
            path = _in_database("".join(blocks))
            speaks_of_us = prefix and prefix in part["allow"]
            if path and not speaks_of_us and _may_be(path, ours):
                yield path


def _in_database(path: str) -> str:
    """The path below the database's documents."""
    return re.sub(r"^/databases/[^/]+/documents", "", path)


def _may_be(path: str, ours: tuple[str, ...]) -> bool:
    """Whether a path may be a document of ours: it begins with our collection, or with any."""
    first = path.removeprefix("/").split("/")[0]
    return first in ours or bool(re.fullmatch(r"\{\w+(=\*\*)?\}", first))
