"""What is kept of a user's name, and that it stays small."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.clients.profile import Profile
from functions.readable import readable
from tests.support.names import HOSTILE_NAMES


@pytest.mark.parametrize("why", HOSTILE_NAMES)
def test_of_a_name_is_kept_what_can_be_read(why: str) -> None:
    name, shown = HOSTILE_NAMES[why]
    assert Profile.of(name) == Profile(shown)


@given(st.one_of(st.text(), st.text(st.characters(), min_size=190), st.integers(), st.none()))
def test_what_was_kept_is_kept_again_and_takes_less_than_a_kilobyte(name: object) -> None:
    profile = Profile.of(name)
    # Else a client that connects again would be written anew each time.
    assert Profile.of(profile.name) == profile
    assert len(json.dumps({"name": profile.name}, ensure_ascii=False).encode()) <= 1024


@given(st.text(st.sampled_from("ab \u200b\u3000\x00"), max_size=40))
def test_what_is_readable_has_no_blanks_around_it_and_keeps_to_its_limit(text: str) -> None:
    shown = readable(text, 5)
    assert shown is None or (0 < len(shown) <= 5 and shown == shown.strip())
    assert readable(shown, 5) == shown
