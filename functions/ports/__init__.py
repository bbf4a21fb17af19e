"""What the core needs of the outside world, and how that fails. No service's library is imported.

The adapters in `services/` implement these protocols, and say what each method costs in remote
calls. Each entry file puts core and adapters together.
"""
