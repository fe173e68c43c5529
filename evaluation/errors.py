"""Errors that the commands report as one line, without a traceback, like ValueError and OSError."""

INSTALL = "Install the requirements: pip install -r training/requirements.txt -r evaluation/requirements.txt"


class EvaluationError(RuntimeError):
    """A server, model or other external part failed.

    The message says which one and how to continue.
    """
