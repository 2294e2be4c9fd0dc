"""One run: what is planned goes to an engine, and what became of each row into the ledger.

Nothing of a row is kept once it is in the ledger, so that a run of a million rows needs no more
memory than its plan.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from catalogue.engine import Engine, Finished, RowState, RowTask
from catalogue.ledger import Ledger, last_states, line_of, write_failures
from catalogue.manifest import ManifestRow
from catalogue.plan import Plan
from catalogue.results import Results


@dataclass(kw_only=True, slots=True)
class Summary:
    """Rows by what became of them. failures: rows in failures.jsonl, of earlier runs as well."""

    done: int = 0
    kept: int = 0
    failed: int = 0
    stopped: bool = False
    failures: int = 0

    def count(self, state: RowState) -> None:
        """Count one row."""
        setattr(self, state, getattr(self, state) + 1)

    @property
    def rows(self) -> int:
        """Rows so far."""
        return self.done + self.kept + self.failed


def only_failed(rows: Sequence[ManifestRow], out: str) -> list[ManifestRow]:
    """Those rows whose last line in the ledger says that they failed."""
    states = last_states(out)
    return [row for row in rows if row.id in states and states[row.id][1] == RowState.FAILED]


def run_plan(
    plan: Plan,
    engine: Engine,
    results: Results,
    stop: threading.Event,
    on_finished: Callable[[Finished, Summary], None] | None = None,
) -> Summary:
    """Carry out a plan.

    stop: set, it ends the run after the rows that are under way. on_finished: called for each row,
    also for those whose result was there. Raises OSError, one sentence, where nothing can be
    written any more; the ledger then has what was done before.
    """
    summary, known = Summary(), last_states(results.out)

    def note(ledger: Ledger, finished: Finished) -> None:
        task = finished.task
        time_state_key = known.get(task.row.id)
        said = time_state_key is not None and time_state_key[1:] in (
            (RowState.DONE, task.key),
            (RowState.KEPT, task.key),
        )
        if finished.state is not RowState.KEPT or not said:
            samples = task.row.options.num_images_per_prompt
            ledger.append(line_of(finished, results.files(task.key, samples)))
        summary.count(finished.state)
        if on_finished is not None:
            on_finished(finished, summary)

    def carry_out(ledger: Ledger) -> None:
        for row, key in plan.kept:
            note(ledger, Finished(task=plan.task(row, key), state=RowState.KEPT))
        for row, error in plan.unreadable:
            task = RowTask(row=row, key="", digests={})
            note(ledger, Finished(task=task, state=RowState.FAILED, error=error))
        with closing(engine.run(plan.tasks(), stop)) as running:
            for finished in running:
                note(ledger, finished)
                for twin in plan.twins.get(finished.task.key, []):
                    task = plan.task(twin, finished.task.key)
                    is_done = finished.state is RowState.DONE
                    state = RowState.KEPT if is_done else finished.state
                    note(ledger, replace(finished, task=task, state=state, seconds=0.0))

    try:
        with Ledger(results.out) as ledger:
            carry_out(ledger)
    except BaseException:
        with suppress(OSError):  # what ended the run is said, not that this fails, too
            write_failures(results.out)
        raise
    summary.failures = write_failures(results.out)
    summary.stopped = summary.rows < plan.total
    return summary
