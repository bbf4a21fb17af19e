"""The life of a session: its connection is accepted, opened, admitted as a user's, and closed."""
