"""Who is on which connection: accepted by its handshake, admitted by a token, opened, closed."""
