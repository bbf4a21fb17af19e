"""Phones and calls, as a client of any deployment sees them."""
