"""What the collections are called, in a database that may be the app's own."""

from dataclasses import dataclass

# Those that are ours alone.
OURS = ("births", "connections", "devices", "outbox", "polls")


@dataclass(frozen=True, slots=True)
class Collections:
    """The app's `calls` has any name; those that are ours alone share a prefix.

    A TTL policy is for all collections of a name, wherever they lie: without a prefix ours would
    delete an app's `users/…/devices`.
    """

    calls: str = "calls"
    prefix: str = "unring_"

    def named(self, collection: str) -> str:
        """The name of `calls`, or of one of `OURS`, in the database."""
        return self.calls if collection == "calls" else f"{self.prefix}{collection}"

    def clash(self) -> bool:
        """Whether `calls` has the name of one that is ours."""
        return self.calls in map(self.named, OURS)


USUAL = Collections()
