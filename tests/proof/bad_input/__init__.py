"""Bad input: whatever anybody may send, of which nothing may do anything."""
