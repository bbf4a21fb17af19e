"""All that came of one ring."""

from collections import Counter
from dataclasses import dataclass, field

from tests.proof.faults.played import Played
from tests.proof.handset import Told


@dataclass
class RingPlayed(Played):
    """All that came of one ring."""

    phones: dict[str, Counter[Told]] = field(default_factory=dict)  # by whose they are
    is_scheduled: bool = False  # its end, when all had heard of its beginning
    is_early: bool = False  # it ended before its time was over
