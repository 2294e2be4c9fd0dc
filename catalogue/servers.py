"""The engine of several ComfyUI servers: rows go as prompts to whichever server has room.

A server holds two prompts of ours at a time, so that it never waits and a quick one gets more of
them. One that goes away gives its rows to the others and is asked again, ever more rarely, until it
is back or has been away for too long; a prompt that it still has then is not sent anew. A row is
done when its pictures are here, whole, and written. Nothing on a server is touched but prompts that
were sent from here.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import AsyncExitStack, suppress

from catalogue.api_workflow import ApiWorkflow
from catalogue.comfyui_client import (
    ComfyUIClient,
    ServerAwayError,
    ServerStuckError,
    ServerUnfitError,
)
from catalogue.engine import Finished, RowState, RowTask
from catalogue.plan import WarmQueue
from catalogue.results import Results
from catalogue.server_rows import RowError, ServerRows, TryAgainError, lost
from catalogue.server_state import ServerSettings, ServerState, hear, wake

logger = logging.getLogger(__name__)

PROMPTS_AT_ONCE = 2
MOST_AT_FIRST = 10
"""Rows that may fail on the servers before one is done: then it is not the rows' fault."""
MOST_OUTDONE = 5
"""Rows that may fail one after the other on a server while another one does them."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds between looks at a server that is away."""
TICK = 0.2
FAREWELL = 10.0
"""Seconds for taking our prompts back at the end."""


class ServersEngine:
    """Carries out tasks on ComfyUI servers."""

    def __init__(self, workflow: ApiWorkflow, results: Results, settings: ServerSettings) -> None:
        self.workflow = workflow
        self.results = results
        self.settings = settings

    def run(self, tasks: Iterator[RowTask], stop: threading.Event) -> Generator[Finished]:
        """As `Engine.run`. Raises OSError also where no server is left, ValueError where the first
        rows all fail."""
        work = _Work(self, tasks, stop)
        thread = threading.Thread(target=work.main, daemon=True)
        thread.start()
        try:
            while (said := work.next_said()) is not None:
                if isinstance(said, BaseException):
                    raise said
                yield said
        finally:
            work.cancel()
            thread.join()


