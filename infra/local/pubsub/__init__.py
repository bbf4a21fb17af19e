"""Pub/Sub on one machine: the gRPC API of unmodified clients, push delivery, dead letters."""

from infra.local.pubsub.filters import FilterError, compile_filter
from infra.local.pubsub.server import PubSubServer

__all__ = ["FilterError", "PubSubServer", "compile_filter"]
