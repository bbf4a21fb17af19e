"""What the core needs of the outside world, and how that fails. No library is imported here.

The adapters in `services/` implement these protocols, and say what each method costs in remote
calls. Each entry file puts core and adapters together.
"""
