"""What the commands report in one line, without a traceback; beside ValueError and OSError."""

INSTALL = "Install what is missing: pip install -r training/requirements.txt -r evaluation/requirements.txt"


class EvaluationError(RuntimeError):
    """Something from outside did not do its part; the message says what, and how to go on."""
