"""Pub/Sub on one machine: the gRPC API of unmodified clients, push delivery, dead letters."""

from infra.emulators.pubsub.filters import FilterError, compile_filter
from infra.emulators.pubsub.server import PubSubServer

__all__ = ["FilterError", "PubSubServer", "compile_filter"]
