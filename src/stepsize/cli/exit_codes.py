"""What the end of a command means to the shell."""

DONE, BAD_INPUT, ABSTAINED, INTERRUPTED = 0, 2, 3, 130
