"""What an instance remembers, and what it forgets."""

from functions.recent import Recent


def test_of_too_many_those_not_asked_for_longest_are_forgotten() -> None:
    recent: Recent[str, int] = Recent(most=2)
    assert [recent.latest("a", 1), recent.latest("b", 2), recent.latest("a", 9)] == [1, 2, 1]
    recent.latest("c", 3)
    assert [recent.get(key) for key in "abc"] == [1, None, 3]


def test_what_is_put_takes_the_place_of_what_was_there_and_is_the_latest() -> None:
    recent: Recent[str, int] = Recent(most=2)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        recent.put(key, value)
    assert [recent.get(key) for key in "abc"] == [3, None, 4]
    recent.forget("a")
    recent.forget("never there")
    assert recent.get("a") is None
