"""Which of a database's security rules may let clients into our collections.

Rules are added up, so one that lets clients into every collection lets them into ours, whatever the
others say. https://firebase.google.com/docs/firestore/security/rules-structure
"""

import re
from collections.abc import Iterator, Sequence

from infra.build.text import without_comments

# In order of their coming: the head of a block, its end, or a statement that allows something.
_PART = re.compile(
    r"\bmatch\s+(?P<path>/(?:\{[^}]*\}|[^\s{}])*)\s*\{"
    r"|(?P<other>\{)|(?P<end>\})"
    r"|\ballow\b(?P<allow>[^;}]*)"
)
_NEVER = re.compile(r":\s*if\s+false\s*$")
# What a condition may exclude by: `!name.matches('…')`, and `name != '…'`.
_EXCLUDED = re.compile(
    r"!\s*\w+\.matches\(\s*(?P<regex>'[^']*'|\"[^\"]*\")\s*\)|\w+\s*!=\s*(?P<name>'[^']*'|\"[^\"]*\")"
)
_WILDCARD = re.compile(r"\{\s*\w+\s*\}")
_REST = re.compile(r"\{\s*\w+\s*=\s*\*\*\s*\}")
# Those of functions/collections.py, which this runs without.
_OURS = ("births", "connections", "devices", "outbox", "polls")
_DOCUMENT = ""  # stands for the id of any document


def reaching(rules: str, prefix: str) -> Iterator[str]:
    """The paths that may be a document of ours, and allow something, unless their condition
    excludes our collections by name. What a function of the rules excludes is not seen."""
    ours = [f"{prefix}{name}" for name in _OURS]
    blocks: list[str] = []
    for part in _PART.finditer(without_comments(rules, "//")):
        if part["path"]:
            blocks.append(part["path"])
        elif part["other"]:
            blocks.append("")
        elif part["end"]:
            del blocks[-1:]
        elif part["allow"] is not None and not _NEVER.search(part["allow"].strip()):
            path = re.sub(r"^/databases/[^/]+/documents", "", "".join(blocks))
            steps = path.strip("/").split("/")
            reached = [name for name in ours if _may_be(steps, [name, _DOCUMENT])]
            if not set(reached) <= set(_excluded(part["allow"], ours)):
                yield path


def _may_be(steps: Sequence[str], document: Sequence[str]) -> bool:
    """Whether a rule's path may be that of `document`: its collection, and its id."""
    if not steps:
        return not document
    first, rest = steps[0], steps[1:]
    if _REST.fullmatch(first):
        return any(_may_be(rest, document[skipped:]) for skipped in range(len(document) + 1))
    if not document:
        return False
    is_it = bool(_WILDCARD.fullmatch(first)) or document[0] in (first, _DOCUMENT)
    return is_it and _may_be(rest, document[1:])


def _excluded(condition: str, names: Sequence[str]) -> Iterator[str]:
    """The names for which the condition can't hold. One with an `or` in it excludes nothing."""
    if "||" in condition:
        return
    for found in _EXCLUDED.finditer(condition):
        literal, regex = found["name"], found["regex"]
        for name in names:
            if literal == f"'{name}'" or literal == f'"{name}"' or (regex and _fits(regex, name)):
                yield name


def _fits(quoted: str, name: str) -> bool:
    try:
        return re.fullmatch(quoted[1:-1], name) is not None
    except re.error:
        return False
