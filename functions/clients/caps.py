"""How many connections or devices a user may have: the newest count, and displace the others."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol, TypeVar

from functions.calls.call import UserId

_DISPLACED = 2  # by each that comes: one more than comes, so that in the end none is too many


class _OfUser(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def user(self) -> UserId | None: ...


_Found = TypeVar("_Found", bound=_OfUser)


def capped(
    found: Iterable[_Found], cap: int, came_at: Callable[[_Found], datetime]
) -> list[_Found]:
    """Of each user the `cap` that came last."""
    of_user: dict[UserId | None, list[_Found]] = defaultdict(list)
    for each in found:
        of_user[each.user].append(each)
    kept: list[_Found] = []
    for all_of_one in of_user.values():
        kept += sorted(all_of_one, key=came_at, reverse=True)[:cap]
    return kept


def displaced(
    found: Iterable[_Found], cap: int, came_at: Callable[[_Found], datetime], newcomer: str
) -> list[_Found]:
    """Which of one user's, `found`, must go because `newcomer` came: the two behind its `cap`.

    However many come at once, and see each other, each sends two away at most, and together they
    send away all that are too many. What was left by a failure goes one by one as others come.
    """
    newest_first = sorted(found, key=lambda each: (came_at(each), each.id), reverse=True)
    place = next((at for at, each in enumerate(newest_first) if each.id == newcomer), None)
    return [] if place is None else newest_first[place + cap : place + cap + _DISPLACED]
