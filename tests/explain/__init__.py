"""Single mistakes, planted in ports that are right: whether crosscheck names each of them in words that are true.

``nox -s "corpus(explain)"`` asks it of each, and prints a table.
"""

from itertools import chain

from field import modules_of

from explain.records import Case

CASES: tuple[Case, ...] = tuple(chain.from_iterable(module.CASES for module in modules_of(__name__, __path__)))
"""All of them, by module."""
