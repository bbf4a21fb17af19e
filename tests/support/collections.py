"""The collections that are ours, as the stacks of the tests have them."""

from functions.collections import OURS, USUAL

BIRTHS, CONNECTIONS, DEVICES, OUTBOX, POLLS = map(USUAL.named, OURS)
