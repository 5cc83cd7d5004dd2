"""The base of the reports on two sides: the verdict in one line, then the evidence."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crosscheck._report.blocks import Block, Code
from crosscheck._report.document import Document
from crosscheck._report.headline import Verdict
from crosscheck._report.written import Documented


class TwoSidedReport(Documented):
    """A report on two sides that tells its verdict, and the evidence below it."""

    environment: Mapping[str, Any]

    @property
    @abstractmethod
    def passed(self) -> bool:
        """Whether something was compared, and both sides do the same."""

    @property
    @abstractmethod
    def _verdict(self) -> Verdict: ...

    def _evidence(self) -> Iterator[str]:
        """The lines of the story below the verdict, indented; by default none."""
        return iter(())

    @property
    def headline(self) -> str:
        """The verdict in one line of at most 100 characters; if the sides differ, the first place and the mistake."""
        return self._verdict.parts[0]

    @property
    def verdict(self) -> str:
        """The verdict in one sentence."""
        return str(self._verdict)

    def story(self) -> str:
        """The verdict and its evidence.

        Returns:
            The text, in under 30 lines; of a long verdict, the first two lines are the headline and the rest.
        """
        return "\n".join([*self._verdict.lines, *self._evidence()])

    def _document(self, blocks: Sequence[Block]) -> Document:
        """The verdict, the evidence, and what is below it."""
        below = "\n".join(self._evidence()).splitlines()
        evidence = Code("\n".join(line.removeprefix("  ") for line in below))
        rest = self._verdict.parts[1]
        return Document(self.headline, self.passed, [*[evidence] * bool(below), *blocks], self.environment, rest)
