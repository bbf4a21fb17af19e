"""The language of subscription filters. Pure: text in, predicate over a message's attributes out.

The grammar is that of https://cloud.google.com/pubsub/docs/subscription-message-filter:

    expression = term { "AND" term } | term { "OR" term }
    term       = [ "NOT" | "-" ] ( "(" expression ")" | comparison )
    comparison = "attributes" ":" key
               | "attributes" "." key ( "=" | "!=" ) string
               | "hasPrefix" "(" "attributes" "." key "," string ")"
    key        = letters, digits, "-", "_" | string
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Attributes = Mapping[str, str]
Predicate = Callable[[Attributes], bool]

MAX_FILTER_BYTES = 256

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<word>[A-Za-z0-9_][A-Za-z0-9_-]*)
      | (?P<mark>!=|[=:.,()-])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"""\\(?:
        x(?P<hex>[0-9A-Fa-f]{2})
      | u(?P<short>[0-9A-Fa-f]{4})
      | U(?P<long>[0-9A-Fa-f]{8})
      | (?P<octal>[0-3][0-7]{2})
      | (?P<plain>[\\"'`?abfnrtv])
      | (?P<unknown>.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_RESERVED = frozenset({"AND", "OR", "NOT"})


class FilterError(ValueError):
    """The text is no filter. `position` is where it stops being one, in characters from 0."""

    def __init__(self, problem: str, position: int) -> None:
        super().__init__(f"{problem} at position {position}")
        self.position = position


def compile_filter(text: str) -> Predicate:
    """The predicate that `text` stands for; the empty filter matches everything.

    Raises FilterError for anything Pub/Sub would refuse at the creation of a subscription: bad
    syntax, AND mixed with OR without parentheses, more than 256 bytes.
    """
    if len(text.encode()) > MAX_FILTER_BYTES:
        raise FilterError(f"a filter has at most {MAX_FILTER_BYTES} bytes", MAX_FILTER_BYTES)
    if not text.strip():
        return lambda _: True
    parser = _Parser(text)
    predicate = parser.expression()
    parser.expect("end")
    return predicate


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


class _Parser:
    """Recursive descent, one token ahead. The 256 bytes bound its depth."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._token = self._read(0)

    def expression(self) -> Predicate:
        terms = [self._term()]
        operator = self._token.text if self._token.kind == "word" else ""
        if operator not in ("AND", "OR"):
            return terms[0]
        while self._took("word", operator):
            terms.append(self._term())
        if self._token.text in ("AND", "OR") and self._token.kind == "word":
            raise FilterError("AND and OR need parentheses between them", self._token.position)
        return _all_of(terms) if operator == "AND" else _any_of(terms)

    def expect(self, kind: str, text: str | None = None) -> _Token:
        token = self._token
        if token.kind != kind or (text is not None and token.text != text):
            raise FilterError(f"expected {text or kind}, found {token}", token.position)
        if kind != "end":
            self._token = self._read(token.position + len(token.text))
        return token

    def _term(self) -> Predicate:
        if self._took("word", "NOT") or self._took("mark", "-"):
            return _negation_of(self._operand())
        return self._operand()

    def _operand(self) -> Predicate:
        if not self._took("mark", "("):
            return self._comparison()
        inside = self.expression()
        self.expect("mark", ")")
        return inside

    def _comparison(self) -> Predicate:
        if self._took("word", "hasPrefix"):
            self.expect("mark", "(")
            self.expect("word", "attributes")
            key = self._member()
            self.expect("mark", ",")
            prefix = self._string()
            self.expect("mark", ")")
            return _starts(key, prefix)
        self.expect("word", "attributes")
        if self._took("mark", ":"):
            return _has(self._key())
        key = self._member()
        if self._took("mark", "!="):
            return _negation_of(_equals(key, self._string()))
        self.expect("mark", "=")
        return _equals(key, self._string())

    def _member(self) -> str:
        dot = self.expect("mark", ".")
        # A name is one piece: no blank on either side of its dot.
        if self._text[dot.position - 1].isspace() or self._token.position > dot.position + 1:
            raise FilterError("a blank beside the dot", dot.position)
        return self._key()

    def _key(self) -> str:
        if self._token.kind == "string":
            return self._string()
        if self._token.text in _RESERVED:
            raise FilterError(f"the key {self._token.text} needs quotes", self._token.position)
        return self.expect("word").text

    def _string(self) -> str:
        token = self.expect("string")
        return _unescaped(token)

    def _took(self, kind: str, text: str) -> bool:
        if (self._token.kind, self._token.text) != (kind, text):
            return False
        self.expect(kind, text)
        return True

    def _read(self, start: int) -> _Token:
        match = _TOKEN.match(self._text, start)
        if match is None or match.lastgroup is None:
            position = start + len(self._text[start:]) - len(self._text[start:].lstrip())
            raise FilterError(f"unexpected {self._text[position]!r}", position)
        return _Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup))


def _unescaped(token: _Token) -> str:
    """What a string literal stands for, its quotes and escapes resolved."""

    def character(match: re.Match[str]) -> str:
        if match["plain"]:
            return _PLAIN.get(match["plain"], match["plain"])
        position = token.position + 1 + match.start()
        if match["unknown"]:
            raise FilterError(f"unknown escape {match[0]!r}", position)
        digits = match["hex"] or match["short"] or match["long"]
        code = int(digits, 16) if digits else int(match["octal"], 8)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise FilterError(f"{match[0]} is no character", position)
        return chr(code)

    return _ESCAPE.sub(character, token.text[1:-1])


def _has(key: str) -> Predicate:
    return lambda attributes: key in attributes


def _equals(key: str, value: str) -> Predicate:
    return lambda attributes: attributes.get(key) == value


def _starts(key: str, prefix: str) -> Predicate:
    return lambda attributes: key in attributes and attributes[key].startswith(prefix)


def _negation_of(predicate: Predicate) -> Predicate:
    return lambda attributes: not predicate(attributes)


def _all_of(predicates: list[Predicate]) -> Predicate:
    return lambda attributes: all(holds(attributes) for holds in predicates)


def _any_of(predicates: list[Predicate]) -> Predicate:
    return lambda attributes: any(holds(attributes) for holds in predicates)
