"""Resource names and field paths: parsing, and the limits Firestore puts on them."""

import re
from dataclasses import dataclass

from infra.emulators.firestore.errors import invalid

# "cities", "LA": ids from the root down; even for a document, odd for a collection.
Path = tuple[str, ...]
# "address", "city": the names of nested maps.
FieldPath = tuple[str, ...]

MAX_ID_BYTES = 1500
MAX_PATH_IDS = 200  # 100 pairs of collection and document
DOCUMENT_ID: FieldPath = ("__name__",)

_RESERVED = re.compile(r"__.*__", re.DOTALL)
_NUMERIC_ID = re.compile(r"__id(-?[0-9]+)__")  # how Datastore's numeric keys are written
_FIELD_NAME = re.compile(r"[a-zA-Z_][a-zA-Z_0-9]*|`((?:[^`\\]|\\.)+)`", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class DatabaseName:
    project: str
    database: str

    def __str__(self) -> str:
        return f"projects/{self.project}/databases/{self.database}"


def resource_name(database: DatabaseName, path: Path) -> str:
    """Return `projects/…/databases/…/documents[/…]`."""
    return "/".join((str(database), "documents", *path))


def parse_database(name: str) -> DatabaseName:
    """Parse `projects/{project}/databases/{database}`; raises INVALID_ARGUMENT."""
    match name.split("/"):
        case ["projects", project, "databases", database] if project and database:
            return DatabaseName(project, database)
    raise invalid(f'Database name "{name}" is not of the form projects/…/databases/….')


def parse_parent(name: str) -> tuple[DatabaseName, Path]:
    """Parse the name of a document, or of the root above the top collections (path `()`)."""
    match name.split("/"):
        case ["projects", project, "databases", database, "documents", *ids] if project:
            if database and len(ids) % 2 == 0:
                path = tuple(ids)
                _check_path(path, name)
                return DatabaseName(project, database), path
    raise invalid(f'"{name}" is neither the name of a document nor of the documents\' root.')


def parse_document(name: str) -> tuple[DatabaseName, Path]:
    """Parse `projects/…/databases/…/documents/{collection}/{document}/…`."""
    database, path = parse_parent(name)
    if not path:
        raise invalid(f'Document name "{name}" names no document.')
    return database, path


def document_path_in(database: DatabaseName, name: str) -> Path:
    """Parse a document's name that must lie in `database`, since a request is to one database."""
    owner, path = parse_document(name)
    if owner != database:
        raise invalid(f'Document "{name}" is not in the database {database} of the request.')
    return path


def name_order_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts names as Firestore does: id by id, numeric ids before all others."""
    return tuple(map(_id_order_key, name.split("/")))


def check_collection_id(name: str) -> None:
    if "/" in name:
        raise invalid(f'Collection id "{name}" is invalid because it contains "/".')
    _check_id("Collection", name, name)
    if _RESERVED.fullmatch(name):
        raise invalid(f'Collection id "{name}" is invalid because it is reserved.')


def check_field_name(name: str) -> None:
    if not name:
        raise invalid("The name of a field is empty.")
    if len(name.encode()) > MAX_ID_BYTES:
        raise invalid(f"The name of a field is longer than {MAX_ID_BYTES} bytes.")
    if _RESERVED.fullmatch(name):
        raise invalid(f"field name {name} is reserved")


def parse_field_path(text: str) -> FieldPath:
    """Parse `a.b` or, for names that are not plain words, `` a.`b.c` ``."""
    path = _split_field_path(text)
    for name in path:
        check_field_name(name)
    return path


def parse_query_path(text: str) -> FieldPath:
    """Parse a field path where `__name__`, the document's own name, is allowed: in what reads."""
    return DOCUMENT_ID if text == "__name__" else parse_field_path(text)


def _split_field_path(text: str) -> FieldPath:
    names, position = [], 0
    while match := _FIELD_NAME.match(text, position):
        quoted = match[1]
        names.append(match[0] if quoted is None else _ESCAPED.sub(r"\1", quoted))
        position = match.end()
        if position == len(text):
            return tuple(names)
        if text[position] != ".":
            break
        position += 1
    raise invalid(f'Invalid property path "{text}".')


def _check_path(path: Path, name: str) -> None:
    if len(path) > MAX_PATH_IDS:
        raise invalid(f"Key path is too long. Cannot exceed {MAX_PATH_IDS // 2} elements.")
    for collection_id in path[::2]:
        check_collection_id(collection_id)
    for document_id in path[1::2]:
        _check_id("Resource", document_id, name)
        if _RESERVED.fullmatch(document_id) and not _NUMERIC_ID.fullmatch(document_id):
            raise invalid(f'Resource id "{document_id}" is invalid because it is reserved.')


def _id_order_key(identifier: str) -> tuple[int, int, str]:
    if number := _NUMERIC_ID.fullmatch(identifier):
        return (0, int(number[1]), "")
    return (1, 0, identifier)


def _check_id(kind: str, identifier: str, name: str) -> None:
    if identifier in {"", ".", ".."}:
        raise invalid(f'"{name}" contains a {kind.lower()} id "{identifier}".')
    if len(identifier.encode()) > MAX_ID_BYTES:
        raise invalid(f"A {kind.lower()} id is longer than {MAX_ID_BYTES} bytes.")
