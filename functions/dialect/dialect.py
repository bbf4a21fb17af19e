"""What the app says for what we say, both ways. Inside, all has our names, and ids are texts.

docs/dialects.md has the file that says so; without one, the dialect is `USUAL`.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from functions.calls.call import CallId, Status, UserId
from functions.calls.ring import INITIATE
from functions.calls.transitions import INCOMING, SIGNALS, TIMED_OUT, TRANSITIONS

ERROR_EVENT, BUSY_EVENT = "call:error", "call:busy"

# What a ring is called: no other may be called so, as a phone would ring instead of falling silent.
RING_EVENT, RING_TYPE = INCOMING.event, INCOMING.push.type if INCOMING.push else ""

_NOTICES = (INCOMING, *(notice for row in (*TRANSITIONS, TIMED_OUT) for notice in row.notices))

# All that can be named otherwise.
EVENTS_IN = (*SIGNALS, INITIATE, "device:register", "device:unregister")
EVENTS_OUT = tuple(dict.fromkeys([*(notice.event for notice in _NOTICES), BUSY_EVENT, ERROR_EVENT]))
PUSH_TYPES = tuple(dict.fromkeys(notice.push.type for notice in _NOTICES if notice.push))
PUSH_FIELDS = (
    *("type", "callId", "callerId", "reason", "cause", "timestamp"),
    *("sentAt", "expiresAt", "ringToken"),
)
# The fields that stand beside each other, of a signal, a ring, a device, an event and a verdict.
PAYLOADS = (
    ("callId", "reason", "deviceId"),
    ("callId", "receiverId", "ringSeconds", "deviceId"),
    ("token", "fid", "platform", "deviceId"),
    ("callId", "reason", "cause", "endedBy", "ringsUntil", "timestamp", "callerId", "callerName"),
    ("ok", "outcome", "callId", "ringsUntil", "field", "message"),
)
FIELDS = tuple(dict.fromkeys(name for payload in PAYLOADS for name in payload))
CALL_FIELDS = (
    *("callerId", "receiverId", "status", "ringsUntil", "ringSeconds", "data", "signalId"),
    *("answeredAt", "answeredBy"),
    *("answeredOn", "answeredOnConnection", "answeredOnRegistration"),
    *("endedAt", "endedBy", "reason", "cause"),
)

# What FCM takes no message with, wherever it came from.
# https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
_RESERVED = frozenset({"from", "notification", "message_type"})
_RESERVED_PREFIXES = ("google.", "gcm.", "gcm_")

_OF_USERS = ("callerId", "receiverId", "answeredBy", "endedBy")  # fields of a call's document
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
_INTEGERS = range(-(2**63), 2**63)  # no database has larger ids

_Names = Mapping[str, str]


def same(names: Iterable[str]) -> _Names:
    """The names for themselves."""
    return MappingProxyType({name: name for name in names})


class Ids(msgspec.Struct, frozen=True):
    """The forms of ids. A call's is the name of its document, whatever the app calls it."""

    users_are_numbers: bool = False
    calls_are_numbers: bool = False
    call_prefix: str = ""  # of the ids of calls, though the app may leave it out
    documents_have_prefix: bool = True

    @property
    def calls_are_usual(self) -> bool:
        """Whether a call is asked for by the name of its document, and by nothing else."""
        return not self.call_prefix and not self.calls_are_numbers

    def user_in(self, id: object) -> object:
        """A user's id as we have it, where it may be a number."""
        return digits(id) if self.users_are_numbers else id

    def user_out(self, id: UserId) -> str | int:
        return _number(id) if self.users_are_numbers else id

    def call_in(self, id: object) -> object:
        """A call's id as we have it; what is no id comes as it is."""
        if self.calls_are_usual:
            return id
        text = digits(id)
        if not self.call_prefix or not isinstance(text, str):
            return text
        bare = text.removeprefix(self.call_prefix)
        return f"{self.call_prefix}{bare}" if bare and self.documents_have_prefix else bare

    def call_out(self, id: CallId) -> str | int:
        """A number without the prefix, if calls have numbers; else a text with the prefix."""
        if self.calls_are_usual:
            return id
        bare = id.removeprefix(self.call_prefix) if self.documents_have_prefix else id
        number = _number(bare) if self.calls_are_numbers else bare
        if not isinstance(number, str):
            return number
        return id if self.documents_have_prefix else f"{self.call_prefix}{bare}"


