"""Reads a dialect's file, and says all that is wrong with it at once.

docs/dialects.md has its form. The functions load this only where a dialect is set.
"""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from functions.calls.call import Status, names_document
from functions.dialect.dialect import (
    CALL_FIELDS,
    EVENTS_IN,
    EVENTS_OUT,
    FIELDS,
    OUR_WORDS,
    PAYLOADS,
    PUSH_FIELDS,
    PUSH_TYPES,
    RING_EVENT,
    RING_TYPE,
    CallDocuments,
    Dialect,
    Ids,
    is_reserved,
    same,
)

_LONGEST = 100  # characters of a name
_MOST_RELAYED = 50  # events
_FORMS = ("text", "number")
_BEGINS_NUMBER = re.compile(r"-|-?[0-9]+")
_DOCUMENTS = ("with prefix", "without prefix")
# What Socket.IO's clients and the JSON wire keep to themselves.
_NOT_SENT = ("connect", "connect_error", "disconnect", "disconnecting", "error", "ack", "pong")
_NOT_READ = ("connect", "connect_error", "disconnect", "disconnecting", "ping")

_Table = Mapping[str, Any]


def dialect_of(value: str) -> Dialect:
    """The dialect of a file at a path, or of the TOML itself. Raises ValueError, whose message has
    a line for each fault."""
    if "\n" in value or "=" in value:
        return parsed(value)
    try:
        text = Path(value).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"can't be read: {error}") from error
    return parsed(text)


def parsed(text: str) -> Dialect:
    """The dialect that a TOML text describes. Raises ValueError as above."""
    try:
        file = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is no TOML: {error}") from error
    except RecursionError as error:
        raise ValueError("is no TOML: nested too deeply") from error
    reading = _Reading()
    dialect = reading.dialect(file)
    if reading.faults:
        raise ValueError("\n".join(reading.faults))
    return dialect


