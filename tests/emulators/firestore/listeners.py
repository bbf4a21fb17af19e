"""Google's Firestore clients that listen, for Python and for Node, behind one way to drive them."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from google.cloud.firestore_v1.base_query import FieldFilter

from tests.emulators.firestore.support import Fields, make_client
from tests.support import node
from tests.support.pace import PATIENCE_SECONDS

KINDS = ("python", "server", "web")  # Node's are those of listen.js

_DRIVER = Path(__file__).with_name("listen.js")
_GRACE_SECONDS = 5.0
_DIRECTIONS = {"asc": "ASCENDING", "desc": "DESCENDING"}


@dataclass(frozen=True)
class Watched:
    """A document's path, or a query of the collection at `path`."""

    path: str
    where: tuple[tuple[str, str, Any], ...] = ()
    orders: tuple[tuple[str, str], ...] = ()  # a field, and "asc" or "desc"
    limit: int | None = None

    @property
    def is_document(self) -> bool:
        return self.path.count("/") % 2 == 1


@dataclass(frozen=True)
class Report:
    """A snapshot, with changes of a query alone, or an error, or that something is done."""

    docs: list[tuple[str, Fields]] = field(default_factory=list)
    changes: list[tuple[str, str]] = field(default_factory=list)
    error: str = ""
    done: bool = False

    @property
    def ids(self) -> list[str]:
        return [doc for doc, _ in self.docs]


Tell = Callable[[str, Report], None]


class Client(Protocol):
    async def order(self, do: str, name: str, **more: Any) -> None: ...

    async def end(self) -> None: ...


class Listener:
    """An app with one client. Whatever it reports waits under its name until it is asked for."""

    def __init__(self) -> None:
        self.client: Client
        self._reports: defaultdict[str, asyncio.Queue[Report]] = defaultdict(asyncio.Queue)

    def tell(self, name: str, report: Report) -> None:
        self._reports[name].put_nowait(report)

    async def listen(self, name: str, watched: Watched) -> Report:
        """Listen; gives the first snapshot, or an error."""
        await self.client.order("listen", name, **asdict(watched))
        return await self.next(name)

    async def next(self, name: str) -> Report:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._reports[name].get()

    async def until(self, name: str, docs: list[tuple[str, Fields]]) -> None:
        """Wait for a snapshot with exactly these documents."""
        while (await self.next(name)).docs != docs:
            pass

    def nothing_more(self, name: str) -> bool:
        return self._reports[name].empty()

    async def do(self, what: str, path: str = "", name: str = "", **more: Any) -> Report:
        """Have the client stop, set, get or delete; gives what came of it."""
        await self.client.order(what, name or path, path=path, **more)
        return await self.next(name or path)


@asynccontextmanager
async def listener(kind: str, address: str, project: str) -> AsyncIterator[Listener]:
    app = Listener()
    if kind == "python":
        app.client = PythonClient(address, project, app.tell)
    else:
        app.client = await NodeClient.started(kind, address, project, app.tell)
    try:
        yield app
    finally:
        await app.client.end()


class PythonClient:
    """google-cloud-firestore's sync client; the async one does not listen."""

    def __init__(self, address: str, project: str, tell: Tell) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = make_client("sync", address, project)
        self._tell = tell
        self._watches: dict[str, Any] = {}

    async def order(self, do: str, name: str, **more: Any) -> None:
        if do == "listen":
            watched = Watched(**more)
            called = self._callback(name, watched)
            self._watches[name] = self._target(watched).on_snapshot(called)
        elif do == "stop":
            await asyncio.to_thread(self._watches.pop(name).unsubscribe)
            self._tell(name, Report(done=True))

    async def end(self) -> None:
        for watch in self._watches.values():
            await asyncio.to_thread(watch.unsubscribe)
        self._client.close()

    def _target(self, watched: Watched) -> Any:
        if watched.is_document:
            return self._client.document(watched.path)
        query = self._client.collection(watched.path)
        for condition in watched.where:
            query = query.where(filter=FieldFilter(*condition))
        for name, direction in watched.orders:
            query = query.order_by(name, direction=_DIRECTIONS[direction])
        return query if watched.limit is None else query.limit(watched.limit)

    def _callback(self, name: str, watched: Watched) -> Callable[..., None]:
        def called(docs: list[Any], changes: list[Any], _: Any) -> None:
            # It runs in a thread of the library.
            told = [(each.type.name.lower(), each.document.id) for each in changes]
            report = Report(
                [(doc.id, doc.to_dict()) for doc in docs], [] if watched.is_document else told
            )
            self._loop.call_soon_threadsafe(self._tell, name, report)

        return called


class NodeClient:
    """A client of npm, driven by listen.js."""

    def __init__(self, process: asyncio.subprocess.Process, tell: Tell) -> None:
        self._process = process
        self._tell = tell
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def started(cls, kind: str, address: str, project: str, tell: Tell) -> "NodeClient":
        packages = str(node.MODULES / "package.json")
        process = await asyncio.create_subprocess_exec(
            *("node", str(_DRIVER), packages, kind, *address.split(":"), project),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return cls(process, tell)

    async def order(self, do: str, name: str, **more: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": do, "name": name, **more}).encode() + b"\n")
        await self._process.stdin.drain()

    async def end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _GRACE_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            name = said.pop("name")
            for pairs in ("docs", "changes"):
                said[pairs] = [tuple(pair) for pair in said.get(pairs, [])]
            self._tell(name, Report(**said))
