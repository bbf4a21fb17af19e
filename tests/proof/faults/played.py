"""All that came of one case."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.proof.faults.case import Case
from tests.proof.faults.cast import Cast
from tests.proof.handset import Told

Pushes = Counter[tuple[str, str, str]]  # token, type, call


@dataclass
class OldRing:
    """What was told of a ring whose call has rung again since: by then, and in the end."""

    told: list[int]  # by phone of the told user
    pushed: int
    told_in_the_end: list[int] = field(default_factory=list)
    pushed_in_the_end: int = 0
    is_excused: bool = False


@dataclass
class Played:
    """All that came of one case; where the call rang again, of the new ring."""

    case: Case
    cast: Cast
    reason: str
    verdicts: list[dict[str, Any] | None] = field(default_factory=list)  # None: no answer
    faults: int = 0
    is_harmed: bool = True  # everything went wrong that was to go wrong, when it was to
    is_late: bool = False
    told_too_soon: bool = False  # of a call that was still ringing
    is_exact: bool = False  # nobody may be told twice, as none who has it met a fault
    statuses: dict[str, str] = field(default_factory=dict)  # by call
    outbox: set[str] = field(default_factory=set)  # calls whose event is still pending
    told: list[Counter[Told]] = field(default_factory=list)  # by phone of the told user
    bystanders: list[Counter[Told]] = field(default_factory=list)
    pushes: Pushes = field(default_factory=Counter)
    old_ring: OldRing | None = None
    hooks: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # path, status, call
    wanted: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # path, user, call
    is_device_forgotten: bool = False
    gone_hooks: set[str] = field(default_factory=set)  # the paths that heard of a dead device
