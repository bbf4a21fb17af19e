"""What stands between the functions fits what they send and read, and is as in the cloud."""

import re

from functions.calls.call import ConnectionId
from functions.calls.transitions import SIGNALS
from functions.published import ConnectionAdmitted, attributes
from functions.settings import GatewaySettings, load
from infra import ROOT
from infra.emulators.pubsub import compile_filter
from infra.local import topology
from tests.support.makers import event, now
from tests.support.processes import environment

ADMITTED = ConnectionAdmitted(connection_id=ConnectionId("c="), expires_at=now())


def test_push_is_called_only_with_what_it_has_to_send() -> None:
    matches = compile_filter(topology.PUSH_FILTER)
    for signal in SIGNALS:
        made = event(signal)
        assert matches(attributes(made)) == bool(made.push_recipients)
    assert not matches(attributes(ADMITTED))


def test_the_topic_is_the_one_that_is_published_to_by_default() -> None:
    assert load(GatewaySettings, environment()).events_topic == topology.TOPIC


def test_a_delivery_is_over_before_its_acknowledgement_is_due() -> None:
    # A query, all posts or messages at once, a commit: 4 + 10 + 4 seconds at the very most.
    assert topology.ACK_SECONDS > 18


def test_the_caller_has_the_name_that_terraform_gives_it() -> None:
    accounts = (ROOT / "infra/cloud/modules/unring/accounts.tf").read_text()
    assert re.search(r"account_id += \"\${var\.name}-caller\"", accounts)
    assert topology.caller("shop") == "unring-caller@shop.iam.gserviceaccount.com"