class CallDocuments(msgspec.Struct, frozen=True, eq=False):
    """How the documents of calls say what we say."""

    renamed: _Names  # ours, of the fields that have another name
    words: _Names  # of our statuses, as they are written
    meanings: _Names  # of all words for a status

    def read(self, fields: Mapping[str, object], ids: Ids) -> Mapping[str, object]:
        """A document's fields as we name them. What has our name for something that the app names
        otherwise is the app's own."""
        named = {*self.renamed, *self.renamed.values()}
        read = {name: value for name, value in fields.items() if name not in named}
        read |= {ours: fields[its] for ours, its in self.renamed.items() if its in fields}
        if isinstance(word := read.get("status"), str):
            read["status"] = self.meanings.get(word, f"{word} (no word of DIALECT)")
        return {**read, **{name: ids.user_in(read[name]) for name in _OF_USERS if name in read}}

    def written(self, fields: Mapping[str, object], ids: Ids) -> Mapping[str, object]:
        """Our fields as a document has them."""
        return {
            self.renamed.get(name, name): self._value(name, value, ids)
            for name, value in fields.items()
        }

    def _value(self, name: str, value: object, ids: Ids) -> object:
        if name == "status":
            return self.words[str(value)]
        is_user = name in _OF_USERS and isinstance(value, str)
        return ids.user_out(UserId(str(value))) if is_user else value


class Dialect(msgspec.Struct, frozen=True, eq=False):
    """The app's words. `USUAL` has ours throughout."""

    events_in: _Names = msgspec.field(default_factory=lambda: same(EVENTS_IN))  # ours for theirs
    events_out: _Names = msgspec.field(default_factory=lambda: same(EVENTS_OUT))
    fields: _Names = msgspec.field(default_factory=lambda: same(FIELDS))  # as they are written
    # As they are read, which may be more than one.
    fields_in: Mapping[str, tuple[str, ...]] = msgspec.field(
        default_factory=lambda: MappingProxyType({name: (name,) for name in FIELDS})
    )
    push_types: _Names = msgspec.field(default_factory=lambda: same(PUSH_TYPES))
    # Of our fields and of what the app passes on: those that have another name in a push.
    push_fields: _Names = msgspec.field(default_factory=lambda: same(()))
    calls: CallDocuments | None = None  # None: their documents have our names and words
    ids: Ids = Ids()
    namespaces: frozenset[str] = frozenset()  # beside the root
    # The app's own events: what the other party hears, by what is sent.
    relay: _Names = msgspec.field(default_factory=lambda: same(()))

    def found_in(self, data: Mapping[str, object], field: str) -> tuple[str, object]:
        """The name by which `data` has one of our fields, and its value, None if there is none."""
        names = self.fields_in[field]
        for name in names:
            if (value := data.get(name)) is not None:
                return name, value
        return names[0], None

    def words_for(self, statuses: Iterable[Status]) -> list[str]:
        """All the words by which documents of calls may say one of these statuses."""
        wanted = {status.value for status in statuses}
        if self.calls is None:
            return sorted(wanted)
        return sorted(word for word, status in self.calls.meanings.items() if status in wanted)

    def call_read(self, fields: Mapping[str, object]) -> Mapping[str, object]:
        """The fields of a call's document as we name them."""
        return fields if self.calls is None else self.calls.read(fields, self.ids)

    def call_written(self, fields: Mapping[str, object]) -> Mapping[str, object]:
        """Our fields as a call's document has them."""
        return fields if self.calls is None else self.calls.written(fields, self.ids)


def is_reserved(name: str) -> bool:
    """Whether FCM would refuse a message with a field of this name."""
    return not name or name in _RESERVED or name.startswith(_RESERVED_PREFIXES)


def digits(id: object) -> object:
    """A whole number as the text that is its id; whatever else comes as it is."""
    whole = int(id) if isinstance(id, float) and id.is_integer() else id  # JSON's 7.0 is 7
    is_whole = isinstance(whole, int) and not isinstance(whole, bool) and whole in _INTEGERS
    return str(whole) if is_whole else id


def _number(id: str) -> str | int:
    """The number that an id was, if it can have been one."""
    return number if _WHOLE.fullmatch(id) and (number := int(id)) in _INTEGERS else id


USUAL = Dialect()
OUR_WORDS = same(status.value for status in Status)
