"""Small honest servers and clients for the tests; each is real on its socket."""
