"""What is raised for an argument of the user's."""


class UsageError(ValueError):
    """An argument that crosscheck cannot work with; the message says what was got and what was expected."""
