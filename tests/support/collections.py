"""The collections that are ours, as the stacks of the tests have them."""

from functions.collections import USUAL

CONNECTIONS, DEVICES, OUTBOX, BIRTHS = map(
    USUAL.named, ("connections", "devices", "outbox", "births")
)
