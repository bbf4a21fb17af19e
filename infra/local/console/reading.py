"""What the texts of requests and responses say: of which call, whose, and what came of it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from infra.local.console.mentions import escaped, unescaped
from infra.local.console.parsing import parsed

# A string in quotes, whose quotes and backslashes are escaped.
_STRING = r'"((?:[^"\\]|\\.)*)"'
_DATA = re.compile(rf"^\s*data: {_STRING}", re.MULTILINE)
_OUTCOME = re.compile(r'"outcome"\s*:\s*"(\w+)"')
# An event of a Socket.IO client: 42, perhaps a namespace and an id, and an array.
_EMITTED = re.compile(r"42(?:/[^,\[]*,)?\d*(\[.*)", re.DOTALL)
_OF_A_CALL = re.compile(r"/v1/calls/(?P<call>[^/]+)(?:/(?P<signal>\w+))?")
_PACKETS = "\x1e"  # stands between two of a client that polls
_ID_CHARACTERS = 1500  # Firestore has no longer ones


@dataclass(frozen=True)
class Words:
    """What the stack's collections are called, and the fields of them that name things."""

    calls: str = "calls"
    outbox: str = "unring_outbox"
    call_fields: tuple[str, ...] = ("callId",)  # of what clients send
    user_fields: tuple[str, ...] = ("callerId", "receiverId", "userId", "owner")
    # Ours, for those that clients name otherwise.
    events: Mapping[str, str] = field(default_factory=dict)

    def call_in(self, text: str) -> str | None:
        """The first document of `calls` that a message to Firestore names."""
        found = self._calls.search(text)
        return unescaped(found[1]) if found else None

    def signals_in(self, text: str, call: str) -> list[str]:
        """The signals of a call whose entries in the outbox a message to Firestore names."""
        names = map(unescaped, self._entries.findall(text))
        return [name[len(call) + 1 :] for name in names if name.startswith(f"{call}:")]

    def users_in(self, text: str) -> dict[str, int]:
        """Those whom the fields of documents, or of JSON, name, and the rank of each: that of the
        field in `user_fields`, as neither has an order of its own."""
        users: dict[str, int] = {}
        for found in self._users.finditer(text):
            user = _text_in(found)
            if user and len(user) <= _ID_CHARACTERS:
                rank = self.user_fields.index(found["field"] or found["name"])
                users[user] = min(rank, users.get(user, rank))
        return users

    @cached_property
    def _calls(self) -> re.Pattern[str]:
        return _documents_of(self.calls)

    @cached_property
    def _entries(self) -> re.Pattern[str]:
        return _documents_of(self.outbox)

    @cached_property
    def _users(self) -> re.Pattern[str]:
        names = "|".join(re.escape(name) for name in self.user_fields)
        string = r'"(?P<{}>(?:[^"\\]|\\.)*)"'
        value = rf"(?:string_value: {string.format('text')}|integer_value: (?P<int>-?\d+))"
        in_message = rf'key: "(?P<field>{names})"\s*value \{{\s*{value}'
        in_json = rf'"(?P<name>{names})"\s*:\s*{string.format("json")}'
        return re.compile(f"{in_message}|{in_json}")


def _text_in(user: re.Match[str]) -> str:
    """Whom a field names, without the escapes of where it stands."""
    if user["text"]:
        return unescaped(user["text"])
    if user["json"]:
        return str(_json(f'"{user["json"]}"') or user["json"])
    return user["int"] or ""


def _documents_of(collection: str) -> re.Pattern[str]:
    return re.compile(rf'/documents/{re.escape(escaped(collection))}/((?:[^"\\/]|\\.)+)"')


@dataclass(frozen=True)
class Said:
    """What a client sends: the name of its event, and the event's data."""

    event: str | None = None
    data: Any = None

    def call(self, words: Words) -> str | None:
        """The id of the call that it is about."""
        if not isinstance(self.data, dict):
            return None
        found = (self.data.get(name) for name in words.call_fields)
        ids = (str(id) for id in found if isinstance(id, str | int))
        return next((id for id in ids if len(id) <= _ID_CHARACTERS), None)


def said_in_frame(text: str) -> Said:
    """Of a frame, on either wire; nothing of one that carries no event."""
    for packet in text.split(_PACKETS):
        if emitted := _EMITTED.match(packet):
            match _json(emitted[1]):
                case [str(event), *rest]:
                    return Said(event, rest[0] if rest else None)
        match _json(packet):
            case {"event": str(event), **more}:
                return Said(event, more.get("data"))
    return Said()


def said_in_request(method: str, target: str, body: str) -> Said:
    """Of an HTTPS request: the event in its body, or that of a signal's own path, or else which
    path was asked for."""
    said = said_in_frame(body)
    if said.event:
        return said
    path = target.partition("?")[0]
    if found := _OF_A_CALL.fullmatch(path):
        event = f"call:{found['signal']}" if found["signal"] else f"{method} {path}"
        return Said(event, {"callId": unquote(found["call"])})
    return Said(f"{method} {path}", _json(body))


def published_in(text: str) -> Iterator[str]:
    """The data of each message of a Publish."""
    return map(unescaped, _DATA.findall(text))


def outcome_in(response: str) -> str | None:
    """The outcome that a verdict says."""
    found = _OUTCOME.search(response)
    return found[1] if found else None


def _json(text: str) -> Any:
    try:
        return parsed(text)
    except (ValueError, RecursionError):
        return None
