"""What the app says for what we say: there and back nothing is lost, whatever the dialect."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.calls.call import CallId, Status, UserId
from functions.dialect.dialect import CALL_FIELDS, USUAL, CallDocuments, Ids, digits, same
from functions.dialect.reading import parsed

PREFIXED = Ids(call_prefix="CALL_")
BARE = Ids(call_prefix="CALL_", documents_have_prefix=False)
NUMBERS = Ids(users_are_numbers=True, calls_are_numbers=True)
BOTH = Ids(calls_are_numbers=True, call_prefix="CALL_")

ids = st.builds(
    Ids,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "CALL_", "1"]),
    st.booleans(),
    # A file is refused in which the prefix of numbers is one.
).filter(lambda forms: not (forms.calls_are_numbers and forms.call_prefix == "1"))
numbers = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("forms", "asked", "document", "told"),
    [
        (Ids(), "CALL_1", "CALL_1", "CALL_1"),
        (Ids(), "1", "1", "1"),
        (PREFIXED, "CALL_1", "CALL_1", "CALL_1"),
        (PREFIXED, "1", "CALL_1", "CALL_1"),
        (PREFIXED, 1, "CALL_1", "CALL_1"),
        (BARE, "CALL_1", "1", "CALL_1"),
        (BARE, "1", "1", "CALL_1"),
        (NUMBERS, 7, "7", 7),
        (NUMBERS, "7", "7", 7),
        (NUMBERS, 7.0, "7", 7),
        (NUMBERS, "007", "007", "007"),
        (NUMBERS, "abc", "abc", "abc"),
        (NUMBERS, str(2**70), str(2**70), str(2**70)),
        (BOTH, 7, "CALL_7", 7),
        (BOTH, "CALL_7", "CALL_7", 7),
        (BOTH, "CALL_x", "CALL_x", "CALL_x"),
    ],
)
def test_a_call_is_asked_for_in_any_form_and_told_in_one(
    forms: Ids, asked: object, document: str, told: str | int
) -> None:
    assert forms.call_in(asked) == document
    out = forms.call_out(CallId(document))
    assert (out, type(out)) == (told, type(told))


@pytest.mark.parametrize("asked", [None, True, 1.5, [], {}, "", "CALL_"])
def test_what_is_no_id_names_no_call(asked: object) -> None:
    for forms in (PREFIXED, BARE, BOTH):
        assert forms.call_in(asked) in (asked, "")


@given(ids, st.text(min_size=1, max_size=8) | numbers)
def test_who_asks_for_what_he_was_told_finds_it(forms: Ids, asked: str | int) -> None:
    document = forms.call_in(asked)
    if isinstance(document, str) and document:
        assert forms.call_in(forms.call_out(CallId(document))) == document


@given(numbers)
def test_a_users_number_stays_a_number(id: int) -> None:
    out = NUMBERS.user_out(UserId(str(NUMBERS.user_in(id))))
    assert (out, type(out)) == (id, int)


@given(st.text(max_size=8))
def test_a_text_that_no_number_is_written_as_stays_a_text(id: str) -> None:
    out = NUMBERS.user_out(UserId(id))
    assert str(out) == id


@given(numbers)
def test_a_whole_number_becomes_its_digits(value: int) -> None:
    assert digits(value) == str(value)
    assert digits(float(value % 2**53)) == str(value % 2**53)


@given(
    st.none()
    | st.booleans()
    | st.floats().filter(lambda value: not value.is_integer() or abs(value) > 2**63)
    | st.integers(min_value=2**63)
    | st.text()
)
def test_whatever_else_comes_as_it_is(value: object) -> None:
    assert digits(value) is value


words = st.text("abcdefgh", min_size=1, max_size=3)


@given(
    st.lists(words, min_size=len(CALL_FIELDS), max_size=len(CALL_FIELDS), unique=True),
    st.lists(words, min_size=len(Status), max_size=len(Status), unique=True),
    st.dictionaries(st.sampled_from(CALL_FIELDS), st.none() | st.booleans(), min_size=1),
    st.sampled_from(Status),
    st.dictionaries(st.just("mine") | words.map(str.upper), st.integers(), max_size=2),
)
def test_a_document_is_read_as_it_was_written(
    names: list[str],
    said: list[str],
    fields: dict[str, object],
    status: Status,
    others: dict[str, object],
) -> None:
    written_as = dict(zip((each.value for each in Status), said, strict=True))
    meanings = {word: ours for ours, word in written_as.items()}
    documents = CallDocuments(dict(zip(CALL_FIELDS, names, strict=True)), written_as, meanings)
    ours = {**fields, "status": status.value, "callerId": "7", "endedBy": "x"}
    written = documents.written(ours, NUMBERS)
    assert set(written) <= set(names)
    assert written[documents.renamed["callerId"]] == 7
    assert documents.read({**written, **others}, NUMBERS) == {**others, **ours}


def test_with_a_dialect_only_its_words_are_statuses() -> None:
    read = parsed(
        "[calls.status]\n" + "\n".join(f'{each} = ["{each.upper()}", "x{each}"]' for each in Status)
    )
    for word, status in (("RINGING", "ringing"), ("xringing", "ringing")):
        assert read.call_read({"status": word})["status"] == status
    assert read.call_read({"status": "ringing"})["status"] == "ringing (no word of DIALECT)"
    assert read.call_read({"status": 7})["status"] == 7
    assert read.call_written({"status": Status.MISSED})["status"] == "MISSED"


def test_what_the_app_calls_by_our_name_is_its_own() -> None:
    read = parsed('[calls.fields]\nreason = "why"\nstatus = "state"')
    found = read.call_read({"reason": ["x"], "status": 3, "state": "ringing"})
    assert found == {"status": "ringing"}


def test_without_a_dialect_nothing_is_copied() -> None:
    fields = {"status": "ringing", "at": datetime.now(UTC)}
    assert USUAL.call_read(fields) is fields
    assert USUAL.call_written(fields) is fields
    assert same(["a"]) == {"a": "a"}
