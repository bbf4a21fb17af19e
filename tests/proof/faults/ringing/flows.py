"""What is played of a ring, and who must hear what of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.client.flows import Flow
from tests.proof.faults.case import Case, Deed
from tests.proof.faults.cast import Cast
from tests.proof.handset import JSON, SOCKET_IO, Told

INITIATE = Flow("call:initiate", "receiver", "call:incoming", "incoming_call", "ringing")
TIME_OUT = Flow("ring:ended", "receiver", "call:cancelled", "call_cancelled", "missed")
ACCEPT = Flow("call:accept", "receiver", "call:cancelled", "call_cancelled", "accepted")
GONE = Flow("caller:gone", "receiver", "call:cancelled", "call_cancelled", "cancelled")

PARTS = {
    INITIATE: "call:initiate",
    TIME_OUT: "a ring's time is over",
    ACCEPT: "one of three devices accepts",
    GONE: "the caller is gone",
}


def waits_for_time(case: Case) -> bool:
    """Whether most of what happens is that time passes."""
    return case.flow in (TIME_OUT, GONE)


# Whose the phones are, and which wire they are on. The receiver has two that are told, and may have
# one more, by which he acts; the caller has one or two.
CALLER, CALLERS_SECOND = "the caller's phone", "the caller's second phone"
PHONE, TABLET, ACTING = "the phone", "the tablet", "the acting phone"
WIRES = {CALLER: JSON, CALLERS_SECOND: SOCKET_IO, PHONE: JSON, TABLET: SOCKET_IO, ACTING: JSON}


@dataclass(frozen=True)
class Heard:
    """What each phone is told, as event and reason, and each device is pushed, as types."""

    told: Mapping[str, set[tuple[str, str]]]
    pushed: Mapping[str, set[str]]  # by device: PHONE, TABLET, or a third
    hooks: set[str]  # the statuses of which the backend hears

    def told_of(self, phone: str, call: str) -> set[Told]:
        return {Told(event, call, reason) for event, reason in self.told.get(phone, set())}


def phones_of(flow: Flow) -> tuple[str, ...]:
    """Who is connected when it begins."""
    if flow == GONE:
        return CALLER, PHONE, TABLET
    callers = (CALLER, CALLERS_SECOND)
    return (*callers, PHONE, TABLET, *([ACTING] if flow == ACCEPT else []))


def tokens_of(cast: Cast) -> dict[str, str]:
    """Of the receiver's devices, by the phone that is told or acts; the third may have none."""
    first, second = cast.tokens
    return {PHONE: first, TABLET: second, ACTING: cast.third_token}


def ends_of(case: Case) -> tuple[str, ...]:
    """The statuses in which the call may be in the end."""
    if case.deed is Deed.RINGS_AGAIN:
        return ("ringing",)
    is_unseen = case.flow == GONE and case.point is not None and case.point.is_unseen
    return (case.flow.status, *(["missed"] if is_unseen else []))


def heard_in(case: Case, status: str) -> Heard:
    """All that must be heard of a case whose call is `status` in the end, and nothing else may."""
    if case.deed is Deed.RINGS_AGAIN:  # of the new ring, which its backend began, nobody hears here
        return _ended("cancelled", "Caller cancelled")
    match case.flow, status:
        case flow, "accepted" if flow == ACCEPT:
            return _ACCEPTED
        case _, "missed":
            callers = () if case.flow == GONE else (CALLER, CALLERS_SECOND)
            return _ended("missed", "Timeout", callers)
        case _, "cancelled":
            return _ended("cancelled", "Caller disconnected")
        case _:
            return RINGS


_RINGS, _FALLS_SILENT = {"incoming_call"}, {"call_cancelled"}
_ELSEWHERE = {("call:cancelled", "Answered elsewhere")}
_ANSWERED = {("call:accepted", "User accepted")}
_TIMED_OUT = {("call:timeout", "No answer")}
_INCOMING = {("call:incoming", "")}

RINGS = Heard(
    told={PHONE: _INCOMING, TABLET: _INCOMING},
    pushed={PHONE: _RINGS, TABLET: _RINGS},
    hooks={"ringing"},
)
_ACCEPTED = Heard(
    told={CALLER: _ANSWERED, CALLERS_SECOND: _ANSWERED, PHONE: _ELSEWHERE, TABLET: _ELSEWHERE},
    pushed={PHONE: _FALLS_SILENT, TABLET: _FALLS_SILENT},
    hooks={"accepted"},
)


def _ended(status: str, reason: str, callers: Sequence[str] = ()) -> Heard:
    """It rang, and ended by itself; then its `callers` hear so."""
    silenced = _INCOMING | {("call:cancelled", reason)}
    return Heard(
        told={**dict.fromkeys(callers, _TIMED_OUT), PHONE: silenced, TABLET: silenced},
        # The third is an iPhone, which no message of FCM makes ring.
        pushed={
            PHONE: _RINGS | _FALLS_SILENT,
            TABLET: _RINGS | _FALLS_SILENT,
            ACTING: _FALLS_SILENT,
        },
        hooks={"ringing", status},
    )
