"""The ports in memory: the outside as the core sees it, without a socket, a process or a library.

They pass the contract suite of the adapters, and say of each method which remote calls the adapter
makes for it.
"""
