"""Writes, their preconditions and atomic commits: the same on both servers."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import pytest
from google.api_core import exceptions
from google.cloud.firestore_v1 import types

from tests.emulators.firestore.support import Db

NAN = float("nan")


async def test_create_refuses_what_exists_and_update_what_does_not(db: Db) -> None:
    await db(db.doc("a/b").create, {"n": 1})
    with pytest.raises(exceptions.AlreadyExists):
        await db(db.doc("a/b").create, {"n": 2})
    with pytest.raises(exceptions.NotFound):
        await db(db.doc("a/none").update, {"n": 2})
    assert await db.fields("a/b") == {"n": 1}
    assert not (await db.get("a/none")).exists


async def test_deleting_twice_is_no_error_unless_existence_is_required(db: Db) -> None:
    await db.set("a/b", {"n": 1})
    await db(db.doc("a/b").delete)
    await db(db.doc("a/b").delete)
    with pytest.raises(exceptions.NotFound):
        await db(db.doc("a/b").delete, option=db.client.write_option(exists=True))


async def test_every_change_has_a_later_update_time(db: Db) -> None:
    times = [(await db.set("a/b", {"n": n})).update_time for n in range(20)]
    assert times == sorted(set(times))
    snapshot = await db.get("a/b")
    assert (snapshot.create_time, snapshot.update_time) == (times[0], times[-1])


async def test_a_write_that_changes_nothing_keeps_the_update_time(db: Db) -> None:
    first = await db.set("a/b", {"n": 1, "x": NAN})
    same = await db.set("a/b", {"n": 1, "x": NAN})
    update = await db(db.doc("a/b").update, {"n": 1})
    assert first.update_time == same.update_time == update.update_time
    of_another_type = await db.set("a/b", {"n": 1.0, "x": NAN})
    assert of_another_type.update_time > first.update_time


async def test_a_stale_update_time_is_refused_and_the_current_one_taken(db: Db) -> None:
    old = (await db.set("a/b", {"n": 1})).update_time
    new = (await db.set("a/b", {"n": 2})).update_time
    stale, current = (db.client.write_option(last_update_time=time) for time in (old, new))
    with pytest.raises(exceptions.FailedPrecondition):
        await db(db.doc("a/b").update, {"n": 3}, option=stale)
    with pytest.raises(exceptions.FailedPrecondition):
        await db(db.doc("a/b").delete, option=stale)
    assert await db.fields("a/b") == {"n": 2}
    await db(db.doc("a/b").update, {"n": 3}, option=current)
    assert await db.fields("a/b") == {"n": 3}


async def test_an_update_time_of_a_missing_document_fails_its_precondition(db: Db) -> None:
    option = db.client.write_option(last_update_time=(await db.set("a/b", {})).update_time)
    with pytest.raises(exceptions.FailedPrecondition):
        await db(db.doc("a/none").update, {"n": 1}, option=option)
    with pytest.raises(exceptions.FailedPrecondition):
        await db(db.doc("a/none").delete, option=option)


async def test_a_document_made_anew_has_new_times(db: Db) -> None:
    old = (await db.set("a/b", {"n": 1})).update_time
    await db(db.doc("a/b").delete)
    await db.set("a/b", {"n": 1})
    snapshot = await db.get("a/b")
    assert snapshot.create_time > old
    with pytest.raises(exceptions.FailedPrecondition):
        await db(
            db.doc("a/b").update, {"n": 2}, option=db.client.write_option(last_update_time=old)
        )


async def test_a_commit_is_one_moment_and_its_writes_follow_each_other(db: Db) -> None:
    await db.set("a/old", {"n": 1})
    batch = db.client.batch()
    batch.set(db.doc("a/new"), {"v": 1})
    batch.update(db.doc("a/new"), {"w": 2})
    batch.delete(db.doc("a/old"))
    batch.create(db.doc("a/old"), {"again": True})
    results = await db(batch.commit)
    assert len(results) == 4
    assert {results[i].update_time for i in (0, 1, 3)} == {batch.commit_time}
    assert await db.fields("a/new") == {"v": 1, "w": 2}
    snapshot = await db.get("a/old")
    assert snapshot.to_dict() == {"again": True}
    assert snapshot.create_time == batch.commit_time


@pytest.mark.parametrize("last", ["stale", "exists", "missing", "invalid"])
async def test_a_commit_that_fails_in_its_last_write_has_written_nothing(db: Db, last: str) -> None:
    old = (await db.set("a/b", {"n": 1})).update_time
    await db.set("a/b", {"n": 2})
    await db.set("a/c", {"n": 1})
    batch = db.client.batch()
    batch.set(db.doc("a/new"), {"v": 1})
    batch.delete(db.doc("a/c"))
    error: type[Exception] = exceptions.FailedPrecondition
    match last:
        case "stale":
            batch.update(
                db.doc("a/b"), {"n": 4}, option=db.client.write_option(last_update_time=old)
            )
        case "exists":
            batch.create(db.doc("a/b"), {"n": 4})
            error = exceptions.AlreadyExists
        case "missing":
            batch.update(db.doc("a/none"), {"n": 4})
            error = exceptions.NotFound
        case _:
            batch.set(db.doc("a/__bad__"), {"n": 4})
            error = exceptions.InvalidArgument
    with pytest.raises(error):
        await db(batch.commit)
    assert not (await db.get("a/new")).exists
    assert await db.fields("a/b") == {"n": 2}
    assert await db.fields("a/c") == {"n": 1}


@pytest.mark.parametrize(
    ("steps", "allowed"),
    [
        ("set update", True),
        ("update delete", True),
        ("delete create", True),
        ("guarded update", True),
        ("guarded guarded", True),
        ("set guarded", False),
        ("set create", False),
        ("delete update", False),
        ("delete guarded", False),
        ("create create", False),
        ("create guarded", False),
    ],
)
async def test_a_commit_may_write_a_document_twice_if_the_second_cannot_fail(
    async_db: Db, steps: str, allowed: bool
) -> None:
    db = async_db
    time = (await db.set("a/b", {"n": 1})).update_time
    batch = db.client.batch()
    for step in steps.split():
        match step:
            case "delete":
                batch.delete(db.doc("a/b"))
            case "guarded":
                option = db.client.write_option(last_update_time=time)
                batch.update(db.doc("a/b"), {"n": 2}, option=option)
            case _:
                getattr(batch, step)(db.doc("a/b"), {"n": 2})
    if allowed:
        results = await db(batch.commit)
        after = await db.get("a/b")
        assert [result.update_time for result in results] == [after.update_time] * 2
        return
    with pytest.raises(exceptions.InvalidArgument):
        await db(batch.commit)
    assert await db.fields("a/b") == {"n": 1}


async def test_an_empty_commit_is_fine(db: Db) -> None:
    assert list(await db(db.client.batch().commit)) == []


async def test_a_batch_write_fails_write_by_write(db: Db) -> None:
    writes = [
        types.Write(update={"name": db.name("a/b")}),
        types.Write(update={"name": db.name("a/none")}, current_document={"exists": True}),
        types.Write(delete=db.name("a/c")),
    ]
    response = await db.rpc("batch_write", database=db.database, writes=writes)
    assert [status.code for status in response.status] == [0, 5, 0]
    assert (await db.get("a/b")).exists
    with pytest.raises(exceptions.InvalidArgument):
        await db.rpc("batch_write", database=db.database, writes=[writes[0], writes[0]])


async def test_of_two_writers_with_one_update_time_exactly_one_wins_200_times(
    connect: Callable[..., Db],
) -> None:
    first, second = connect("async"), connect("async")

    async def race(round_number: int) -> None:
        path = f"calls/{round_number}"
        await first(first.doc(path).create, {"status": "ringing"})
        time = (await first.get(path)).update_time
        rivals = {"accepted": first, "cancelled": second}
        results = await asyncio.gather(
            *(_update(rival, path, status, time) for status, rival in rivals.items())
        )
        winners = [status for status, won in zip(rivals, results, strict=True) if won]
        assert len(winners) == 1
        assert await second.fields(path) == {"status": winners[0]}

    try:
        for start in range(0, 200, 20):
            await asyncio.gather(*map(race, range(start, start + 20)))
    finally:
        await first.close()
        await second.close()


async def _update(db: Db, path: str, status: str, time: datetime | None) -> bool:
    option = db.client.write_option(last_update_time=time)
    try:
        await db(db.doc(path).update, {"status": status}, option=option)
    except exceptions.FailedPrecondition:
        return False
    return True
