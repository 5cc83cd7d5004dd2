"""Mutants put to the test, some at once, and what was found of them kept in a file."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from queue import Queue

from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from mutation.bench import Bench
from mutation.mutants import mutant_of
from mutation.records import HELPERS, SURVIVED, TESTS, Mutant, Outcome


class Session:
    """A file of cosmic-ray's that keeps what was found, so that a run that was stopped can go on.

    What is found of a mutant holds for the sources and tests that it was found with: others make another job of it.
    """

    def __init__(self, root: Path, path: Path, mutants: Sequence[Mutant]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = WorkDB(str(path), WorkDB.Mode.create)
        states = {module: _state(root, module) for module in {mutant.identity.module for mutant in mutants}}
        self._job = {mutant: _digest(mutant.identity.digest, states[mutant.identity.module]) for mutant in mutants}
        there = {item.job_id for item in self._db.work_items}
        self._db.add_work_items([_item(job, mutant) for mutant, job in self._job.items() if job not in there])

    def outcomes(self) -> dict[Mutant, Outcome]:
        """What is known by now."""
        results = dict(self._db.results)
        known = {mutant: results[job] for mutant, job in self._job.items() if job in results}
        return {mutant: Outcome(**json.loads(result.output or "")) for mutant, result in known.items()}

    def keep(self, mutant: Mutant, outcome: Outcome) -> None:
        """Write down what was found of a mutant."""
        test_outcome = TestOutcome.SURVIVED if outcome.result == SURVIVED else TestOutcome.KILLED
        result = WorkResult(WorkerOutcome.NORMAL, json.dumps(asdict(outcome)), test_outcome)
        self._db.set_result(self._job[mutant], result)

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def tried(root: Path, mutants: Sequence[Mutant], made: Sequence[Bench]) -> Iterator[tuple[Mutant, Outcome]]:
    """Each mutant and what became of it, as they are done; one at a time in each copy."""
    free: Queue[Bench] = Queue()
    for bench in made:
        free.put(bench)

    def judged(mutant: Mutant) -> Outcome:
        module = mutant.identity.module
        source = mutant_of((root / module).read_text(encoding="utf-8"), mutant.operator, mutant.occurrence)
        bench = free.get()
        try:
            return bench.outcome(module, source)
        finally:
            free.put(bench)

    with ThreadPoolExecutor(len(made)) as pool:
        futures = {pool.submit(judged, mutant): mutant for mutant in mutants}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:  # where it is stopped, nothing more is run and nothing is waited for
            pool.shutdown(wait=False, cancel_futures=True)
            for bench in made:
                bench.close()


def _item(job: str, mutant: Mutant) -> WorkItem:
    place = (mutant.number, 0), (mutant.number, 1)
    spec = MutationSpec(mutant.identity.module, mutant.operator, mutant.occurrence, *place, {}, mutant.identity.within)
    return WorkItem.single(job, spec)


def _state(root: Path, module: str) -> str:
    """The sources and the tests that a mutant of a module is judged with."""
    tests = [root / "tests" / name for name in (*TESTS[module], *HELPERS)]
    return _digest(*(path.read_text(encoding="utf-8") for path in (*sorted((root / "crosscheck").rglob("*.py")), *tests)))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
