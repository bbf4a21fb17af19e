"""What a listener is told of random commits is what a query finds that looks at all documents."""

import random
from collections import defaultdict
from typing import Any

import pytest
from google.cloud.firestore_v1 import types

from infra.emulators.firestore import names, queries
from infra.emulators.firestore.database import Database
from infra.emulators.firestore.listening import Listener
from infra.emulators.firestore.names import DatabaseName, Path
from infra.emulators.firestore.writes import Write

NAME = DatabaseName("p", "(default)")
ROOT = names.resource_name(NAME, ())
PATHS: list[Path] = [
    *(("calls", f"C{number}") for number in range(4)),
    *(("rooms", room, "calls", f"C{number}") for room in "AB" for number in range(2)),
    ("others", "O"),
]
NAMED: list[Path] = [("calls", "C1"), ("others", "O"), ("others", "missing")]
COMMITS = 100


def query(*, where: bool = False, everywhere: bool = False, **more: Any) -> types.StructuredQuery:
    """Of the calls: those whose `n` is 2 or more, and those below other documents."""
    selector = {"collection_id": "calls", "all_descendants": everywhere}
    at_least = {"field": {"field_path": "n"}, "op": "GREATER_THAN_OR_EQUAL"}
    told = {"field_filter": {**at_least, "value": {"integer_value": 2}}}
    asked = {"where": told} if where else {}
    return types.StructuredQuery({"from": [selector], **asked, **more})


QUERIES = [
    query(),
    query(where=True),
    query(everywhere=True),
    query(where=True, everywhere=True),
    query(limit=2),
    query(where=True, offset=1),
]


class Client:
    """What a client has of each of its targets: the update time of each document."""

    def __init__(self, database: Database) -> None:
        self.has: defaultdict[int, dict[str, Any]] = defaultdict(dict)
        self._listener = Listener(NAME, database, self._hear)

    def add(self, target: types.Target) -> None:
        request = types.ListenRequest(database=str(NAME), add_target=target)
        self._listener.hear(types.ListenRequest.pb(request))

    def _hear(self, response: Any) -> None:
        match response.WhichOneof("response_type"):
            case "document_change":
                document = response.document_change.document
                for number in response.document_change.target_ids:
                    moment = document.update_time.ToDatetime()
                    assert self.has[number].get(document.name) != moment  # it is told once
                    self.has[number][document.name] = moment
            case "document_delete" | "document_remove" as what:
                gone = getattr(response, what)
                for number in gone.removed_target_ids:
                    self.has[number].pop(gone.document, None)


def some_write(chance: random.Random, path: Path) -> Write:
    return Write(path, None if chance.random() < 0.3 else {"n": chance.randrange(4)})


def told(documents: Any) -> dict[str, Any]:
    return {
        names.resource_name(NAME, each.path): each.update_time.replace(tzinfo=None)
        for each in documents
    }


@pytest.mark.parametrize("seed", range(3))
def test_a_listener_has_what_a_query_of_everything_finds(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - to choose writes
    database = Database()
    client = Client(database)
    for number, asked in enumerate(QUERIES, 1):
        target = types.Target.QueryTarget(parent=ROOT, structured_query=asked)
        client.add(types.Target(target_id=number, query=target))
    documents = [names.resource_name(NAME, path) for path in NAMED]
    client.add(types.Target(target_id=100, documents={"documents": documents}))
    parsed = [queries.parse_query(NAME, (), types.StructuredQuery.pb(asked)) for asked in QUERIES]
    for _ in range(COMMITS):
        paths = chance.sample(PATHS, chance.randint(1, 3))
        database.commit([some_write(chance, path) for path in paths])
        for number, each in enumerate(parsed, 1):
            assert client.has[number] == told(each.run(database.documents).documents)
        assert client.has[100] == told(filter(None, map(database.get, NAMED)))
