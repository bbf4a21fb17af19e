"""Documents and their values: the embedded Firestore and Google's emulator agree."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions
from google.cloud import firestore as library
from google.cloud.firestore_v1 import types

from tests.emulators.firestore.support import Db

NAN = float("nan")


async def test_every_type_of_value_comes_back_as_it_was_sent(db: Db) -> None:
    sent = {
        "null": None,
        "true": True,
        "int": 2**63 - 1,
        "double": -1.5,
        "text": "é\0\U0001f600",
        "bytes": b"\x00\xff",
        "time": datetime(2020, 2, 29, 1, 2, 3, 456789, tzinfo=UTC),
        "point": library.GeoPoint(-90, 180),
        "other": db.doc("a/b"),
        "list": [1, "x", {"in": [1]}, None],
        "map": {"empty": {}, "list": [], "with.dot and `tick`\\": 1},
    }
    await db.set("values/all", sent)
    got = await db.fields("values/all")
    assert got is not None
    assert got.pop("other").path == "a/b"
    del sent["other"]
    assert got == sent
    assert {name: type(value) for name, value in got.items() if name in ("true", "int")} == {
        "true": bool,
        "int": int,
    }


async def test_a_time_is_rounded_down_to_microseconds(db: Db) -> None:
    fields = {"t": types.Value(timestamp_value={"seconds": 5, "nanos": 123456789})}
    await db.write(update=types.Document(name=db.name("a/b"), fields=fields))
    assert await db.fields("a/b") == {"t": datetime.fromtimestamp(5.123456, UTC)}


async def test_a_missing_document_is_reported_as_missing(db: Db) -> None:
    snapshot = await db.get("a/nobody")
    assert not snapshot.exists
    assert snapshot.read_time is not None
    assert snapshot.update_time is None
    with pytest.raises(exceptions.NotFound):
        await db.rpc("get_document", name=db.name("a/nobody"))


async def test_reading_creates_nothing(db: Db) -> None:
    await db.get("a/nobody")
    await db.ids(db.client.collection("a/nobody/below"))
    assert await db.listed(db.client.collections()) == []
    assert await db.ids(db.client.collection("a")) == []


async def test_an_empty_document_exists(db: Db) -> None:
    await db.set("a/empty", {})
    snapshot = await db.get("a/empty")
    assert snapshot.exists
    assert snapshot.to_dict() == {}
    with pytest.raises(exceptions.AlreadyExists):
        await db(db.doc("a/empty").create, {})
    await db(db.doc("a/empty").update, {"n": 1})
    assert await db.fields("a/empty") == {"n": 1}


async def test_many_documents_come_in_one_answer_each_once(db: Db) -> None:
    await db.set("a/one", {"n": 1})
    references = [db.doc("a/one"), db.doc("a/none"), db.doc("a/one")]
    snapshots = await db.listed(db.client.get_all(references))
    assert {s.id: s.exists for s in snapshots} == {"one": True, "none": False}
    assert len(snapshots) == 2
    assert all(s.read_time is not None for s in snapshots)


async def test_a_mask_limits_the_fields_that_are_read(db: Db) -> None:
    await db.set("a/b", {"m": {"x": 1, "y": {"z": 2}}, "n": 3})
    snapshot = await db(db.doc("a/b").get, ["m.y.z", "absent"])
    assert snapshot.to_dict() == {"m": {"y": {"z": 2}}}
    document = await db.rpc("get_document", name=db.name("a/b"), mask={"field_paths": ["n"]})
    assert list(document.fields) == ["n"]


async def test_fields_and_subcollections_of_one_name_live_side_by_side(db: Db) -> None:
    await db.set("a/b", {"sub": "a field"})
    await db.set("a/b/sub/c", {"n": 1})
    assert await db.fields("a/b") == {"sub": "a field"}
    await db(db.doc("a/b").delete)
    assert not (await db.get("a/b")).exists
    assert await db.fields("a/b/sub/c") == {"n": 1}


async def test_set_replaces_and_merge_merges(db: Db) -> None:
    await db.set("a/b", {"m": {"x": 1}, "n": 1})
    await db(db.doc("a/b").set, {"m": {"y": 2}}, merge=True)
    assert await db.fields("a/b") == {"m": {"x": 1, "y": 2}, "n": 1}
    await db(db.doc("a/b").set, {"m": {"z": 3}, "k": 1}, merge=["m"])
    assert await db.fields("a/b") == {"m": {"z": 3}, "n": 1}
    await db.set("a/b", {"only": 1})
    assert await db.fields("a/b") == {"only": 1}
    await db(db.doc("a/new").set, {}, merge=True)
    assert (await db.get("a/new")).exists


async def test_update_changes_the_fields_it_names(db: Db) -> None:
    await db.set("a/b", {"m": {"x": 1, "y": 2}, "s": "text", "gone": 1})
    changes = {"m.x": library.DELETE_FIELD, "s.deep.er": 1, "gone": library.DELETE_FIELD}
    await db(db.doc("a/b").update, {**changes, "no.such": library.DELETE_FIELD, "`odd.one`": 5})
    assert await db.fields("a/b") == {"m": {"y": 2}, "s": {"deep": {"er": 1}}, "odd.one": 5}


async def test_transforms_compute_from_what_is_stored(db: Db) -> None:
    await db.set("a/b", {"i": 1, "d": 1.5, "text": "s", "list": [1, 2, 2, "x"], "low": 3})
    result = await db(
        db.doc("a/b").update,
        {
            "i": library.Increment(2),
            "d": library.Increment(1),
            "text": library.Increment(3),
            "new": library.Increment(0.5),
            "list": library.ArrayUnion([2.0, 3, 3]),
            "low": library.Minimum(1.5),
            "nested.high": library.Maximum(7),
        },
    )
    assert await db.fields("a/b") == {
        "i": 3,
        "d": 2.5,
        "text": 3,
        "new": 0.5,
        "list": [1, 2, 2, "x", 3],
        "low": 1.5,
        "nested": {"high": 7},
    }
    assert len(result.transform_results) == 7
    await db(db.doc("a/b").update, {"list": library.ArrayRemove([2, "x"]), "i": library.Maximum(1)})
    fields = await db.fields("a/b")
    assert fields is not None
    assert (fields["list"], fields["i"]) == ([1, 3], 3)


async def test_an_increment_stops_at_the_largest_integer(db: Db) -> None:
    await db.set("a/b", {"n": 2**63 - 2})
    await db(db.doc("a/b").update, {"n": library.Increment(5)})
    assert await db.fields("a/b") == {"n": 2**63 - 1}


async def test_of_equal_numbers_the_stored_one_stays(db: Db) -> None:
    first = await db.set("a/b", {"n": 0, "d": 0.0, "x": NAN})
    changes = {"n": library.Minimum(0.0), "d": library.Maximum(0), "x": library.Maximum(3)}
    second = await db(db.doc("a/b").update, changes)
    assert second.update_time == first.update_time
    fields = await db.fields("a/b")
    assert fields is not None
    assert (type(fields["n"]), type(fields["d"])) == (int, float)


async def test_the_servers_time_is_one_for_the_commit_in_milliseconds(db: Db) -> None:
    batch = db.client.batch()
    batch.set(db.doc("a/b"), {"t": library.SERVER_TIMESTAMP, "u": library.SERVER_TIMESTAMP})
    batch.set(db.doc("a/c"), {"t": library.SERVER_TIMESTAMP})
    await db(batch.commit)
    first, second = await db.fields("a/b"), await db.fields("a/c")
    assert first is not None
    assert second is not None
    assert first["t"] == first["u"] == second["t"]
    assert first["t"].microsecond % 1000 == 0
    assert abs(first["t"] - batch.commit_time) < timedelta(seconds=1)


async def test_a_transform_of_a_missing_document_is_refused_by_update(db: Db) -> None:
    with pytest.raises(exceptions.NotFound):
        await db(db.doc("a/none").update, {"n": library.Increment(1)})
    await db(db.doc("a/none").set, {"n": library.Increment(1)}, merge=True)
    assert await db.fields("a/none") == {"n": 1}


async def test_a_write_made_of_transforms_alone_is_understood(db: Db) -> None:
    change = {"field_path": "n", "increment": types.Value(integer_value=2)}
    transform = types.DocumentTransform(document=db.name("a/b"), field_transforms=[change])
    await db.write(transform=transform)
    assert await db.fields("a/b") == {"n": 2}


async def test_single_document_rpcs_work_as_the_commit_does(db: Db) -> None:
    value = {"n": types.Value(integer_value=1)}
    where = {"parent": db.name(""), "collection_id": "a"}
    made = await db.rpc("create_document", **where, document_id="b", document={"fields": value})
    assert made.name == db.name("a/b")
    assert made.create_time == made.update_time
    with pytest.raises(exceptions.AlreadyExists):
        await db.rpc("create_document", **where, document_id="b", document={})
    unnamed = await db.rpc("create_document", **where, document={})
    assert len(unnamed.name.rpartition("/")[2]) == 20
    changed = await db.rpc(
        "update_document",
        document={"name": db.name("a/b"), "fields": {"k": types.Value(integer_value=2)}},
        update_mask={"field_paths": ["k"]},
        mask={"field_paths": ["k"]},
    )
    assert list(changed.fields) == ["k"]
    assert await db.fields("a/b") == {"n": 1, "k": 2}
    await db.rpc("delete_document", name=db.name("a/b"))
    with pytest.raises(exceptions.NotFound):
        await db.rpc(
            "update_document",
            document={"name": db.name("a/b")},
            current_document={"exists": True},
        )
    with pytest.raises(exceptions.NotFound):
        await db.rpc("delete_document", name=db.name("a/b"), current_document={"exists": True})


async def test_projects_and_databases_are_kept_apart(
    db: Db, connect: Callable[..., Db], project: str
) -> None:
    await db.set("a/b", {"n": 1})
    for where in ({"project": f"{project}-2"}, {"database": "second"}):
        other = connect(**where)
        assert not (await other.get("a/b")).exists
        await other.set("a/b", {"n": 2})
        await other.close()
    assert await db.fields("a/b") == {"n": 1}
