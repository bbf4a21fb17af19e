"""The two wires, JSON and Socket.IO. Sans-I/O: frames become dataclasses, and back."""
