"""One row on one ComfyUI server: pictures up, the prompt queued and watched, its pictures back.

What it raises says what is to be done next: `TryAgainError`, `RowError`, or, of the server,
`ServerAwayError` and `ServerUnfitError`.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from catalogue.api_workflow import ApiWorkflow
from catalogue.comfyui_client import (
    Json,
    PromptRejectedError,
    QueuedPrompts,
    RefusedError,
    ServerAwayError,
    ServerStuckError,
    ServerUnfitError,
)
from catalogue.engine import RowTask
from catalogue.exchange import (
    PromptTrouble,
    content_at,
    failure_of,
    images_of,
    picture_from,
    picture_to_send,
    seconds_of,
    sense_of,
)
from catalogue.results import Results
from catalogue.server_state import ServerSettings, ServerState, WatchedPrompt
from ootd_core.checkpoints.whole_files import WriteError

if TYPE_CHECKING:
    from PIL import Image

MOST_LOSSES = 3
"""Times that a server may hang, or forget a prompt that it had begun, over one row."""
MOST_OUT_OF_MEMORY = 2
MOST_FAILURES = 3
"""Servers on which a row may fail."""
MOST_FORGOTTEN = 5
"""Prompts that a server may forget before they began, without a row done between them."""


class TryAgainError(Exception):
    """The row is to be tried again, here or elsewhere."""


class RowError(Exception):
    """The row cannot be done. theirs: it is a server that says so."""

    def __init__(self, sentence: str, *, theirs: bool = True) -> None:
        super().__init__(sentence)
        self.theirs = theirs


class FailedHereError(Exception):
    """The row failed on a server; another one may do it all the same."""


class ServerRows:
    """Has rows done by servers, and remembers over which rows servers have failed."""

    def __init__(
        self,
        workflow: ApiWorkflow,
        results: Results,
        settings: ServerSettings,
        servers: Sequence[ServerState],
    ) -> None:
        """servers: all of them, those that are not used any more among them."""
        self._servers = servers
        self._workflow = workflow
        self._results = results
        self._settings = settings
        self._losses: dict[str, int] = {}
        self._out_of_memory: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._tried: dict[str, set[ServerState]] = {}

    def is_lost(self, key: str) -> bool:
        """Whether servers have hung or ended over a row as often as they may."""
        return self._losses.get(key, 0) >= MOST_LOSSES

    def count_loss(self, key: str) -> None:
        """Count that a server hung or ended over a row."""
        self._losses[key] = self._losses.get(key, 0) + 1

    def for_others(self, server: ServerState) -> set[str]:
        """Keys of the rows that a server has tried and another one is to try."""
        return {key for key in self._tried if self._is_for_others(key, server)}

    def _is_for_others(self, key: str, server: ServerState) -> bool:
        tried = self._tried[key]
        return server in tried and any(
            each.fault is None and each not in tried for each in self._servers
        )

    def _is_passed_on(self, key: str, server: ServerState) -> bool:
        """Note that a server has tried a row; whether another one is to try it."""
        self._tried.setdefault(key, set()).add(server)
        return self._is_for_others(key, server)

    def forget(self, key: str, done_by: ServerState | None) -> None:
        """Nothing more is to be known of a row. done_by: None if it failed."""
        self._losses.pop(key, None)
        self._out_of_memory.pop(key, None)
        self._failures.pop(key, None)
        for server in self._tried.pop(key, ()):
            said = server.failed.pop(key, None)
            if said is not None and done_by not in (None, server):
                server.outdone.append(said)
        if done_by is not None:
            done_by.failed.clear()
            done_by.outdone.clear()
            done_by.forgotten = 0
            done_by.is_stuck = False
            done_by.lives()

    async def attempt(self, server: ServerState, task: RowTask) -> float | None:
        """Have a row done by a server and write its pictures; return the seconds of its work.

        Raises OSError also where no picture can be written any more.
        """
        try:
            entry = await self._executed(server, task)
            await self._check(server, task, entry)
            images = await self._pictures(server, task, entry)
            await self._write(task, images)
        except (ServerAwayError, asyncio.CancelledError):
            raise  # the prompt may still be there when the server is back
        except (RefusedError, FailedHereError) as error:
            server.left.pop(task.key, None)
            server.failed[task.key] = str(error)
            self._failures[task.key] = self._failures.get(task.key, 0) + 1
            is_passed_on = self._is_passed_on(task.key, server)
            if is_passed_on and self._failures[task.key] < MOST_FAILURES:
                raise TryAgainError from error
            raise RowError(str(error)) from error
        except BaseException:
            server.left.pop(task.key, None)
            raise
        del server.left[task.key]
        return seconds_of(entry)

    async def _write(self, task: RowTask, images: list[Image.Image]) -> None:
        write = asyncio.to_thread(self._results.write, task.key, images, None)
        try:
            await _to_the_end(write)
        except WriteError:
            raise
        except OSError as error:
            raise RowError(str(error), theirs=False) from error

    async def _executed(self, server: ServerState, task: RowTask) -> Json:
        """The history's entry of a row's prompt, when it has ended."""
        known = server.left.get(task.key)
        if known is not None:
            if await server.client.find(known.id) is not None:
                return await self._watched(server, task, known.id)
            self._lose(server, task, known)
            del server.left[task.key]
        for is_second in (False, True):
            files = await self._files(server, task)
            try:
                return await self._watched(
                    server, task, str(uuid.uuid4()), self._workflow.filled(task.row, files)
                )
            except PromptRejectedError as error:
                said = json.dumps(error.node_errors)
                if not any(json.dumps(name)[1:-1] in said for name in server.files.values()):
                    await self._judge(server, task, error, files)
                if is_second:
                    sentence = sense_of(error, self._workflow).sentence
                    raise ServerUnfitError(
                        f"{server.name} does not find what was just uploaded to it: {sentence}"
                    ) from None
                server.files.clear()  # what was uploaded is not there any more
        raise AssertionError("unreachable")

    async def _judge(
        self,
        server: ServerState,
        task: RowTask,
        error: PromptRejectedError,
        files: Mapping[str, str],
    ) -> None:
        """Raise what a rejection means: the row is at fault, or the workflow on this server.

        Where it cannot be told, a server that has taken no prompt yet is given one without the
        row's values.
        """
        sense = sense_of(error, self._workflow)
        by_row = sense.by_row
        if by_row and not (sense.is_certain or server.accepted):
            plain = self._workflow.filled(task.row, files, pictures_only=True)
            try:
                taken = await server.client.submit(plain, str(uuid.uuid4()))
            except PromptRejectedError:
                by_row = False
            else:
                await server.client.withdraw([taken])
        if by_row:
            raise RowError(f"{server.name} rejects the row: {sense.sentence}")
        raise ServerUnfitError(f"{server.name} rejects the workflow: {sense.sentence}")

    async def _files(self, server: ServerState, task: RowTask) -> dict[str, str]:
        """Names on the server of a row's pictures, which are there then, and its keypoints."""
        row, digests = task.row, task.digests
        pictures = {"person": row.person, "garment": row.garments[0][0], "mask": row.mask}
        files: dict[str, str] = {}
        try:
            for name, address in pictures.items():
                if address is not None:
                    files[name] = await self._upload(
                        server, address, digests[address], is_mask=name == "mask"
                    )
            if (address := row.keypoints) is not None:
                content = await asyncio.to_thread(content_at, address, digests[address])
                files["keypoints"] = content.decode("utf-8-sig")
        except (ValueError, OSError) as error:
            raise RowError(" ".join(str(error).split()), theirs=False) from error
        return files

    async def _upload(
        self, server: ServerState, address: str, digest: str, *, is_mask: bool
    ) -> str:
        key = f"{digest}-mask" if is_mask else digest
        async with server.uploading:
            if key not in server.files:
                ending, content = await asyncio.to_thread(
                    picture_to_send, address, digest, is_mask=is_mask
                )
                server.files[key] = await server.client.upload(f"{key}{ending}", content)
            return server.files[key]

    async def _watched(
        self, server: ServerState, task: RowTask, prompt_id: str, graph: Json | None = None
    ) -> Json:
        """Queue a prompt, unless that was done before, and wait for its end."""
        prompt = WatchedPrompt(id=prompt_id, seen=time.monotonic())
        server.prompts[prompt.id] = prompt
        server.left[task.key] = prompt
        try:
            if graph is not None:
                known = await server.client.submit(graph, prompt.id)
                server.accepted = True
                if known != prompt.id:  # an older ComfyUI chooses it
                    del server.prompts[prompt.id]
                    prompt.id = known
                    server.prompts[known] = prompt
            else:
                prompt.woken.set()  # it may have ended meanwhile
            return await self._ended_entry(server, task, prompt)
        finally:
            server.prompts.pop(prompt.id, None)

    async def _ended_entry(self, server: ServerState, task: RowTask, prompt: WatchedPrompt) -> Json:
        silence, before = self._settings.silence, list[str]()
        prompt.seen = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll if server.listens else 1.0):
                    await prompt.woken.wait()
            prompt.woken.clear()
            found = await server.client.history(prompt.id)
            found = found or await server.client.find(prompt.id)
            if found is None:  # the server has begun anew, or somebody removed it
                self._lose(server, task, prompt)
                server.forgotten += not prompt.began
                if server.forgotten >= MOST_FORGOTTEN:
                    raise ServerUnfitError(
                        f"{server.name} forgets prompts that it has taken: is it one ComfyUI, or a "
                        "balancer before several?"
                    )
                raise TryAgainError
            if not isinstance(found, QueuedPrompts):
                return found
            if (running := list(found.running)) != before:  # the queue moves
                before, prompt.seen = running, time.monotonic()
                server.lives()
            prompt.began = prompt.began or prompt.id in found.running
            if time.monotonic() - prompt.seen > silence:
                if prompt.id in found.pending and server.client.is_busy_with_others(found):
                    if self._is_passed_on(task.key, server):
                        await server.client.withdraw([prompt.id])
                        raise TryAgainError
                    prompt.seen = time.monotonic()
                    continue
                with suppress(RowError):  # as the slot will see
                    self._lose(server, task, prompt)
                await server.client.withdraw([prompt.id])
                raise ServerStuckError(
                    f"{server.name} hangs: it has said nothing of a prompt for {silence:g} s."
                )

    def _lose(
        self, server: ServerState, task: RowTask, prompt: WatchedPrompt | None = None
    ) -> None:
        """Count that a prompt came to nothing, if it had begun. Raises RowError at the last."""
        if prompt is None or prompt.began:
            self.count_loss(task.key)
            if self.is_lost(task.key):
                raise RowError(lost(server))

    async def _check(self, server: ServerState, task: RowTask, entry: Json) -> None:
        """See that a prompt ended well. Raises what is to be done if it did not."""
        failure = failure_of(entry)
        if failure is None:
            return
        if failure.trouble is PromptTrouble.DISK_FULL:
            del server.left[task.key]  # it ended so, and would end so again
            raise ServerStuckError(f"The disk of {server.name} is full: {failure.sentence}")
        if failure.trouble is PromptTrouble.DEVICE_LOST:
            with suppress(RowError):  # as the slot will see
                self._lose(server, task)
            del server.left[task.key]
            raise ServerStuckError(f"{server.name} must be started again: {failure.sentence}")
        if failure.trouble is PromptTrouble.INTERRUPTED:
            self._lose(server, task)
            raise TryAgainError
        if failure.trouble is PromptTrouble.OUT_OF_MEMORY:
            await server.client.free()
            self._out_of_memory[task.key] = self._out_of_memory.get(task.key, 0) + 1
            if self._out_of_memory[task.key] < MOST_OUT_OF_MEMORY:
                raise TryAgainError
        raise FailedHereError(f"{server.name}: {failure.sentence}")

    async def _pictures(self, server: ServerState, task: RowTask, entry: Json) -> list[Image.Image]:
        """The pictures of a prompt, decoded whole."""
        found = images_of(entry, self._workflow.output)
        if found is None:
            raise FailedHereError(
                f"{server.name} gives no pictures that it can be asked for at node "
                f"{self._workflow.output} of {self._workflow.name}: name another one with --output."
            )
        wanted = task.row.options.num_images_per_prompt
        if len(found) != wanted:
            raise RowError(
                f"Node {self._workflow.output} of {self._workflow.name} gave {len(found)} pictures "
                f"on {server.name}, but the row asks for {wanted} (--samples)."
            )
        pictures: list[Image.Image] = []
        for image in found:
            try:
                content = await server.client.view(image)
                pictures.append(await asyncio.to_thread(picture_from, content))
            except ServerAwayError as error:  # what it shows of other prompts says nothing
                raise ServerStuckError(str(error)) from error
            except (RefusedError, ValueError):
                # The file is gone or torn. ComfyUI would name it again, for it remembers results.
                await server.client.free()
                self._lose(server, task)
                raise TryAgainError from None
        return pictures


async def _to_the_end(work: Awaitable[object]) -> None:
    """Wait for what a thread does, though the task is cancelled: that then ends its next wait."""
    working = asyncio.ensure_future(work)
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        if (task := asyncio.current_task()) is not None:
            task.cancel()
        working.result()


def lost(server: ServerState) -> str:
    return (
        f"{MOST_LOSSES} times this row came to nothing on a server that hung, ended or was "
        f"stopped, the last time {server.name}."
    )
