"""What is raised for an argument of the user's, and what is said of any exception."""


class UsageError(ValueError):
    """An argument that crosscheck cannot work with; the message says what was got and what was expected."""


class SpecError(ValueError):
    """A record contradicts itself or its own definition; the message says which record and what to change."""


def said(error: BaseException) -> str:
    """An exception by its type and message, in one line: a message of several might pass for lines of a report."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
