"""How many connections or devices of one user count: the newest, up to a cap."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Protocol, TypeVar

from functions.calls.call import UserId


class _OfUser(Protocol):
    @property
    def user(self) -> UserId | None: ...


_Found = TypeVar("_Found", bound=_OfUser)


def capped(
    found: Iterable[_Found], cap: int, came_at: Callable[[_Found], datetime]
) -> tuple[list[_Found], list[_Found]]:
    """Of each user the `cap` that came last, and the rest: those that are too many."""
    of_user: dict[UserId | None, list[_Found]] = defaultdict(list)
    for each in found:
        of_user[each.user].append(each)
    kept: list[_Found] = []
    too_many: list[_Found] = []
    for all_of_one in of_user.values():
        newest_first = sorted(all_of_one, key=came_at, reverse=True)
        kept += newest_first[:cap]
        too_many += newest_first[cap:]
    return kept, too_many
