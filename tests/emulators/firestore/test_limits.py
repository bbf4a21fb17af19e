"""What Firestore refuses to store: the same on both servers."""

from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.firestore_v1 import types

from tests.emulators.firestore.support import Db

NAN = float("nan")


@pytest.mark.parametrize(
    "bad_id", [".", "..", "__x__", "a" * 1501, "é" * 751], ids=lambda text: text[:5]
)
async def test_ids_that_firestore_reserves_or_finds_too_long_are_refused(
    async_db: Db, bad_id: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await async_db.set(f"a/{bad_id}", {})
    with pytest.raises(exceptions.InvalidArgument):
        await async_db.set(f"{bad_id}/b", {})


@pytest.mark.parametrize("odd_id", ["__a", "a" * 1500, "é" * 750, "a b%2F\0", "__id7__"])
async def test_odd_ids_are_fine(async_db: Db, odd_id: str) -> None:
    await async_db.set(f"a/{odd_id}", {"n": 1})
    await async_db.set(f"a/{odd_id}/c/d", {"n": 2})
    assert await async_db.fields(f"a/{odd_id}") == {"n": 1}
    assert [s.id for s in await async_db(async_db.client.collection("a").get)] == [odd_id]


@pytest.mark.parametrize(
    "fields",
    [
        {"x": "a" * (1 << 20)},
        dict.fromkeys("abcd", "a" * 300_000),
        {"__x__": 1},
        {"m": {"__x__": 1}},
        {"f" * 1501: 1},
    ],
    ids=["a value", "the sum", "a reserved name", "a reserved name below", "a long name"],
)
async def test_documents_that_firestore_would_not_store_are_refused(
    async_db: Db, fields: dict[str, Any]
) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await async_db.set("a/b", fields)
    assert not (await async_db.get("a/b")).exists


async def test_a_value_just_below_the_limit_is_stored(async_db: Db) -> None:
    await async_db.set("a/b", {"x": "a" * (1_048_487 - 60)})
    assert (await async_db.get("a/b")).exists


async def test_maps_nest_twenty_deep(async_db: Db) -> None:
    await async_db.set("a/b", {"x": _nested(20)})
    with pytest.raises(exceptions.InvalidArgument):
        await async_db.set("a/b", {"x": _nested(21)})


@pytest.mark.parametrize(
    "value",
    [
        types.Value(),
        types.Value(timestamp_value={"seconds": 10**14}),
        types.Value(geo_point_value={"latitude": 91}),
        types.Value(reference_value="nowhere"),
        types.Value(array_value={"values": [types.Value(array_value={})]}),
        types.Value(map_value={"fields": {"": types.Value(integer_value=1)}}),
    ],
    ids=["none", "time", "point", "reference", "list in list", "nameless"],
)
async def test_values_that_are_none_are_refused(async_db: Db, value: types.Value) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await async_db.write(update=types.Document(name=async_db.name("a/b"), fields={"v": value}))


async def test_a_write_of_nothing_is_refused(async_db: Db) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await async_db.write()
    for name in ("nothing", async_db.name(""), async_db.name("a"), async_db.name("a/b/c")):
        with pytest.raises(exceptions.InvalidArgument):
            await async_db.write(delete=name)


@pytest.mark.parametrize(
    "malformed",
    [
        {"update_mask": {"field_paths": ["a..b"]}},
        {"update_mask": {"field_paths": ["`open"]}},
        {"update_transforms": [{"field_path": "n"}]},
        {"update_transforms": [{"field_path": "", "increment": types.Value(integer_value=1)}]},
        {"update_transforms": [{"field_path": "n", "increment": types.Value(string_value="1")}]},
        {"update_transforms": [{"field_path": "n", "set_to_server_value": 0}]},
    ],
    ids=["mask", "open quote", "transform", "path", "increment", "server value"],
)
async def test_malformed_writes_are_refused(async_db: Db, malformed: dict[str, Any]) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await async_db.write(update=types.Document(name=async_db.name("a/b")), **malformed)
    assert not (await async_db.get("a/b")).exists


@pytest.mark.parametrize("database", ["", "projects/x", "projects//databases/(default)"])
async def test_a_malformed_database_is_refused(async_db: Db, database: str) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        await async_db.rpc("commit", database=database)


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"x": value}
    return value
