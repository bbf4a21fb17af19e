"""The documents of one database, kept by mock-firestore, and their times.

mock-firestore creates whatever is asked for, takes an empty document for a missing one, has fields
and subcollections share one dict, and makes up update times. So each Firestore collection, however
deep, is one flat collection there, and only documents known to exist here are asked for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from mockfirestore import DocumentReference, MockFirestore

from infra.emulators.firestore.names import Path
from infra.emulators.firestore.values import Fields

Selector = Callable[[Path], bool]


@dataclass(frozen=True)
class Document:
    """A stored document; `fields` is the reader's own copy."""

    path: Path
    fields: Fields
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True)
class _Times:
    created: datetime
    updated: datetime


class Documents:
    """Every existing document of one database by its path."""

    def __init__(self) -> None:
        self.mock = MockFirestore()
        self._times: dict[Path, dict[str, _Times]] = {}  # collection's path → document's id → times

    def get(self, path: Path) -> Document | None:
        collection, document_id = path[:-1], path[-1]
        times = self._times.get(collection, {}).get(document_id)
        if times is None:
            return None
        fields = self._reference(path).get().to_dict()
        return Document(path, fields, times.created, times.updated)

    def put(self, document: Document) -> None:
        collection, document_id = document.path[:-1], document.path[-1]
        self._reference(document.path).set(document.fields)
        times = _Times(document.create_time, document.update_time)
        self._times.setdefault(collection, {})[document_id] = times

    def remove(self, path: Path) -> None:
        """Remove the document if it exists; what lies below it stays, as in Firestore."""
        collection, document_id = path[:-1], path[-1]
        if document_id not in self._times.get(collection, {}):
            return
        self._reference(path).delete()
        del self._times[collection][document_id]
        if not self._times[collection]:
            del self._times[collection]

    def collections(self) -> Iterator[Path]:
        """Yield the path of every collection that holds a document."""
        yield from self._times

    def select(self, selector: Selector) -> Iterator[Document]:
        """Yield the documents of the collections whose path `selector` takes, in no order."""
        for collection in filter(selector, list(self._times)):
            for document_id in list(self._times[collection]):
                document = self.get((*collection, document_id))
                if document is not None:
                    yield document

    def _reference(self, path: Path) -> DocumentReference:
        return self.mock.collection(_flat(path[:-1])).document(path[-1])


def _flat(collection: Path) -> str:
    # mock-firestore splits at slashes; a collection at the top keeps its plain name.
    return "/".join(collection).replace("%", "%25").replace("/", "%2F")
