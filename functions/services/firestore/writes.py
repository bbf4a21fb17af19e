"""Writes of documents, as a Commit takes them.

The value of a field is what `values` knows, or says what becomes of it: DELETE_FIELD,
SERVER_TIMESTAMP, ArrayUnion, Entries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from google.cloud.firestore_v1 import DELETE_FIELD, SERVER_TIMESTAMP, ArrayUnion, types

from functions.services.firestore.values import Reference, path_of, put, put_all, put_moment
from functions.services.rpc import Message

Fields = Mapping[str, object]

_Write = types.Write.pb()
_REQUEST_TIME = types.DocumentTransform.FieldTransform.ServerValue.REQUEST_TIME


@dataclass(frozen=True, slots=True)
class Entries:
    """What becomes of some entries of a map; the others stay."""

    changes: Fields


def created(document: Reference, fields: Fields) -> Message:
    """Fails if the document is there."""
    write = replaced(document, fields)
    write.current_document.exists = False
    return write


def replaced(document: Reference, fields: Fields) -> Message:
    """Writes the document anew, whatever is there."""
    write = _Write()
    write.update.name = document.name
    for name, value in fields.items():
        if not _is_transform(write, (name,), value):
            put(value, write.update.fields[name])
    return write


def updated(document: Reference, fields: Fields, version: datetime | None = None) -> Message:
    """Keeps the other fields. Fails if the document is not of `version`, or not there (None)."""
    write = merged(document, fields)
    if version is None:
        write.current_document.exists = True
    else:
        put_moment(version, write.current_document.update_time)
    return write


def merged(document: Reference, fields: Fields) -> Message:
    """Keeps the other fields; makes the document if it is not there."""
    write = _Write()
    write.update.name = document.name
    write.update_mask.SetInParent()  # without one, the document would be written anew
    _change(write, fields)
    return write


def deleted(document: Reference, version: datetime | None = None) -> Message:
    """Fails if the document is not of `version`, if that is given."""
    write = _Write(delete=document.name)
    if version is not None:
        put_moment(version, write.current_document.update_time)
    return write


def _change(write: Message, fields: Fields, within: tuple[str, ...] = ()) -> None:
    for name, value in fields.items():
        path = (*within, name)
        if isinstance(value, Entries):
            _change(write, value.changes, path)
        elif not _is_transform(write, path, value):
            write.update_mask.field_paths.append(path_of(*path))
            if value is not DELETE_FIELD:
                put(value, _place(write.update.fields, path))


def _place(fields: Mapping[str, Message], path: tuple[str, ...]) -> Message:
    *maps, last = path
    for name in maps:
        fields = fields[name].map_value.fields
    return fields[last]


def _is_transform(write: Message, path: tuple[str, ...], value: object) -> bool:
    """Whether Firestore itself is to find out what the field becomes; then it is told how."""
    if value is SERVER_TIMESTAMP:
        write.update_transforms.add(field_path=path_of(*path), set_to_server_value=_REQUEST_TIME)
        return True
    if isinstance(value, ArrayUnion):
        transform = write.update_transforms.add(field_path=path_of(*path))
        put_all(value.values, transform.append_missing_elements)
        return True
    return False
