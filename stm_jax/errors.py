"""The one error that a user can cause."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what is wrong, where, and what to do. The command line prints it
    and exits with status 2.
    """
