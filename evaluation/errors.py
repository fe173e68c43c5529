"""What the commands report in one line, without a traceback; beside ValueError and OSError."""


class EvaluationError(RuntimeError):
    """Something from outside did not do its part; the message says what, and how to go on."""
