"""The proof: the system broken at every step, raced, and fed with rubbish, with nothing lost."""
