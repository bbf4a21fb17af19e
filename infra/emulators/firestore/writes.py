"""Writes: reading them from the wire, and computing what one does to a document. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from infra.emulators.firestore import names, transforms, values
from infra.emulators.firestore.documents import Document
from infra.emulators.firestore.errors import already_exists, failed_precondition, invalid, not_found
from infra.emulators.firestore.fields import delete_field, field, put_field
from infra.emulators.firestore.names import DatabaseName, FieldPath, Path
from infra.emulators.firestore.transforms import Transform
from infra.emulators.firestore.values import Fields, Value, identical

MAX_DOCUMENT_BYTES = 1 << 20
_NAME_BYTES, _DOCUMENT_BYTES = 16, 32  # what Firestore adds to a name and to a document


@dataclass(frozen=True)
class Precondition:
    """What must hold of the document before the write; both None: nothing."""

    exists: bool | None = None
    update_time: datetime | None = None


@dataclass(frozen=True)
class Write:
    """`fields` None deletes the document; `mask` None replaces it, else only these paths change."""

    path: Path
    fields: Fields | None
    mask: tuple[FieldPath, ...] | None = None
    transforms: tuple[Transform, ...] = ()
    precondition: Precondition = Precondition()


@dataclass(frozen=True)
class Outcome:
    """The document after a write (None: deleted), and the results of its transforms."""

    document: Document | None
    transform_results: tuple[Value, ...] = ()


def parse_write(database: DatabaseName, message: Any) -> Write:
    """Read one `google.firestore.v1.Write`; raises INVALID_ARGUMENT."""
    precondition = parse_precondition(message.current_document)
    match message.WhichOneof("operation"):
        case "update":
            path = names.document_path_in(database, message.update.name)
            paths = map(names.parse_field_path, message.update_mask.field_paths)
            mask = tuple(paths) if message.HasField("update_mask") else None
            fields = values.decode_fields(message.update.fields)
            changes = tuple(transforms.parse(change) for change in message.update_transforms)
            return Write(path, fields, mask, changes, precondition)
        case "delete":
            path = names.document_path_in(database, message.delete)
            return Write(path, None, precondition=precondition)
        case "transform":
            path = names.document_path_in(database, message.transform.document)
            changes = tuple(transforms.parse(c) for c in message.transform.field_transforms)
            return Write(path, {}, (), changes, precondition)
        case _:
            raise invalid("empty write operation")


def parse_precondition(message: Any) -> Precondition:
    match message.WhichOneof("condition_type"):
        case "exists":
            return Precondition(exists=message.exists)
        case "update_time":
            return Precondition(update_time=values.decode_time(message.update_time))
        case _:
            return Precondition()


def apply(write: Write, before: Document | None, now: datetime) -> Outcome:
    """Compute the document after `write`, which `now` is the commit time of.

    A write that changes nothing leaves the update time as it was. Raises NOT_FOUND, ALREADY_EXISTS
    or FAILED_PRECONDITION when the precondition does not hold, INVALID_ARGUMENT above 1 MiB.
    """
    _check_precondition(write.precondition, before, write.path)
    if write.fields is None:
        return Outcome(None)
    fields = _written(write, write.fields, before.fields if before else {})
    results = tuple(transforms.apply(change, fields, now) for change in write.transforms)
    _check_size(write.path, fields)
    if before is not None and identical(before.fields, fields):
        return Outcome(before, results)
    created = before.create_time if before else now
    return Outcome(Document(write.path, fields, created, now), results)


def check_repeats(changes: Sequence[Write]) -> None:
    """Refuse what one commit may not do twice to a document; raises INVALID_ARGUMENT.

    Only the first write of a document has its precondition checked against what is stored. What the
    following ones demand must already be certain from those before, as on Google's emulator.
    """
    firsts: dict[Path, Write] = {}
    latest: dict[Path, Write] = {}
    for write in changes:
        if write.path in firsts:
            _check_repeat(firsts[write.path], latest[write.path], write)
        firsts.setdefault(write.path, write)
        latest[write.path] = write


def without_precondition(write: Write) -> Write:
    return replace(write, precondition=Precondition())


def _check_repeat(first: Write, previous: Write, write: Write) -> None:
    name, wanted = "/".join(write.path), write.precondition
    if wanted.update_time not in {None, first.precondition.update_time}:
        raise invalid(f"The writes of {name} have different update times as preconditions.")
    exists = previous.fields is not None
    if exists and wanted.exists is False:
        raise invalid(f"Cannot write then create {name} in the same request.")
    demands_it = wanted.exists or (wanted.update_time and write.fields is not None)
    if demands_it and not exists:
        raise invalid(f"Cannot delete then update {name} in the same request.")


def _check_precondition(precondition: Precondition, before: Document | None, path: Path) -> None:
    name = "/".join(path)
    if precondition.exists is True and before is None:
        raise not_found(f"No document to update: {name}")
    if precondition.exists is False and before is not None:
        raise already_exists(f"Document already exists: {name}")
    wanted = precondition.update_time
    if wanted is not None and (before is None or before.update_time != wanted):
        stored = before.update_time.isoformat() if before else "missing"
        raise failed_precondition(
            f"the stored version ({stored}) of {name} does not match the required base version "
            f"({wanted.isoformat()})"
        )


def _written(write: Write, sent: Fields, stored: Fields) -> Fields:
    """Return fields that share nothing with `stored` or `sent` which a transform would change."""
    fields: Fields = _copied(sent if write.mask is None else stored)
    if write.mask is None:
        return fields
    for path in write.mask:
        if found := field(sent, path):
            put_field(fields, path, _copied(found[0]))
        else:
            delete_field(fields, path)
    return fields


def _copied(value: Value) -> Value:
    # Only maps are ever changed in place.
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return value


def _check_size(path: Path, fields: Fields) -> None:
    name = sum(len(part.encode()) + 1 for part in path) + _NAME_BYTES
    total = name + values.fields_size(fields) + _DOCUMENT_BYTES
    if total > MAX_DOCUMENT_BYTES:
        raise invalid(
            f"The document {'/'.join(path)} has {total} bytes; the maximum is {MAX_DOCUMENT_BYTES}."
        )
