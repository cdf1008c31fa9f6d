"""The one error that this folder raises on purpose, with the exit code that belongs to it."""

from __future__ import annotations

NOT_DONE = 1
WRONG_INPUT = 2
MISSING_DEPENDENCY = 3


class LocalKafkaError(Exception):
    """Something a person has to mend; its text is one line that says what.

    Parameters:
        message: what is wrong, where, and what to do about it.
        exit_code: `NOT_DONE`, `WRONG_INPUT` or `MISSING_DEPENDENCY`.
    """

    def __init__(self, message: str, exit_code: int = NOT_DONE) -> None:
        super().__init__(message)
        self.exit_code = exit_code
