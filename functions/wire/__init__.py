"""The frames of the wires. Sans-I/O: text in, dataclasses out, and back."""
