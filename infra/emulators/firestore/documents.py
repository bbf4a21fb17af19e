"""The documents of one database, kept by mock-firestore, and their times.

mock-firestore creates whatever is asked for, takes an empty document for a missing one, has fields
and subcollections share one dict, and makes up update times. So each Firestore collection, however
deep, is one flat collection there, and only documents known to exist here are asked for.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import datetime

from mockfirestore import DocumentReference, MockFirestore

from infra.emulators.firestore.names import Path
from infra.emulators.firestore.values import Fields

Selector = Callable[[Path], bool]


@dataclass(frozen=True)
class Document:
    """A stored document; `fields` is the reader's own copy, but for what `select` gives."""

    path: Path
    fields: Fields
    create_time: datetime
    update_time: datetime

    def copy(self) -> "Document":
        return replace(self, fields=deepcopy(self.fields))


class Documents:
    """Every existing document of one database by its path."""

    def __init__(self) -> None:
        self.mock = MockFirestore()
        # Collection's path → document's id → the document as it was put. A query looks through all
        # of a collection, and copies none of it: mock-firestore would, each time.
        self._put: dict[Path, dict[str, Document]] = {}

    def get(self, path: Path) -> Document | None:
        collection, document_id = path[:-1], path[-1]
        put = self._put.get(collection, {}).get(document_id)
        if put is None:
            return None
        return replace(put, fields=self._reference(path).get().to_dict())

    def put(self, document: Document) -> None:
        collection, document_id = document.path[:-1], document.path[-1]
        self._reference(document.path).set(document.fields)
        self._put.setdefault(collection, {})[document_id] = document.copy()

    def remove(self, path: Path) -> None:
        """Remove the document if it exists; what lies below it stays, as in Firestore."""
        collection, document_id = path[:-1], path[-1]
        if document_id not in self._put.get(collection, {}):
            return
        self._reference(path).delete()
        del self._put[collection][document_id]
        if not self._put[collection]:
            del self._put[collection]

    def collections(self) -> Iterator[Path]:
        """Yield the path of every collection that holds a document."""
        yield from self._put

    def select(self, selector: Selector) -> Iterator[Document]:
        """Yield the documents of the collections whose path `selector` takes, in no order. Their
        fields must not be changed: whoever passes a document on makes a copy."""
        for collection in filter(selector, list(self._put)):
            yield from list(self._put[collection].values())

    def _reference(self, path: Path) -> DocumentReference:
        return self.mock.collection(_flat(path[:-1])).document(path[-1])


def _flat(collection: Path) -> str:
    # mock-firestore splits at slashes; a collection at the top keeps its plain name.
    return "/".join(collection).replace("%", "%25").replace("/", "%2F")