class _Reading:
    """Reads one file. What is wrong is noted and left out, so that the rest is checked too."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def dialect(self, file: _Table) -> Dialect:
        tables = ("events", "relay", "fields", "push", "calls", "ids", "namespaces")
        top = self._known(file, "", tables)
        events = self._table(top, "", "events", ("in", "out"))
        push = self._table(top, "", "push", ("types", "fields"))
        events_in, events_out = self._events_in(events), self._events_out(events)
        fields_in = self._fields(top)
        return Dialect(
            events_in=events_in,
            events_out=events_out,
            fields=MappingProxyType({ours: names[0] for ours, names in fields_in.items()}),
            fields_in=MappingProxyType(fields_in),
            push_types=self._push_types(push),
            push_fields=self._push_fields(push),
            calls=self._calls(top),
            ids=self._ids(top),
            namespaces=self._namespaces(top.get("namespaces", [])),
            relay=self._relay(top, {*events_in, *events_out.values()}),
        )

    def _events_in(self, events: _Table) -> Mapping[str, str]:
        names = self._several(self._table(events, "events", "in", EVENTS_IN), "events.in")
        for ours, theirs in _pairs(names):
            if theirs in _NOT_READ:
                self._fault(f"events.in.{ours}", f"{theirs!r} never comes as an event")
        return self._meanings(_all(names, EVENTS_IN), "events.in")

    def _events_out(self, events: _Table) -> Mapping[str, str]:
        names = self._one(self._table(events, "events", "out", EVENTS_OUT), "events.out")
        for ours, theirs in names.items():
            if theirs in _NOT_SENT:
                self._fault(f"events.out.{ours}", f"{theirs!r} never reaches an app as an event")
        return self._beside_ring({**same(EVENTS_OUT), **names}, names, RING_EVENT, "events.out")

    def _relay(self, top: _Table, ours: Collection[str]) -> Mapping[str, str]:
        """The app's own events. None has a name of `ours`, or a client could have the other party's
        phone told that a call was cancelled."""
        given = self._table(top, "", "relay", None)
        if len(given) > _MOST_RELAYED:
            self._fault("relay", f"must have at most {_MOST_RELAYED} events")
        read: dict[str, str] = {}
        for sent, value in given.items():
            path = f"relay.{sent}"
            names = (self._name(sent, path), self._name(value, path))
            for name in filter(None, dict.fromkeys(names)):
                if name in ours:
                    self._fault(path, f"{name!r} is the name of an event of Unring's")
                if name in (*_NOT_SENT, *_NOT_READ):
                    self._fault(path, f"{name!r} is kept by Socket.IO's clients, or the JSON wire")
            if all(names):
                read[sent] = value
        return MappingProxyType(read)

    def _fields(self, top: _Table) -> dict[str, tuple[str, ...]]:
        names = _all(self._several(self._table(top, "", "fields", FIELDS), "fields"), FIELDS)
        for payload in PAYLOADS:
            self._meanings({ours: names[ours] for ours in payload}, "fields")
        return names

    def _push_types(self, push: _Table) -> Mapping[str, str]:
        names = self._one(self._table(push, "push", "types", PUSH_TYPES), "push.types")
        return self._beside_ring({**same(PUSH_TYPES), **names}, names, RING_TYPE, "push.types")

    def _push_fields(self, push: _Table) -> Mapping[str, str]:
        """Any field may be named here: what the app passes on has names of its own."""
        names = self._one(self._table(push, "push", "fields", None), "push.fields")
        for ours, theirs in names.items():
            if is_reserved(theirs):
                self._fault(f"push.fields.{ours}", f"FCM takes no field {theirs!r}")
        in_all = {**{name: (name,) for name in PUSH_FIELDS}, **_wrapped(names)}
        self._meanings(in_all, "push.fields")
        return MappingProxyType(names)

    def _calls(self, top: _Table) -> CallDocuments | None:
        if "calls" not in top and not _mapping(top.get("ids")).get("users"):
            return None
        calls = self._table(top, "", "calls", ("fields", "status"))
        names = self._one(self._table(calls, "calls", "fields", CALL_FIELDS), "calls.fields")
        for ours, theirs in names.items():
            if not theirs.isidentifier() or not theirs.isascii() or theirs.startswith("__"):
                problem = (
                    f"{theirs!r} must have letters, digits and underscores, and no __ at first"
                )
                self._fault(f"calls.fields.{ours}", problem)
            if theirs.startswith("unring"):
                self._fault(f"calls.fields.{ours}", f"{theirs!r} begins as a field of ours")
        self._meanings(_all(_wrapped(names), CALL_FIELDS), "calls.fields")
        words, meanings = self._statuses(calls)
        renamed = {ours: theirs for ours, theirs in names.items() if ours != theirs}
        return CallDocuments(MappingProxyType(renamed), words, meanings)

    def _statuses(self, calls: _Table) -> tuple[Mapping[str, str], Mapping[str, str]]:
        if "status" not in calls:
            return OUR_WORDS, OUR_WORDS
        statuses = [status.value for status in Status]
        table = self._table(calls, "calls", "status", statuses)
        words = self._several(table, "calls.status")
        for missing in (status for status in statuses if status not in table):
            self._fault(f"calls.status.{missing}", "has no word, which would be written")
        written = MappingProxyType({ours: theirs[0] for ours, theirs in words.items()})
        return written, self._meanings(words, "calls.status")

    def _ids(self, top: _Table) -> Ids:
        ids = self._table(top, "", "ids", ("users", "calls", "call_prefix", "call_documents"))
        prefix = self._prefix(ids)
        if "call_documents" in ids and "call_prefix" not in ids:
            self._fault("ids.call_documents", "is of no use without call_prefix")
        return Ids(
            users_are_numbers=self._choice(ids, "users", _FORMS) == "number",
            calls_are_numbers=self._choice(ids, "calls", _FORMS) == "number",
            call_prefix=prefix,
            documents_have_prefix=self._choice(ids, "call_documents", _DOCUMENTS) == "with prefix",
        )

    def _prefix(self, ids: _Table) -> str:
        if "call_prefix" not in ids:
            return ""
        prefix = self._name(ids["call_prefix"], "ids.call_prefix") or ""
        if prefix and not names_document(f"{prefix}1"):
            self._fault("ids.call_prefix", "must be what a document's name can begin with")
        if ids.get("calls") == "number" and _BEGINS_NUMBER.fullmatch(prefix):
            problem = "begins a number, so that nobody could tell whether an id has it"
            self._fault("ids.call_prefix", f"{prefix!r} {problem}")
        return prefix

    def _choice(self, ids: _Table, name: str, allowed: tuple[str, str]) -> str:
        chosen = ids.get(name, allowed[0])
        if chosen not in allowed:
            self._fault(f"ids.{name}", f"must be {' or '.join(map(repr, allowed))}")
        return str(chosen)

    def _namespaces(self, given: object) -> frozenset[str]:
        if not isinstance(given, list):
            self._fault("namespaces", "must be a list of texts")
            return frozenset()
        names = [self._name(each, "namespaces") for each in given]
        for name in filter(None, names):
            if not name.startswith("/") or name == "/" or "," in name or "?" in name:
                problem = "must begin with a slash, and have no comma and no question mark"
                self._fault("namespaces", f"{name!r} {problem}")
        return frozenset(filter(None, names))

    # What is the same in every table

    def _table(self, of: _Table, path: str, name: str, known: Collection[str] | None) -> _Table:
        """A table of a table, empty if it is not there; with all of its keys, or the `known`."""
        where = f"{path}.{name}" if path else name
        given = of.get(name, {})
        if not isinstance(given, dict):
            self._fault(where, "must be a table")
            return {}
        return given if known is None else self._known(given, where, known)

    def _known(self, table: _Table, path: str, known: Collection[str]) -> _Table:
        for name in (name for name in table if name not in known):
            where = f"{path}.{name}" if path else name
            self._fault(where, f"is not known; there are {', '.join(known)}")
        return {name: value for name, value in table.items() if name in known}

    def _one(self, table: _Table, path: str) -> dict[str, str]:
        """The name that each key has."""
        read = {ours: self._name(value, f"{path}.{ours}") for ours, value in table.items()}
        return {ours: theirs for ours, theirs in read.items() if theirs}

    def _several(self, table: _Table, path: str) -> dict[str, tuple[str, ...]]:
        """The names that each key has, the first of which is written."""
        return {
            ours: names
            for ours, value in table.items()
            if (names := self._names(value, f"{path}.{ours}"))
        }

    def _names(self, value: object, path: str) -> tuple[str, ...]:
        if value == []:
            self._fault(path, "names nothing")
        given = value if isinstance(value, list) else [value]
        return tuple(name for each in given if (name := self._name(each, path)))

    def _name(self, value: object, path: str) -> str | None:
        if not isinstance(value, str):
            self._fault(path, "must be a text, or a list of texts where several are read")
        elif not value or len(value) > _LONGEST or not value.isprintable():
            self._fault(path, f"{value!r} must have 1 to {_LONGEST} characters that can be seen")
        else:
            return value
        return None

    def _meanings(self, names: Mapping[str, tuple[str, ...]], path: str) -> Mapping[str, str]:
        """Ours, by theirs. No name may mean two."""
        meanings: dict[str, str] = {}
        for ours, theirs in _pairs(names):
            first = meanings.setdefault(theirs, ours)
            if first != ours:
                self._fault(f"{path}.{ours}", f"{theirs!r} means {first} too")
        return MappingProxyType(meanings)

    def _beside_ring(
        self, names: Mapping[str, str], said: Collection[str], ring: str, path: str
    ) -> Mapping[str, str]:
        """The names, of which a ring has one that no other has. The fault is at what was `said`."""
        for ours, theirs in names.items():
            if ours != ring and theirs == names[ring]:
                where, meant = (ours, ring) if ours in said else (ring, ours)
                self._fault(f"{path}.{where}", f"{theirs!r} means {meant} too")
        return MappingProxyType(names)

    def _fault(self, path: str, message: str) -> None:
        if (fault := f"{path}: {message}") not in self.faults:
            self.faults.append(fault)


def _mapping(value: object) -> _Table:
    return value if isinstance(value, dict) else {}


def _pairs(names: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    return ((ours, each) for ours, theirs in names.items() for each in theirs)


def _wrapped(names: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    return {ours: (theirs,) for ours, theirs in names.items()}


def _all(names: Mapping[str, tuple[str, ...]], ours: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The names of all that are `ours`; what is not named otherwise has our name."""
    return {name: names.get(name, (name,)) for name in ours}
