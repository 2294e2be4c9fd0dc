"""One ComfyUI server over HTTP: pictures up, prompts in, pictures back, messages as they come.

What goes wrong has one of four meanings: the server is away for now (`ServerAwayError`), it will
not do (`ServerUnfitError`), it rejects a prompt (`PromptRejectedError`), or it refuses one request
(`RefusedError`). A request that gets no answer is sent again a few times; all of them may be,
prompts too, since they carry their id. Names and sentences never hold a credential.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ootd_core.requirements import require

WAITS = (0.5, 1.5)
"""Seconds before a request that got no answer is sent again."""
TARGETED_INTERRUPT = (0, 3, 64)
"""The version of ComfyUI from which it is known that an interrupt can name its prompt; older ones
interrupt whatever runs, whosoever it is."""
HEADERS = "OOTD_SERVER_HEADERS"
FOLDER = "ootd-batch"
"""Of ComfyUI's input folder, for what is uploaded."""
Json = dict[str, Any]


class ServerAwayError(Exception):
    """The server does not answer, or not as it should, but may again. One sentence."""


class ServerStuckError(ServerAwayError):
    """The server answers, but what it is given comes to nothing for now. One sentence."""


class ServerUnfitError(Exception):
    """The server answers, but cannot be used as things are. One sentence."""


class RefusedError(Exception):
    """The server refuses one request, whatever server it is. One sentence."""


@dataclass(eq=False)
class PromptRejectedError(Exception):
    """A prompt that did not pass validation.

    error: of the prompt as a whole. node_errors: by node, as ComfyUI gives them.
    """

    error: Json
    node_errors: Mapping[str, Json]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerAddress:
    """Where a server is. name: its address without credentials, for people."""

    name: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedPrompts:
    """Prompts by id, with the client that each came from. running, pending: in their order."""

    running: Mapping[str, str | None]
    pending: Mapping[str, str | None]

    def __contains__(self, prompt_id: str) -> bool:
        return prompt_id in self.running or prompt_id in self.pending


def read_addresses(text: str, headers: Mapping[str, str]) -> list[ServerAddress]:
    """Servers from `http://a:8188,https://user:password@b`.

    headers: sent to all of them. Raises ValueError for what is no address, or named twice.
    """
    found: dict[str, ServerAddress] = {}
    for number, each in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        try:
            parts = urlsplit(each)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"Server {number} of --servers must be an address such as http://127.0.0.1:8188."
            )
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        name = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"
        if parts.query or parts.fragment:
            raise ValueError(
                f"{name} is given with ? or #: give a key as a header, with --header-file."
            )
        own = dict(headers)
        if parts.username is not None:
            import base64

            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            own = {key: value for key, value in own.items() if key.lower() != "authorization"}
            own["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        if name in found:
            raise ValueError(f"{name} is named twice in --servers.")
        found[name] = ServerAddress(name=name, headers=own)
    if not found:
        raise ValueError("--servers names no server: give addresses, parted by commas.")
    return list(found.values())


def read_headers(file: Path | None) -> dict[str, str]:
    """HTTP headers from a file of lines `Name: value`, after those of OOTD_SERVER_HEADERS.

    Raises ValueError, naming the line and not what it says, FileNotFoundError or OSError.
    """
    found: dict[str, str] = {}
    sources = [(f"the environment variable {HEADERS}", os.environ.get(HEADERS, ""))]
    if file is not None:
        if not file.is_file():
            raise FileNotFoundError(f"There is no header file at {file}.")
        try:
            sources.append((str(file), file.read_text("utf-8-sig")))
        except UnicodeDecodeError:
            raise ValueError(f"{file} is not UTF-8: save it as UTF-8.") from None
    for source, text in sources:
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            name, colon, value = line.partition(":")
            if not colon or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name.strip()):
                raise ValueError(f"Line {number} of {source} is not of the form `Name: value`.")
            found[name.strip()] = value.strip()
    return found


