"""The console: a page that shows the running stack at work, and has it break on demand."""
