"""A Hypothesis state machine of calls and users, run against a real stack."""

import asyncio
import uuid
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar, cast

from google.cloud.firestore import AsyncClient
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from infra.client.calls import client_at
from infra.local.stack import Stack
from tests.proof.handset import JSON, SOCKET_IO
from tests.proof.inbox import Inbox
from tests.proof.races.model import RULES
from tests.proof.races.population import (
    DEVICES,
    TOKENS,
    USERS,
    Change,
    Dial,
    Leave,
    Register,
    Unregister,
)
from tests.proof.races.telling import Finding, Telling, check_pushes, duplicated_pushes
from tests.proof.races.world import Frame, World
from tests.proof.table import Row

_Result = TypeVar("_Result")


async def run_model(stack: Stack, examples: int, steps: int, *, derandomize: bool = False) -> Row:
    """Runs `examples` of at most `steps` steps each, until one is wrong. `tried` counts signals.

    With `derandomize` the examples are the same every time. A finding has all that happened
    before it.
    """
    run = _Run(stack)
    try:
        await asyncio.to_thread(run.examples, _settings(examples, steps, derandomize))
    finally:
        run.is_over = True  # where this coroutine is cancelled, the thread must end as well
    run.check_all_pushes()
    return run.row


def _settings(examples: int, steps: int, derandomize: bool) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=derandomize,
        print_blob=True,
        deadline=None,  # remote calls take what they take
        # No shrinking: a race that was lost once may be won the next time, and each try of what
        # does come again would wait out its patience.
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow],  # as above
    )


