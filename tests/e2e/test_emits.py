"""A backend that goes on calling its old socket server, with phones on real sockets."""

import httpx

from infra.client.calls import Calls
from infra.client.phone import json_phone, socketio_phone
from infra.local.stack import passing_stack
from tests.support.stacks import Ids, pushes_to

_SECRET = "internal"


async def test_a_backend_emits_what_its_phones_then_hear(ids: Ids) -> None:
    async with (
        passing_stack(INTERNAL_SECRET=_SECRET) as stack,
        json_phone(stack.websocket, stack.token(ids.caller)) as caller,
        socketio_phone(stack.socketio, stack.token(ids.receiver)) as receiver,
        httpx.AsyncClient(base_url=stack.functions["api"], trust_env=False) as http,
    ):
        assert (await http.get("/health")).status_code == 200
        await receiver.emit("device:register", token=ids.token, platform="android")

        async def emitted(event: str, secret: str = _SECRET, **body: str) -> object:
            shown = {"X-Internal-Secret": secret}
            answer = await http.post(f"/api/emit/{event}", json=body, headers=shown)
            return answer.status_code, answer.json().get("emitted"), answer.json().get("reason")

        done = (200, True, None)

        # A call that nobody but the backend knows.
        unknown = f"{ids.call}_UNKNOWN"
        asked = {"callId": unknown, "reason": "Caller timeout (no answer)"}
        refused = await emitted("call-cancelled", "wrong", receiverId=ids.receiver, **asked)
        assert refused == (401, False, "X-Internal-Secret is not valid")
        assert await emitted("call-cancelled", receiverId=ids.receiver, **asked) == done
        told = await receiver.told("call:cancelled")
        assert (told["callId"], told["reason"]) == (unknown, "Caller timeout (no answer)")
        nobody = f"{ids.receiver}_2"
        alone = await emitted("call-cancelled", receiverId=nobody, **asked)
        assert alone == (200, False, "not_connected")
        assert await emitted("call-accepted", callerId=ids.caller, callId=unknown) == done
        assert (await caller.told("call:accepted"))["callId"] == unknown

        # A call that has its document.
        calls = Calls(stack.firestore, stack.project)
        await calls.ring(ids.call, ids.caller, ids.receiver)
        known = {"callId": ids.call, "receiverId": ids.receiver}
        wrong = await emitted("call-cancelled", callId=ids.call, receiverId=nobody)
        assert wrong == (200, False, "not_found")
        assert await emitted("call-cancelled", **known) == done
        assert (await receiver.told("call:cancelled"))["callId"] == ids.call
        assert await calls.status(ids.call) == "cancelled"
        (push,) = await pushes_to(stack, ids.token)
        assert push["data"]["callId"] == ids.call
        late = await emitted("call-accepted", callerId=ids.caller, **known)
        assert late == (200, False, "already_cancelled")
        assert (caller.untold(), receiver.untold()) == (0, 0)