class _Work:
    """One run, in a thread with an event loop of its own."""

    def __init__(
        self, engine: ServersEngine, tasks: Iterator[RowTask], stop: threading.Event
    ) -> None:
        self._said: queue.SimpleQueue[Finished | BaseException | None] = queue.SimpleQueue()
        self._settings = engine.settings
        self._servers: list[ServerState] = []
        self._rows = ServerRows(engine.workflow, engine.results, engine.settings, self._servers)
        self._queue = WarmQueue(tasks)
        self._stop = stop
        self._open: set[str] = set()
        self._given_back: set[str] = set()
        self._done = self._failed_at_first = 0
        self._changed = asyncio.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._ended = threading.Event()

    def main(self) -> None:
        """The thread's whole life."""
        end: BaseException | None = None
        try:
            asyncio.run(self._run())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # the other thread raises it
            end = error
        self._ended.set()
        self._said.put(end)

    def next_said(self) -> Finished | BaseException | None:
        """Wait for what comes next: a row, what ended the run, or None at its end.

        A method of its own, for CPython 3.11 leaves out the `finally` around a loop when Ctrl-C
        comes at a `continue` inside `except`.
        """
        while True:
            with suppress(queue.Empty):
                return self._said.get(timeout=TICK)

    def cancel(self) -> None:
        """End what runs at once; from another thread."""
        while not self._ended.wait(0.01):
            if self._loop is not None and self._main is not None:
                with suppress(RuntimeError):  # it has just ended by itself
                    self._loop.call_soon_threadsafe(self._main.cancel)
                return

    async def _run(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        client_id = str(uuid.uuid4())
        settings = self._settings
        async with AsyncExitStack() as stack:
            for address in settings.addresses:
                client = ComfyUIClient(
                    address, client_id, ca_file=settings.ca_file, answer_seconds=settings.answer
                )
                self._servers.append(ServerState(client=await stack.enter_async_context(client)))
            keeping = [asyncio.create_task(self._keep(server)) for server in self._servers]
            ticking = asyncio.create_task(self._tick())
            try:
                await asyncio.gather(*keeping)
            finally:
                await _end(*keeping, ticking)
                await asyncio.gather(*map(self._take_leave, self._servers))
        if not self._stop.is_set() and self._is_something_left():
            reasons = " ".join(dict.fromkeys(server.fault or "" for server in self._servers))
            raise OSError(
                f"No server is left to go on with. {reasons} The same command goes on where this "
                "one stopped."
            )

    async def _tick(self) -> None:
        """Have those that wait for tasks look again, also whether the run is to stop."""
        while True:
            await asyncio.sleep(TICK)
            async with self._changed:
                self._changed.notify_all()

    # A server's whole life.

    async def _keep(self, server: ServerState) -> None:
        """Use a server while there is something to do, and wait for it while it is away."""
        wait = FIRST_WAIT
        while True:
            try:
                await server.client.look()
                await self._tidy(server)
                await self._serve(server)
                return
            except ServerUnfitError as error:
                server.fault = str(error)
                logger.warning("%s", error)
                return
            except ServerAwayError as error:
                server.is_stuck = server.is_stuck or isinstance(error, ServerStuckError)
                self._queue.forget(server)
                now = time.monotonic()
                if server.away_since is None:
                    server.away_since, wait = now, FIRST_WAIT
                    logger.warning(
                        "%s Its rows go to others; it is asked again for %g s.",
                        error, self._settings.absence,
                    )  # fmt: skip
                left = server.away_since + self._settings.absence - now
                if left <= 0:
                    server.fault = f"{error} That has lasted {self._settings.absence:g} s."
                    logger.warning("%s", server.fault)
                    return
            if await self._nothing_to_do(min(wait, left)):
                return
            wait = min(2 * wait, LONGEST_WAIT)

    async def _nothing_to_do(self, seconds: float) -> bool:
        """Wait so long, and no longer than until all rows are done or the run is to stop."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._stop.is_set() or not (self._open or self._is_something_left()):
                return True
            await asyncio.sleep(min(TICK, left))
        return False

    def _is_something_left(self) -> bool:
        taken = self._queue.take(None, 1)
        self._queue.give_back(taken)
        self._queue.forget(None)
        return bool(taken)

    async def _serve(self, server: ServerState) -> None:
        listening = asyncio.create_task(self._listen(server))
        slots = [asyncio.create_task(self._slot(server)) for _ in range(PROMPTS_AT_ONCE)]
        try:
            await asyncio.gather(*slots)
        finally:
            await _end(*slots, listening)

    async def _tidy(self, server: ServerState) -> None:
        """Take back prompts of rows that others have by now; those of others are gone on with."""
        old = [key for key in server.left if key not in self._given_back]
        if old:
            await server.client.withdraw([server.left[key].id for key in old])
            for key in old:
                prompt = server.left[key]
                is_ended = prompt.began and await server.client.find(prompt.id) is None
                if is_ended and key in self._open:  # not done yet: it may be the row that ends them
                    self._rows.count_loss(key)
                del server.left[key]

    async def _take_leave(self, server: ServerState) -> None:
        """Take back all prompts that are still out."""
        if server.left:
            with suppress(ServerAwayError, ServerUnfitError, TimeoutError):
                async with asyncio.timeout(FAREWELL):
                    ids = [prompt.id for prompt in server.left.values()]
                    await server.client.withdraw(ids, all_of_mine=True)

    async def _listen(self, server: ServerState) -> None:
        """Hear what a server says of our prompts; whatever it misses, `_watched` sees by itself."""
        import aiohttp

        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with server.client.messages() as messages:
                    server.listens = True
                    wake(server)
                    async for message in messages:
                        hear(server, message)
            server.listens = False
            wake(server)
            await asyncio.sleep(FIRST_WAIT)

    # Tasks.

    async def _take(self, server: ServerState) -> RowTask | None:
        """The next task; None once there is none and will be none. Raises ServerUnfitError."""
        async with self._changed:
            while not self._stop.is_set():
                if len(server.outdone) >= MOST_OUTDONE:
                    raise ServerUnfitError(
                        f"{server.name} is not used any more: {MOST_OUTDONE} rows one after the "
                        f"other failed there that others have done. The last one: "
                        f"{server.outdone[-1]}"
                    )
                skip = self._rows.for_others(server)
                if taken := self._queue.take(server, 1, first=server.left, skip=skip):
                    (task,) = taken
                    self._open.add(task.key)
                    self._given_back.discard(task.key)
                    return task
                if not (self._open or self._is_something_left()):
                    break
                await self._changed.wait()
            return None

    async def _slot(self, server: ServerState) -> None:
        """Have one row after the other done by a server."""
        while (task := await self._take(server)) is not None:
            started = time.perf_counter()
            try:
                seconds = await self._rows.attempt(server, task)
            except TryAgainError:
                self._give_back(task)
            except RowError as error:
                self._settle(server, task, time.perf_counter() - started, error)
            except BaseException:
                if not self._rows.is_lost(task.key):
                    self._give_back(task)
                else:
                    seconds = time.perf_counter() - started
                    self._settle(server, task, seconds, RowError(lost(server)))
                raise
            else:
                self._settle(server, task, seconds or time.perf_counter() - started, None)
            finally:
                async with self._changed:
                    self._changed.notify_all()

    def _give_back(self, task: RowTask) -> None:
        self._open.remove(task.key)
        self._given_back.add(task.key)
        self._queue.give_back([task])

    def _settle(
        self, server: ServerState, task: RowTask, seconds: float, fault: RowError | None
    ) -> None:
        self._open.remove(task.key)
        self._rows.forget(task.key, done_by=server if fault is None else None)
        if fault is None:
            self._done += 1
        elif fault.theirs and not self._done:
            self._failed_at_first += 1
        self._said.put(
            Finished(
                task=task,
                state=RowState.DONE if fault is None else RowState.FAILED,
                seconds=seconds,
                error=None if fault is None else str(fault),
                host=server.name,
            )
        )
        if self._failed_at_first >= MOST_AT_FIRST:
            raise ValueError(
                f"The first {MOST_AT_FIRST} rows that went to servers all failed: mend the rows or "
                f"the workflow, then run again. The last one: {fault}"
            )


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
