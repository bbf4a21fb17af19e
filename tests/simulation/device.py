"""Which user each device may belong to, and what FCM says of its token."""

from collections import defaultdict
from dataclasses import dataclass, field

from functions.clients.device import Platform
from functions.ports.push_sender import PushOutcome
from tests.proof.races.model import Place
from tests.simulation.phone import Said
from tests.simulation.stage import Stage


@dataclass(eq=False, slots=True)
class Claim:
    """One registration of a token, or its end."""

    said: Said
    platform: Platform | None  # None: it is to be forgotten
    asked_at: float
    done_at: float | None = None  # when it was confirmed

    @property
    def user(self) -> str | None:
        return self.said.spell.user if self.said.name == "device:register" else None

    def is_done_before(self, moment: float) -> bool:
        """Whether it was confirmed by then, and nothing went wrong: else it may be done later."""
        is_harmed = self.said.handling and self.said.handling.harms
        return self.done_at is not None and self.done_at < moment and not is_harmed

    def is_over(self, by: "Claim", since: float) -> bool:
        """Whether it was ended by another one before."""
        ends = by.said.name == "device:register" or by.said.spell.user == self.user
        return ends and self.is_done_before(by.asked_at) and by.is_done_before(since)


@dataclass
class Devices:
    stage: Stage
    claims: dict[str, list[Claim]] = field(default_factory=lambda: defaultdict(list))
    outcomes: dict[str, PushOutcome] = field(default_factory=dict)  # of those that are not well
    ill_since: dict[str, float] = field(default_factory=dict)

    def asked(self, said: Said, platform: Platform | None) -> None:
        self.claims[said.what].append(Claim(said, platform, self.stage.now))

    def answered(self, said: Said, ok: bool) -> None:
        for claim in self.claims.get(said.what, []):
            if claim.said is said and ok:
                claim.done_at = self.stage.now

    def fall_ill(self, token: str, outcome: PushOutcome) -> None:
        """From now on FCM says so of it."""
        self.outcomes[token] = outcome
        self.ill_since.setdefault(token, self.stage.now)
        self.stage.say(token, "is", outcome.name, "from now on")

    def outcome(self, token: str) -> PushOutcome:
        return self.outcomes.get(token, PushOutcome.SENT)

    def may_be(self, token: str, user: str, since: float) -> bool:
        """Whether a device may have been `user`'s at some time since then."""
        return any(
            claim.user == user and not any(claim.is_over(by, since) for by in self.claims[token])
            for claim in self.claims.get(token, [])
        )

    def places(self, token: str, user: str, first: float, last: float) -> set[Place]:
        """As which a device of `user`'s may be known at some time between these two."""
        possible = self._possible(token, user, first, last)
        return {Place(claim.said.device, token) for claim in possible}

    def platforms(self, token: str, user: str, first: float, last: float) -> set[Platform | None]:
        """The same of what it runs."""
        return {claim.platform for claim in self._possible(token, user, first, last)}

    def _possible(self, token: str, user: str, first: float, last: float) -> list[Claim]:
        claims = self.claims.get(token, [])
        return [
            claim
            for claim in claims
            if claim.user == user
            and claim.asked_at <= last
            and not any(claim.is_over(by, first) for by in claims)
        ]

    def is_surely(self, token: str, user: str, first: float, last: float) -> bool:
        """Whether it was `user`'s, and well, for all of this time."""
        if self.ill_since.get(token, last) < last:
            return False
        claims = [claim for claim in self.claims.get(token, []) if claim.asked_at < last]
        return any(
            claim.user == user
            and claim.is_done_before(first)
            and all(other is claim or other.is_done_before(claim.asked_at) for other in claims)
            for claim in claims
        )
