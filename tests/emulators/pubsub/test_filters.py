"""The filter language of subscriptions."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.emulators.pubsub import FilterError, compile_filter

ATTRIBUTES = {"event": "call:cancelled", "channel": "push", "iana.org/language_tag": "en", "": "x"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("  ", True),
        ("attributes:event", True),
        ("attributes : event", True),
        ("attributes:absent", False),
        ("NOT attributes:absent", True),
        ("-attributes:event", False),
        ('attributes:"iana.org/language_tag"', True),
        ('attributes."iana.org/language_tag"="en"', True),
        ('attributes.event = "call:cancelled"', True),
        ('attributes.event = "call:Cancelled"', False),
        ('attributes.event != "call:cancelled"', False),
        ('attributes.event != "else"', True),
        ('attributes.absent != "else"', True),
        ('attributes.absent = ""', False),
        ('hasPrefix(attributes.event, "call:")', True),
        ('hasPrefix(attributes.event, "Call:")', False),
        ('hasPrefix(attributes.absent, "")', False),
        ('NOT hasPrefix(attributes.event, "call:")', False),
        ("attributes:event AND attributes:absent", False),
        ("attributes:event AND attributes:channel AND -attributes:absent", True),
        ("attributes:absent OR attributes:absent OR attributes:event", True),
        ("(attributes:absent OR attributes:event) AND attributes:channel", True),
        ("attributes:absent AND (attributes:event OR attributes:channel)", False),
        ("NOT (attributes:event AND attributes:absent)", True),
        ("((attributes:event))", True),
        ('attributes.channel = "\\x70\\u0075\\163h"', True),
        ('attributes:event\nAND\tattributes.channel="push"', True),
    ],
)
def test_a_filter_matches_as_documented(text: str, matches: bool) -> None:
    assert compile_filter(text)(ATTRIBUTES) is matches


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("attributes:a AND attributes:b OR attributes:c", 30),
        ("attributes:a OR attributes:b AND attributes:c", 29),
        ("attributes:a and attributes:b", 13),
        ("attributes:a attributes:b", 13),
        ("attributes:a AND", 16),
        ("attributes", 10),
        ("attributes.a", 12),
        ("attributes.a = b", 15),
        ("attributes.a = 'b'", 15),
        ('attributes.a == "b"', 14),
        ('attributes.a < "b"', 13),
        ('attributes.a.b = "c"', 12),
        ('attributes .a = "b"', 11),
        ('attributes. a = "b"', 10),
        ('attributes.a = "b', 15),
        ('attributes.a = "\\q"', 16),
        ('attributes.a = "\\uD800"', 16),
        ("attributes:NOT", 11),
        ("NOT NOT attributes:a", 4),
        ("(attributes:a", 13),
        ("attributes:a)", 12),
        ("()", 1),
        ('hasSuffix(attributes.a, "b")', 0),
        ('hasPrefix(attributes.a "b")', 23),
        ("hasPrefix(attributes:a)", 20),
        ('data = "x"', 0),
        ('attributes:"' + "x" * 244 + '"', 256),
        ('attributes:"' + "é" * 122 + '"', 256),
    ],
)
def test_a_text_that_is_no_filter_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(FilterError) as refusal:
        compile_filter(text)
    assert refusal.value.position == position
    assert str(position) in str(refusal.value)


def test_mixing_and_with_or_is_refused_for_what_it_is() -> None:
    with pytest.raises(FilterError, match="need parentheses"):
        compile_filter("attributes:a AND attributes:b OR attributes:c")


def test_a_filter_may_have_256_bytes() -> None:
    assert compile_filter('attributes:"' + "é" * 121 + 'x"')({"é" * 121 + "x": "1"})


@dataclass(frozen=True)
class Term:
    """Of one attribute; the operator ":" has no use for the value."""

    operator: str
    key: str
    value: str


@dataclass(frozen=True)
class Negated:
    operator: str
    inner: "Tree"


@dataclass(frozen=True)
class Joined:
    operator: str
    left: "Tree"
    right: "Tree"


Tree = Term | Negated | Joined
_KEYS = st.text(alphabet="ab-_ \\\"'\n.é", max_size=4)
_TERMS = st.builds(Term, st.sampled_from([":", "=", "!=", "hasPrefix"]), _KEYS, _KEYS)
_TREES: st.SearchStrategy[Tree] = st.recursive(
    _TERMS,
    lambda inner: (
        st.builds(Joined, st.sampled_from(["AND", "OR"]), inner, inner)
        | st.builds(Negated, st.sampled_from(["NOT", "-"]), inner)
    ),
    max_leaves=6,
)


def _written(tree: Tree) -> str:
    """The tree as a filter, parentheses around every operand."""
    match tree:
        case Joined(operator, left, right):
            return f"({_written(left)}) {operator} ({_written(right)})"
        case Negated(operator, inner):
            return f"{operator} ({_written(inner)})"
        case Term(":", key):
            return f"attributes:{json.dumps(key)}"
        case Term("hasPrefix", key, value):
            return f"hasPrefix(attributes.{json.dumps(key)}, {json.dumps(value)})"
        case Term(operator, key, value):
            return f"attributes.{json.dumps(key)} {operator} {json.dumps(value)}"


def _holds(tree: Tree, attributes: dict[str, str]) -> bool:
    match tree:
        case Joined("AND", left, right):
            return _holds(left, attributes) and _holds(right, attributes)
        case Joined(_, left, right):
            return _holds(left, attributes) or _holds(right, attributes)
        case Negated(_, inner):
            return not _holds(inner, attributes)
        case Term(":", key):
            return key in attributes
        case Term("hasPrefix", key, value):
            return key in attributes and attributes[key][: len(value)] == value
        case Term("=", key, value):
            return (key, value) in attributes.items()
        case Term(_, key, value):
            return (key, value) not in attributes.items()


@given(_TREES, st.dictionaries(_KEYS, _KEYS, max_size=4))
def test_a_filter_means_what_its_tree_means(tree: Tree, attributes: dict[str, str]) -> None:
    text = _written(tree)
    if len(text.encode()) > 256:
        with pytest.raises(FilterError):
            compile_filter(text)
    else:
        assert compile_filter(text)(attributes) is _holds(tree, attributes)


@given(
    st.lists(st.sampled_from([*'()-:.=,!"\\ a', "attributes", "hasPrefix", "AND", "NOT", '"b"']))
)
def test_any_text_is_a_filter_or_a_filter_error(pieces: list[str]) -> None:
    try:
        predicate = compile_filter("".join(pieces))
    except FilterError:
        return
    assert predicate({"a": "b"}) in (True, False)
