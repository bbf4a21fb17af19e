"""How time is made to pass quickly on the stacks of tests, and how long a test waits."""

from datetime import timedelta

# Of a failed delivery: ten attempts in seven seconds instead of in a minute.
BACKOFF = (timedelta(milliseconds=100), timedelta(seconds=1))
# A hundred attempts in ten seconds instead of in fifteen hours.
WEBHOOK_BACKOFF = (timedelta(milliseconds=100), timedelta(milliseconds=100))
ONE_LOOK = {"SWEEP_EVERY_SECONDS": "60"}  # a call of the sweep
# For who sends frames as fast as they are answered.
ANY_RATE = {"FRAMES_PER_SECOND": "100000"}

# For what must come: only a test that fails waits so long, so a busy machine may take its time.
PATIENCE_SECONDS = 60.0
