"""Values that a Firestore can hold, made at random."""

from datetime import UTC, datetime, timedelta, timezone

from google.api_core.datetime_helpers import DatetimeWithNanoseconds
from hypothesis import strategies as st

_ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-7)), timezone(timedelta(hours=5.5))])


def _exact(at: datetime, nanosecond: int) -> datetime:
    exact: datetime = DatetimeWithNanoseconds(  # type: ignore[no-untyped-call]
        *at.timetuple()[:6], nanosecond=nanosecond, tzinfo=UTC
    )
    return exact


MOMENTS = st.datetimes(datetime(1902, 1, 1), datetime(9998, 1, 1), timezones=_ZONES)
NANOSECONDS = st.integers(0, 999_999_999)
EXACT_MOMENTS = st.builds(
    _exact,
    st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)),
    NANOSECONDS,
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | MOMENTS
    | EXACT_MOMENTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(min_size=1, max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
