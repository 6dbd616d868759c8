"""The one error that a user can cause."""

from stm_jax.text import printable


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what is wrong, where, and what to do. The command line prints it
    and exits with status 2. What a terminal would obey in it, as in names of files, is shown.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))
