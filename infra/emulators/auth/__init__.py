"""Tokens of users and of service accounts, and the keys that sign them."""
