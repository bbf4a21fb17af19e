"""Listing the ids of documents or of collections, page by page."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass

from infra.emulators.firestore.errors import invalid
from infra.emulators.firestore.names import Path, name_order_key

DEFAULT_PAGE_SIZE = 300


@dataclass(frozen=True)
class Page:
    """What to list: up to `size` entries after `after`; the token of a page is its last entry."""

    size: int
    after: str = ""


def parse_page(size: int, token: str) -> Page:
    if size < 0:
        raise invalid("page_size is negative")
    try:
        after = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError) as error:
        raise invalid("invalid page token") from error
    return Page(size or DEFAULT_PAGE_SIZE, after)


def cut(entries: Iterable[str], page: Page) -> tuple[list[str], str]:
    """Return the ids on `page`, in order, and the next page's token, "" after the last."""
    ordered = sorted(set(entries), key=name_order_key)
    passed = name_order_key(page.after)
    rest = [entry for entry in ordered if not page.after or name_order_key(entry) > passed]
    shown = rest[: page.size]
    return shown, _token(shown[-1]) if len(rest) > len(shown) else ""


def ids_below(collections: Iterable[Path], parent: Path) -> set[str]:
    """Return the ids right below `parent`, a document or a collection, of all that leads further.

    Below a document they name its collections, also those that hold no document themselves; below
    a collection, the documents with descendants, also those that do not exist.
    """
    depth = len(parent)
    return {c[depth] for c in collections if len(c) > depth and c[:depth] == parent}


def _token(entry: str) -> str:
    return base64.urlsafe_b64encode(entry.encode()).decode()