class _Run:
    """All examples, in a thread of their own; what they do on the stack runs in the event loop."""

    def __init__(self, stack: Stack) -> None:
        self.row = Row("races", "calls, parties and devices against the model")
        self.is_over = False
        self._stack = stack
        self._documents: AsyncClient = client_at(stack.firestore, stack.project)
        self._loop = asyncio.get_running_loop()
        self._name = f"MODEL_{uuid.uuid4().hex[:8]}"
        self._inbox = Inbox(stack, self._name)
        self._worlds = 0
        self._tellings: list[Telling] = []

    def examples(self, how: settings) -> None:
        try:
            # It takes any callable that gives a machine; its annotation says less.
            machine = cast("type[_Machine]", partial(_Machine, self))
            run_state_machine_as_test(machine, settings=how)
        except Exception as error:
            if not self.row.findings:
                raise
            notes = getattr(error, "__notes__", [])  # the example, and how to have it again
            self.row.findings[0] = "\n".join([self.row.findings[0], *notes])

    def world(self) -> World:
        self._worlds += 1
        return World(self._stack, self._documents, f"{self._name}_{self._worlds}")

    def do(self, world: World, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Runs `work` in the event loop. Raises Finding, and notes the first."""
        if self.is_over:
            work.close()
            raise KeyboardInterrupt  # the one exception after which Hypothesis goes on to no other
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except Finding as error:
            self._note(error, world)
            raise
        except TimeoutError as error:
            lost = Finding("lost", str(error))
            self._note(lost, world)
            raise lost from error

    def close(self, world: World) -> None:
        self.row.tried += world.sent
        self._tellings += world.tellings

    def check_all_pushes(self) -> None:
        """What FCM was sent at last, after all examples."""
        pushes = self._inbox.pushes()
        self.row.duplicated += duplicated_pushes(self._tellings, pushes)
        if self.row.findings:
            return  # who should have been told in the example that failed is not known
        try:
            check_pushes(self._tellings, pushes, self._stack.logs)
        except Finding as error:
            self._count(error, str(error))

    def _note(self, finding: Finding, world: World) -> None:
        # Hypothesis plays the example again to report it: that is no second finding.
        if not self.row.findings:
            self._count(finding, "\n    ".join([str(finding), "it had happened:", *world.steps]))

    def _count(self, finding: Finding, text: str) -> None:
        if finding.kind == "lost":
            self.row.lost += 1
        else:
            self.row.wrong += 1
        self.row.findings.append(text)


_users = st.sampled_from(USERS)
_wires = st.sampled_from([JSON, SOCKET_IO])
_tokens = st.sampled_from(TOKENS)
_devices = st.none() | st.sampled_from(DEVICES)
_moments = st.sampled_from([0, 0.01, 0.02, 0.04])  # in which a signal is just being handled
_changes = st.one_of(
    st.builds(Dial, _users, _wires, _devices),
    st.builds(Leave, _users, killed=st.booleans()),
    st.builds(Register, _users, _tokens, _devices),
    st.builds(Unregister, _users, _tokens),
)


_frames = st.builds(
    Frame,
    signal=st.sampled_from(list(RULES)),
    by=st.none() | _users,  # half of them by who may, or little would happen
    phone=st.integers(0, 2),
    device=_devices,
)


class _Machine(RuleBasedStateMachine):
    calls: Bundle[str] = Bundle("calls")

    def __init__(self, run: _Run) -> None:
        super().__init__()
        self._run = run
        self._world = run.world()
        self._is_sound = True
        self._do(self._world.begin())

    def teardown(self) -> None:
        try:
            if self._is_sound:
                self._do(self._world.end())
        finally:
            self._do(self._world.leave())
            self._run.close(self._world)

    @initialize(target=calls, users=st.permutations(USERS))
    def first_call(self, users: list[int]) -> str:
        return self._do(self._world.ring(users[0], users[1]))

    @rule(target=calls, users=st.permutations(USERS))
    def ring(self, users: list[int]) -> str:
        return self._do(self._world.ring(users[0], users[1]))

    @rule(target=calls, users=st.permutations(USERS))
    def initiate(self, users: list[int]) -> str:
        return self._do(self._world.initiate(users[0], users[1]))

    @rule(
        target=calls,
        users=st.permutations(USERS),
        frames=st.lists(_frames, max_size=2),
        after=_moments,
    )
    def a_ring_times_out(self, users: list[int], frames: list[Frame], after: float) -> str:
        call = self._do(self._world.initiate(users[0], users[1]))
        self._do(self._world.time_out(call, frames, after))
        return call

    @rule(call=calls, frames=st.lists(_frames, max_size=2), after=_moments)
    def the_time_of_a_ring_is_over(self, call: str, frames: list[Frame], after: float) -> None:
        self._do(self._world.time_out(call, frames, after))

    @rule(target=calls, users=st.permutations(USERS), frames=st.lists(_frames, max_size=2))
    def a_caller_vanishes(self, users: list[int], frames: list[Frame]) -> str:
        call = self._do(self._world.initiate(users[0], users[1]))
        self._do(self._world.abandon(call, frames))
        return call

    @rule(target=calls, user=_users)
    def ring_oneself(self, user: int) -> str:
        return self._do(self._world.ring(user, user))

    @rule(call=calls)
    def pass_by(self, call: str) -> None:
        self._do(self._world.pass_by(call))

    @rule(call=calls, frame=_frames)
    def send(self, call: str, frame: Frame) -> None:
        self._do(self._world.send(call, [frame]))

    @rule(frame=_frames)
    def send_on_no_call(self, frame: Frame) -> None:
        self._do(self._world.send(f"{self._world.name}_NO_CALL", [frame]))

    @rule(call=calls, frame=_frames)
    def send_and_repeat(self, call: str, frame: Frame) -> None:
        self._do(self._world.ring_again(call))
        self._do(self._world.send(call, [frame]))
        self._do(self._world.send(call, [frame]))

    @rule(call=calls, frames=st.lists(_frames, min_size=2, max_size=3))
    def send_at_once(self, call: str, frames: list[Frame]) -> None:
        self._do(self._world.send(call, frames))

    @rule(call=calls, signals=st.permutations(list(RULES)))
    def send_all_at_once(self, call: str, signals: list[str]) -> None:
        self._do(self._world.ring_again(call))
        self._do(self._world.send(call, [Frame(signal, None, 0) for signal in signals]))

    @rule(call=calls, frames=st.lists(_frames, min_size=1, max_size=2), change=_changes)
    def send_meanwhile(self, call: str, frames: list[Frame], change: Change) -> None:
        self._do(self._world.ring_again(call))
        self._do(self._world.send(call, frames, meanwhile=change))

    @rule(change=_changes)
    def somebody_comes_or_goes(self, change: Change) -> None:
        self._do(self._world.change(change))

    @rule(token=_tokens)
    def a_token_dies(self, token: int) -> None:
        self._do(self._world.kill_token(token))

    @rule(user=_users, wire=_wires)
    def a_connection_dies_unseen(self, user: int, wire: str) -> None:
        self._do(self._world.haunt(user, wire))

    @rule()
    def settle(self) -> None:
        self._do(self._world.settle())

    def _do(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        try:
            return self._run.do(self._world, work)
        except BaseException:
            self._is_sound = False
            raise