class ComfyUIClient:
    """A connection to one server, as an asynchronous context."""

    def __init__(
        self,
        address: ServerAddress,
        client_id: str,
        *,
        ca_file: Path | None = None,
        answer_seconds: float = 60.0,
    ) -> None:
        """client_id: whose prompts are ours. ca_file: certificates to trust beside the system's.
        answer_seconds: how long an answer may pause; a picture on a slow line takes its time.
        Raises ValueError for a bad ca_file."""
        self.name = address.name
        self.client_id = client_id
        self.version: tuple[int, ...] | None = None
        self._address = address
        self._answer_seconds = answer_seconds
        self._tls = tls_context(ca_file)
        self._proxy = proxy_for(address.name)
        self._session: Any = None

    async def __aenter__(self) -> ComfyUIClient:
        require("aiohttp")
        import aiohttp

        self._session = aiohttp.ClientSession(
            headers=dict(self._address.headers),
            connector=aiohttp.TCPConnector(ssl=self._tls or True),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=10, sock_read=self._answer_seconds
            ),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def look(self) -> None:
        """See whether a ComfyUI answers, and which. Raises ServerAwayError or ServerUnfitError."""
        stats = await self._json("GET", "/system_stats")
        await self.queue()
        system = stats.get("system", {})
        if not isinstance(system, dict):
            raise self._strange("/system_stats")
        version = str(cast("Json", system).get("comfyui_version", ""))
        self.version = tuple(int(part) for part in re.findall(r"\d{1,9}", version)[:3])

    async def lacks(self, classes: Sequence[str]) -> list[str]:
        """Those classes of nodes that the server does not have."""
        there = await self._json("GET", "/object_info")
        return sorted({name for name in classes if name not in there})

    async def upload(self, name: str, content: bytes) -> str:
        """Put a picture into the input folder; return how a node names it."""
        import aiohttp

        def form() -> Any:
            data = aiohttp.FormData()
            data.add_field("image", content, filename=name, content_type="image/png")
            for key, value in (("subfolder", FOLDER), ("type", "input"), ("overwrite", "true")):
                data.add_field(key, value)
            return data

        answer = await self._json("POST", "/upload/image", form=form)
        stored, folder = answer.get("name"), answer.get("subfolder") or ""
        if not isinstance(stored, str) or Path(stored).suffix != Path(name).suffix:
            raise ServerAwayError(f"{self.name} does not say under which name it keeps an upload.")
        return f"{folder}/{stored}" if folder else stored

    async def submit(self, prompt: Json, prompt_id: str) -> str:
        """Queue a prompt; return its id, which is another one where the server chooses it.

        Raises PromptRejectedError, also where the server would run a part of it.
        """
        body = {"prompt": prompt, "client_id": self.client_id, "prompt_id": prompt_id}

        async def is_there() -> Json | None:
            known = await self.find(prompt_id)
            return {"prompt_id": prompt_id} if known is not None else None

        answer = await self._json("POST", "/prompt", body=body, unless=is_there)
        known = answer.get("prompt_id", prompt_id)
        if not isinstance(known, str):
            raise self._strange("/prompt")
        if answer.get("node_errors"):
            await self.withdraw([known])
            raise _rejected(answer)
        return known

    async def queue(self) -> QueuedPrompts:
        """What runs and what waits."""
        answer = await self._json("GET", "/queue")

        def of(items: Any) -> dict[str, str | None]:
            return {str(item[1]): (item[3] or {}).get("client_id") for item in items}

        try:
            return QueuedPrompts(
                running=of(answer["queue_running"]), pending=of(answer["queue_pending"])
            )
        except (KeyError, IndexError, TypeError, AttributeError):
            raise self._strange("/queue") from None

    def is_busy_with_others(self, queue: QueuedPrompts) -> bool:
        """Whether all that runs is somebody else's."""
        return bool(queue.running) and self.client_id not in queue.running.values()

    async def find(self, prompt_id: str) -> QueuedPrompts | Json | None:
        """The queue with a prompt in it, its entry in the history, or None: it is not known.

        In this order, for a prompt leaves the queue and enters the history in one step.
        """
        queue = await self.queue()
        return queue if prompt_id in queue else await self.history(prompt_id)

    async def history(self, prompt_id: str) -> Json | None:
        """What became of a prompt; None while it has not finished, or is not known.

        Raises ServerStuckError for what is no entry of ComfyUI's history.
        """
        entry = (await self._json("GET", f"/history/{prompt_id}")).get(prompt_id)
        if entry is not None and not _is_of_history(entry):
            raise ServerStuckError(str(self._strange("/history")))
        return entry

    async def view(self, image: Mapping[str, str]) -> bytes:
        """The file of a picture that a node names. Raises RefusedError where it is not there."""
        keys = ("filename", "subfolder", "type")
        return await self._ask("GET", "/view", query={key: image.get(key, "") for key in keys})

    async def free(self) -> None:
        """Have all models and cached results dropped, before the next prompt."""
        body = {"unload_models": True, "free_memory": True}
        await self._ask("POST", "/free", body=body)

    async def withdraw(self, prompt_ids: Sequence[str], *, all_of_mine: bool = False) -> None:
        """Take prompts of ours out of the queue, and interrupt one that runs, where the server
        can interrupt it alone. all_of_mine: also those that it keeps under ids of its own."""
        queue = await self.queue()

        def is_mine(item: tuple[str, str | None]) -> bool:
            prompt_id, client = item
            return prompt_id in prompt_ids or (all_of_mine and client == self.client_id)

        pending = [item[0] for item in queue.pending.items() if is_mine(item)]
        if pending:
            await self._ask("POST", "/queue", body={"delete": pending})
            queue = await self.queue()  # one may have begun meanwhile
        for prompt_id in [item[0] for item in queue.running.items() if is_mine(item)]:
            if (self.version or ()) >= TARGETED_INTERRUPT:
                await self._ask("POST", "/interrupt", body={"prompt_id": prompt_id})

    @asynccontextmanager
    async def messages(self) -> AsyncGenerator[AsyncGenerator[Json | bytes]]:
        """What the server says of our prompts, over a websocket, until it is cut.

        Raises OSError or aiohttp's ClientError where there is none.
        """
        address = re.sub("^http", "ws", self.name)
        async with self._session.ws_connect(
            f"{address}/ws", params={"clientId": self.client_id}, heartbeat=30, max_msg_size=0,
            proxy=self._proxy,
        ) as socket:  # fmt: skip
            yield self._messages(socket)

    async def _messages(self, socket: Any) -> AsyncGenerator[Json | bytes]:
        import aiohttp

        async for message in socket:
            if message.type == aiohttp.WSMsgType.BINARY:
                yield message.data
            elif message.type == aiohttp.WSMsgType.TEXT:
                content = _object_in(message.data)
                if content is not None:
                    yield content

    async def _json(self, method: str, path: str, **request: Any) -> Json:
        content = _object_in(await self._ask(method, path, **request))
        if content is None:
            raise self._strange(path)
        return content

    def _strange(self, path: str) -> Exception:
        """What has been a ComfyUI once is one again when whatever stands in its place is gone."""
        sentence = f"{self.name} answers {path}, but not as a ComfyUI does."
        return ServerUnfitError(sentence) if self.version is None else ServerAwayError(sentence)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        form: Callable[[], Any] | None = None,
        unless: Callable[[], Any] | None = None,
    ) -> bytes:
        """The body of an answer. unless: asked before a request is sent again; what it gives, if
        anything, is the answer to the first one, which was lost."""
        for wait in (*WAITS, None):
            try:
                return await self._ask_once(method, path, query, body, form)
            except ServerAwayError:
                if wait is None:
                    raise
            await asyncio.sleep(wait)
            if unless is not None and (answer := await unless()) is not None:
                return json.dumps(answer).encode()
        raise AssertionError("unreachable")

    async def _ask_once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Json | None,
        form: Callable[[], Any] | None,
    ) -> bytes:
        import aiohttp

        data = form() if form is not None else None
        try:
            async with self._session.request(
                method, f"{self.name}{path}", params=query, json=body, data=data,
                allow_redirects=False, proxy=self._proxy,
            ) as answer:  # fmt: skip
                content = await answer.read()
                status = answer.status
        except aiohttp.ClientConnectorCertificateError as error:
            raise ServerUnfitError(
                f"{self.name} has a certificate that is not trusted: name that of its authority "
                "with --ca-file."
            ) from error
        except TimeoutError as error:
            raise ServerAwayError(
                f"{self.name} has not answered for {self._answer_seconds:g} s."
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise ServerAwayError(
                f"{self.name} does not answer ({reason or type(error).__name__})."
            ) from error
        if status < 300:
            return content
        if status < 400:
            raise ServerUnfitError(
                f"{self.name} sends elsewhere: name the address that it sends to."
            )
        if status in (401, 403, 407):
            raise ServerUnfitError(
                f"{self.name} answers {status}: it wants credentials, with --header-file or "
                f"{HEADERS}, or as user:password@ in the address."
            )
        if path == "/prompt" and status == 400:
            raise _rejected(_object_in(content) or {})
        is_refusal = path in ("/prompt", "/upload/image") and status in (413, 415, 422)
        if is_refusal or (path == "/view" and status < 500):
            raise RefusedError(f"{self.name} answers {status} to {path}.")
        raise ServerAwayError(f"{self.name} answers {status} to {path}.")


def _object_in(content: str | bytes) -> Json | None:
    """The JSON object that a server sent; None for anything else."""
    try:
        found: object = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return cast("Json", found) if isinstance(found, dict) else None


def _is_of_history(entry: Any) -> bool:
    """Whether it has the form of an entry of ComfyUI's history, but for what nodes put out."""
    try:
        messages = dict[str, Any]((entry.get("status") or {}).get("messages") or ())
        outputs = entry.get("outputs") or {}
    except (AttributeError, TypeError, ValueError):
        return False
    return all(isinstance(each, dict) for each in (outputs, *messages.values()))


def _rejected(said: Json) -> PromptRejectedError:
    """Why a prompt was rejected, where that has ComfyUI's form."""
    error, nodes = said.get("error") or {}, said.get("node_errors") or {}
    try:
        errors = [each for node in nodes.values() for each in node.get("errors") or ()]
        inner = [error, *errors, *(each.get("extra_info") or {} for each in errors)]
    except (AttributeError, TypeError):
        inner = [None]
    if not all(isinstance(each, dict) for each in inner):
        return PromptRejectedError({"message": "it does not say why as a ComfyUI does"}, {})
    return PromptRejectedError(error, nodes)


def proxy_for(address: str) -> str | None:
    """The HTTP proxy that the environment or the system names for a server.

    Not by aiohttp's `trust_env`, which would also send the passwords of ~/.netrc to servers.
    """
    parts = urlsplit(address)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.netloc):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    return proxy if proxy.startswith(("http://", "https://")) else None


def tls_context(ca_file: Path | None) -> ssl.SSLContext | None:
    """What verifies certificates, with those of a file; None is the default.

    Raises FileNotFoundError or ValueError for a file that is none of certificates.
    """
    if ca_file is None:
        return None
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no file of certificates at {ca_file}.") from None
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"{ca_file} holds no certificates in PEM format.") from error
    return context
