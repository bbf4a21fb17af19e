"""A journal of remote calls: which came, which ended, in one order over all services."""

from typing import Any

from infra.emulators.rpcs import AroundRpcs, Rpc


class Journal(AroundRpcs):
    """Notes the start and the end of every RPC of the servers it intercepts, and what else it is
    told."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    @property
    def started(self) -> list[str]:
        """The calls in the order they came."""
        return [entry.removeprefix("> ") for entry in self.entries if entry.startswith("> ")]

    def start(self, name: str) -> None:
        self.entries.append(f"> {name}")

    def end(self, name: str) -> None:
        self.entries.append(f"< {name}")

    def before(self, first: str, second: str) -> bool:
        """Whether entry `first` stands before entry `second`."""
        return self.entries.index(first) < self.entries.index(second)

    def clear(self) -> None:
        self.entries.clear()

    async def around(self, rpc: Rpc) -> Any:
        self.start(rpc.method)
        try:
            return await rpc.serve()
        finally:
            self.end(rpc.method)
