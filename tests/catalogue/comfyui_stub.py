"""A ComfyUI server without networks: the same API, on a port of its own, in a thread of its own.

Its "sampling" paints the person's picture in the seed's shade, so that a test sees whose result it
has. Switches make it die, hang, drop, delay, refuse and run out of memory or disk.
"""

from __future__ import annotations

import asyncio
import io
import ssl
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np
from aiohttp import web
from PIL import Image

Answer = TypeVar("Answer")
CLASSES = {
    "LoadImage", "LoadImageMask", "OOTD_DemoPictures", "OOTD_TryOn", "SaveImage", "PreviewImage",
}  # fmt: skip
MOST_SEED = 1000
CATEGORIES = ("upper", "lower", "dress")


class StubServer:
    """The server, and what was done to it.

    Switches:
        seconds: of a sampling, in `steps` steps that are told of.
        garbage: what paths answer instead of what they should; ID stands for what was asked for.
        statuses, drops: paths that answer so, or not at all, so many times; delays: seconds.
        hangs: prompts begin and nothing more is heard of them.
        forgets: prompts are taken and never seen again.
        out_of_memory: prompts that fail so, until what is held is freed.
        disk_full: every prompt fails so.
        fails: kind and message with which prompts fail; of the seeds fails_for alone, if any.
        poison: a seed that ends the server as it begins, which then starts again.
        torn: pictures of which a half is sent. trickle: seconds that each takes to be sent.
        secret: a header and the value that it must have.
        has_websocket, chooses_ids, checkpoint, categories, version, tls: what it is like.
    """

    def __init__(self) -> None:
        self.seconds, self.steps = 0.02, 2
        self.garbage: dict[str, str] = {}
        self.statuses: dict[str, list[int]] = {}
        self.drops: Counter[str] = Counter()
        self.delays: dict[str, float] = {}
        self.hangs = self.forgets = self.disk_full = False
        self.out_of_memory = self.torn = 0
        self.fails: tuple[str, str] | None = None
        self.fails_for: set[int] = set()
        self.trickle = 0.0
        self.poison: int | None = None
        self.has_websocket = True
        self.chooses_ids = False
        self.version = "0.3.64"
        self.checkpoint = "mini (built in)"
        self.classes = set(CLASSES)
        self.categories = CATEGORIES
        self.frees_nothing = False
        self.secret: tuple[str, str] | None = None
        self.tls: ssl.SSLContext | None = None
        self.uploads: list[str] = []
        self.inputs: dict[str, bytes] = {}
        self.done: list[str] = []
        self.asked: Counter[str] = Counter()
        self.authorizations: set[str | None] = set()
        self.frees = 0
        self.most_waiting = 0
        self.deleted: list[str] = []
        self.interrupted: list[str | None] = []
        self.pending: list[list[Any]] = []
        self.running: list[Any] | None = None
        self.history: dict[str, Any] = {}
        self.outputs: dict[str, bytes] = {}
        self.port = 0
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._transports: set[Any] = set()
        self._interrupt = False
        self._number = 0
        self._read: dict[str, dict[str, bytes]] = {}
        self._runner: web.AppRunner | None = None
        self._worker: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def address(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()
        self._call(self._up())

    def die(self) -> None:
        """End as by SIGKILL: connections are cut, the queue and the history are forgotten."""
        self._call(self._down())
        self.pending, self.running, self.history = [], None, {}

    def close(self) -> None:
        self._call(self._down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add_foreign(self, seconds: float = 0.0) -> str:
        """Queue a prompt of another user."""
        prompt_id = str(uuid.uuid4())
        prompt = {"1": {"class_type": "Foreign", "inputs": {"seconds": seconds}}}
        item = [0, prompt_id, prompt, {"client_id": "somebody"}, []]
        self._loop.call_soon_threadsafe(self.pending.append, item)
        return prompt_id

    def _call(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _up(self) -> None:
        app = web.Application(middlewares=[self._switches], client_max_size=2**26)
        app.add_routes(
            [
                web.get("/ws", self._ws),
                web.get("/system_stats", self._stats),
                web.get("/object_info", self._object_info),
                web.get("/queue", self._get_queue),
                web.post("/queue", self._post_queue),
                web.get("/history/{id}", self._get_history),
                web.post("/upload/image", self._upload),
                web.post("/prompt", self._prompt),
                web.post("/interrupt", self._post_interrupt),
                web.post("/free", self._free),
                web.get("/view", self._view),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._worker = asyncio.create_task(self._work())

    async def _begin_anew(self) -> None:
        await self._down()
        self.pending, self.running, self.history = [], None, {}
        await asyncio.sleep(0.1)
        await self._up()

    async def _down(self) -> None:
        if self._runner is None or self._worker is None:
            return
        self._worker.cancel()
        for transport in list(self._transports):
            transport.abort()
        await self._runner.cleanup()
        self._runner = None
        self._transports.clear()
        self._sockets.clear()

    @web.middleware
    async def _switches(self, request: web.Request, handler: Any) -> web.StreamResponse:
        path = "/" + request.path.split("/")[1]
        self.asked[path] += 1
        self.authorizations.add(request.headers.get("Authorization"))
        self._transports.add(request.transport)
        if self.secret is not None and request.headers.get(self.secret[0]) != self.secret[1]:
            return web.Response(status=401, text=f"you are no {self.secret[1]}")
        await asyncio.sleep(self.delays.get(path, 0))
        if self.drops[path] > 0:
            self.drops[path] -= 1
            if path == "/prompt":  # the prompt arrives, the answer does not
                await handler(request)
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if self.statuses.get(path):
            return web.Response(status=self.statuses[path].pop(), text="broken")
        if path in self.garbage:
            text = self.garbage[path].replace("ID", request.path.rsplit("/", 1)[-1])
            return web.Response(text=text)
        return await handler(request)

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        if not self.has_websocket:
            return web.Response(status=404)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        client = request.query["clientId"]
        self._sockets[client] = socket
        await socket.send_json({"type": "status", "data": {"status": {}, "sid": client}})
        async for _ in socket:
            pass
        self._sockets.pop(client, None)
        return socket

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response({"system": {"comfyui_version": self.version}})

    async def _object_info(self, _: web.Request) -> web.Response:
        return web.json_response({name: {} for name in self.classes})

    async def _get_queue(self, _: web.Request) -> web.Response:
        running = [self.running] if self.running else []
        return web.json_response({"queue_running": running, "queue_pending": self.pending})

    async def _post_queue(self, request: web.Request) -> web.Response:
        for prompt_id in (await request.json()).get("delete", ()):
            self.deleted.append(prompt_id)
            self.pending = [item for item in self.pending if item[1] != prompt_id]
        return web.Response()

    async def _get_history(self, request: web.Request) -> web.Response:
        known = request.match_info["id"]
        return web.json_response({known: self.history[known]} if known in self.history else {})

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image: Any = form["image"]
        assert form["overwrite"] == "true" and form["type"] == "input"
        name = f"{form['subfolder']}/{image.filename}"
        self.uploads.append(name)
        self.inputs[name] = image.file.read()
        return web.json_response(
            {"name": image.filename, "subfolder": form["subfolder"], "type": "input"}
        )

    async def _prompt(self, request: web.Request) -> web.Response:
        said = await request.json()
        prompt, client = said["prompt"], said.get("client_id")
        for key, node in prompt.items():
            if node["class_type"] not in self.classes:
                message = f"Cannot execute because node {node['class_type']} does not exist."
                error = {"type": "invalid_prompt", "message": message, "details": f"Node ID #{key}"}
                return web.json_response({"error": error, "node_errors": {}}, status=400)
        errors = {key: found for key, node in prompt.items() if (found := self._wrong_with(node))}
        if errors:
            error = {"type": "prompt_outputs_failed_validation",
                     "message": "Prompt outputs failed validation", "details": ""}  # fmt: skip
            return web.json_response({"error": error, "node_errors": errors}, status=400)
        prompt_id = str(uuid.uuid4()) if self.chooses_ids else said["prompt_id"]
        self._number += 1
        if not self.forgets:
            self.pending.append([self._number, prompt_id, prompt, {"client_id": client}, []])
        self._read[prompt_id] = dict(self.inputs)
        mine = [item for item in self.pending if item[3]["client_id"] == client]
        self.most_waiting = max(self.most_waiting, len(mine))
        return web.json_response({"prompt_id": prompt_id, "number": self._number,
                                  "node_errors": {}})  # fmt: skip

    def _wrong_with(self, node: dict[str, Any]) -> dict[str, Any] | None:
        inputs, wrong = node["inputs"], list[dict[str, Any]]()

        def say(kind: str, message: str, details: str, name: str) -> None:
            extra = {"input_name": name}
            wrong.append(
                {"type": kind, "message": message, "details": details, "extra_info": extra}
            )

        if node["class_type"].startswith("LoadImage") and inputs["image"] not in self.inputs:
            name = inputs["image"]
            say("custom_validation_failed", "Custom validation failed for node",
                f"image - Invalid image file: {name}", "image")  # fmt: skip
        if inputs.get("seed", 0) > MOST_SEED:
            say("value_bigger_than_max", f"Value {inputs['seed']} bigger than max of {MOST_SEED}",
                "seed", "seed")  # fmt: skip
        if inputs.get("checkpoint", self.checkpoint) != self.checkpoint:
            say("exception_during_validation", "Exception when validating node",
                f"checkpoint is '{inputs['checkpoint']}', not {self.checkpoint}.", "")  # fmt: skip
        if inputs.get("category", "upper") not in self.categories:
            say("exception_during_validation", "Exception when validating node",
                f"category is '{inputs['category']}'.", "")  # fmt: skip
        found = {"errors": wrong, "dependent_outputs": ["3"], "class_type": node["class_type"]}
        return found if wrong else None

    async def _post_interrupt(self, request: web.Request) -> web.Response:
        wanted = (await request.json()).get("prompt_id")
        self.interrupted.append(wanted)
        if wanted is None or (self.running and self.running[1] == wanted):
            self._interrupt = True
        return web.Response()

    async def _free(self, _: web.Request) -> web.Response:
        self.frees += 1
        if not self.frees_nothing:
            self.out_of_memory = 0
        return web.Response()

    async def _view(self, request: web.Request) -> web.StreamResponse:
        name = request.query["filename"]
        if name not in self.outputs:
            return web.Response(status=404)
        content = self.outputs[name]
        if self.torn > 0:
            self.torn -= 1
            content = content[: len(content) // 2]
        if self.trickle:
            answer = web.StreamResponse()
            await answer.prepare(request)
            for start in range(0, len(content), part := len(content) // 20 + 1):
                await asyncio.sleep(self.trickle / 20)
                await answer.write(content[start : start + part])
            return answer
        return web.Response(body=content, content_type="image/png")

    async def _work(self) -> None:
        while True:
            if not self.pending:
                await asyncio.sleep(0.002)
                continue
            self.running = item = self.pending.pop(0)
            seeds = [node["inputs"].get("seed") for node in item[2].values()]
            if self.poison is not None and self.poison in seeds:
                await self._send(item, "execution_start", {})
                await asyncio.sleep(0.05)
                self._crash = asyncio.create_task(self._begin_anew())
                return
            entry = await self._executed(item)
            self.history[item[1]], self.running = entry, None
            await self._send(item, "executing", {"node": None})

    async def _executed(self, item: list[Any]) -> dict[str, Any]:
        prompt = item[2]
        if prompt["1"]["class_type"] == "Foreign":
            await asyncio.sleep(prompt["1"]["inputs"]["seconds"])
            return {"outputs": {}, "status": {"status_str": "success", "messages": []}}
        self._interrupt = False
        messages: list[Any] = []

        async def say(kind: str, **said: Any) -> None:
            messages.append([kind, said | {"timestamp": int(time.time() * 1000)}])
            await self._send(item, kind, said)

        await say("execution_start")
        while self.hangs:
            await asyncio.sleep(0.01)
        for step in range(self.steps):
            await asyncio.sleep(self.seconds / self.steps)
            await self._send(item, "progress", {"value": step, "max": self.steps, "node": "2"})
            if self._interrupt:
                await say("execution_interrupted", node_id="2")
                return {"outputs": {}, "status": {"status_str": "error", "messages": messages}}
        failure = None
        if self.out_of_memory > 0:
            self.out_of_memory -= 1
            failure = "torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB."
        if self.disk_full:
            failure = "OSError", "[Errno 28] No space left on device: 'output/tryon_1.png'"
        seeds = {node["inputs"].get("seed") for node in prompt.values()}
        if not self.fails_for or self.fails_for & seeds:
            failure = failure or self.fails
        if failure:
            await say("execution_error", node_id="2", node_type="OOTD_TryOn",
                      exception_type=failure[0], exception_message=failure[1])  # fmt: skip
            return {"outputs": {}, "status": {"status_str": "error", "messages": messages}}
        outputs: dict[str, Any] = {}
        for key, node in prompt.items():
            if node["class_type"] in ("SaveImage", "PreviewImage"):
                name = f"{item[1]}-{key}.png"
                self.outputs[name] = painted(prompt, self._read[item[1]])
                outputs[key] = {"images": [{"filename": name, "subfolder": "", "type": "output"}]}
        self.done.append(item[1])
        await say("execution_success")
        return {"outputs": outputs, "status": {"status_str": "success", "messages": messages}}

    async def _send(self, item: list[Any], kind: str, said: dict[str, Any]) -> None:
        socket = self._sockets.get(item[3].get("client_id") or "")
        if socket is not None:
            with suppress(ConnectionError, RuntimeError):
                await socket.send_json({"type": kind, "data": said | {"prompt_id": item[1]}})


def painted(prompt: dict[str, Any], inputs: dict[str, bytes]) -> bytes:
    """The person's picture; the pixel beside its corner says the seed, the garment's corner and the
    category."""
    (tryon,) = [node["inputs"] for node in prompt.values() if node["class_type"] == "OOTD_TryOn"]
    person, garment = (
        np.asarray(Image.open(io.BytesIO(inputs[prompt[tryon[name][0]]["inputs"]["image"]])))
        for name in ("person", "garment")
    )
    pixels = person.copy()
    pixels[0, 1] = tryon["seed"] % 256, garment[0, 0, 0], CATEGORIES.index(tryon["category"])
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


@contextmanager
def stub_servers(count: int, **switches: Any) -> Generator[list[StubServer]]:
    """So many servers as long as the context lasts."""
    servers = [StubServer() for _ in range(count)]
    for server in servers:
        for name, value in switches.items():
            setattr(server, name, value)
        server.start()
    try:
        yield servers
    finally:
        for server in servers:
            server.close()


def until(is_so: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)
