"""What is read of our documents, and what of a document that lacks something."""

import pytest

from functions.calls.event import to_fields
from functions.clients.device import FcmToken, device_id
from functions.clients.profile import NO_PROFILE, Profile
from functions.services.firestore import documents
from functions.services.firestore.documents import MalformedDocument
from tests.support.makers import event, now

CALL = {"callerId": "USR_1", "receiverId": "USR_2", "status": "ringing"}
CONNECTION = {"userId": "USR_1", "wire": "json", "connectedAt": now(), "expiresAt": now()}
DEVICE = {"userId": "USR_1", "token": "T", "platform": "ios", "expiresAt": now()}


def test_what_the_backend_adds_to_a_call_does_not_matter() -> None:
    read = documents.read_call("CALL_1", {**CALL, "createdAt": now(), "video": True}, now())
    assert (read.call.caller, read.call.receiver, read.call.status) == ("USR_1", "USR_2", "ringing")


@pytest.mark.parametrize(
    ("field", "value"),
    [*((field, value) for field in CALL for value in (None, 7, "")), ("status", "dialling")],
)
def test_a_call_needs_its_parties_and_a_known_status(field: str, value: object) -> None:
    with pytest.raises(MalformedDocument):
        documents.read_call("CALL_1", {**CALL, field: value}, now())


@pytest.mark.parametrize("cause", ["cancelled by cron", "", 7, None, ["a"], {"by": "cron"}])
def test_a_cause_that_is_the_apps_own_is_none_of_ours(cause: object) -> None:
    read = documents.read_call("CALL_1", {**CALL, "cause": cause}, now())
    assert read.call.cause is None


@pytest.mark.parametrize("field", CONNECTION)
def test_a_connection_needs_all_its_fields(field: str) -> None:
    documents.read_connection("c=", CONNECTION)
    with pytest.raises(MalformedDocument):
        documents.read_connection("c=", {**CONNECTION, field: None})


@pytest.mark.parametrize("field", ["wire", "expiresAt"])
def test_what_is_wrong_with_a_document_names_its_field_once(field: str) -> None:
    with pytest.raises(MalformedDocument, match=f"^{field} is no"):
        documents.read_connection("c=", {**CONNECTION, field: None})


@pytest.mark.parametrize("field", ["profile", "shownProfile"])
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"name": "Ann"}, Profile("Ann")),
        ({"name": "Ann", "avatar": b"x"}, Profile("Ann")),
        ({"name": "\u202eAnn\x00" + "x" * 10_000}, Profile("Ann" + "x" * 197)),
        *((odd, NO_PROFILE) for odd in (None, 7, "Ann", ["Ann"], {}, now(), {"name": {"name": 7}})),
    ],
)
def test_a_profile_that_makes_no_sense_is_none(field: str, written: object, read: Profile) -> None:
    connection = documents.read_connection("c=", {**CONNECTION, field: written})
    found = {"profile": connection.profile, "shownProfile": connection.shown_profile}
    assert found == {"profile": NO_PROFILE, "shownProfile": NO_PROFILE, field: read}


@pytest.mark.parametrize("field", ["token", "platform", "expiresAt"])
def test_a_device_needs_all_that_is_read_of_it(field: str) -> None:
    documents.read_device("d", DEVICE, now())
    with pytest.raises(MalformedDocument):
        documents.read_device("d", {**DEVICE, field: None}, now())


@pytest.mark.parametrize("fields", [{}, {"event": None}, {"event": {"name": "call:cancelled"}}])
def test_an_outbox_entry_needs_its_event(fields: dict[str, object]) -> None:
    with pytest.raises(MalformedDocument):
        documents.read_entry(fields, now(), now())


@pytest.mark.parametrize("odd", [None, 7, "x", {"a": 1}, [1, None]])
def test_what_is_noted_on_an_outbox_entry_is_read_as_nothing_where_it_makes_no_sense(
    odd: object,
) -> None:
    noted = dict.fromkeys(("served", "pushed", "claimedAt", "pendingSince"), odd)
    entry = documents.read_entry({"event": to_fields(event()), **noted}, now(), now())
    assert (entry.served, entry.pushed) == (frozenset(), frozenset())
    assert (entry.claimed_at, entry.pending_since) == (None, None)


def test_when_a_ring_ends_is_known_only_where_it_is_a_moment() -> None:
    ends = now()
    for value, read in ((ends, ends), ("soon", None), (7, None), (None, None)):
        stored = documents.read_call("CALL_1", {**CALL, "ringsUntil": value}, now())
        assert stored.call.rings_until == read


def test_a_device_is_named_after_the_hash_of_its_token() -> None:
    assert device_id(FcmToken("T")) == (
        "e632b7095b0bf32c260fa4c539e9fd7b852d0de454e9be26f24d0d6f91d069d3"
    )
