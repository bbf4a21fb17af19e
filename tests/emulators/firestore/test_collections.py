"""Subcollections, collection groups and listings: the same on both servers, for both clients."""

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.firestore_v1.base_query import FieldFilter

from tests.emulators.firestore.support import Db

PATHS = [
    "other/o/sub/z",
    "q/a",
    "q/a/sub/x",
    "q/a/sub/x/deep/d",
    "q/a/sub/y",
    "q/ghost/sub/g",  # q/ghost itself does not exist
    "sub/top",
]


async def fill(db: Db) -> None:
    batch = db.client.batch()
    for path in PATHS:
        batch.set(db.doc(path), {"path": path, "n": len(path)})
    await db(batch.commit)


async def found(db: Db, query: Any) -> list[str]:
    return [snapshot.reference.path for snapshot in await db(query.get)]


async def test_a_query_sees_one_collection_and_a_group_sees_all_of_its_id(db: Db) -> None:
    await fill(db)
    assert await found(db, db.client.collection("q")) == ["q/a"]
    assert await found(db, db.client.collection("q/a/sub")) == ["q/a/sub/x", "q/a/sub/y"]
    group = db.client.collection_group("sub")
    in_group = ["other/o/sub/z", "q/a/sub/x", "q/a/sub/y", "q/ghost/sub/g", "sub/top"]
    assert await found(db, group) == in_group
    assert await found(db, group.where(filter=FieldFilter("path", ">", "q/b"))) == in_group[3:]
    after = group.where(filter=FieldFilter("__name__", ">", db.doc("q/a/sub/y")))
    assert await found(db, after) == in_group[3:]


async def test_documents_of_any_collection_below_a_document_can_be_found(db: Db) -> None:
    await fill(db)
    query = {"from_": [{"all_descendants": True}]}
    responses = await db.rpc("run_query", parent=db.name("q/a"), structured_query=query)
    names = [response.document.name for response in responses]
    assert names == [db.name(path) for path in PATHS[2:5]]


async def test_collections_are_listed_also_below_documents_that_do_not_exist(db: Db) -> None:
    await fill(db)

    async def ids(parent: Any) -> list[str]:
        return [collection.id for collection in await db.listed(parent.collections())]

    assert await ids(db.client) == ["other", "q", "sub"]
    assert await ids(db.doc("q/a")) == ["sub"]
    assert await ids(db.doc("q/ghost")) == ["sub"]
    assert await ids(db.doc("sub/top")) == []


async def test_listing_documents_names_also_those_that_only_have_descendants(db: Db) -> None:
    await fill(db)
    listed = await db.listed(await db(db.client.collection("q").list_documents))
    assert [reference.id for reference in listed] == ["a", "ghost"]
    assert await db.listed(await db(db.client.collection("nobody").list_documents)) == []


async def test_listings_come_in_pages(async_db: Db) -> None:
    db = async_db
    for name in "cabd":
        await db.set(f"p/{name}", {"n": 1, "m": 2})
    of_p = {"parent": db.name(""), "collection_id": "p", "page_size": 3}
    first = (await db.rpc("list_documents", **of_p, mask={"field_paths": ["n"]}))._response
    assert [document.name for document in first.documents] == [db.name(f"p/{n}") for n in "abc"]
    assert {tuple(document.fields) for document in first.documents} == {("n",)}
    token = first.next_page_token
    second = (await db.rpc("list_documents", **of_p, page_token=token))._response
    assert [document.name for document in second.documents] == [db.name("p/d")]
    assert second.next_page_token == ""
    with pytest.raises(exceptions.InvalidArgument):
        await db.rpc("list_documents", **of_p, page_token="zzz")
    few = await db(db.client.collection("p").list_documents, page_size=2)
    assert [reference.id for reference in await db.listed(few)] == ["a", "b", "c", "d"]


async def test_a_collection_ends_with_its_last_document(db: Db) -> None:
    await db.set("a/b", {})
    await db(db.doc("a/b").delete)
    assert await db.listed(db.client.collections()) == []
    assert await db.listed(await db(db.client.collection("a").list_documents)) == []


async def test_a_whole_tree_can_be_deleted_by_the_library(connect: Callable[..., Db]) -> None:
    db = connect("sync")
    await fill(db)
    await db.set("q/A", {})
    await db(db.client.recursive_delete, db.client.collection("q"))
    assert await found(db, db.client.collection("q")) == []
    assert await found(db, db.client.collection_group("sub")) == ["other/o/sub/z", "sub/top"]
    await db.close()


async def test_numeric_ids_sort_as_numbers_before_all_others(async_db: Db) -> None:
    ids = ["__id-3__", "__id7__", "__id10__", "A", "a"]
    for document_id in reversed(ids):
        await async_db.set(f"n/{document_id}", {})
    collection = async_db.client.collection("n")
    assert await async_db.ids(collection) == ids
    listed = await async_db.listed(await async_db(collection.list_documents, page_size=2))
    assert [reference.id for reference in listed] == ids
