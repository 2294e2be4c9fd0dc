"""What is known of a ComfyUI server and of the prompts that are watched on it."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

from catalogue.comfyui_client import ComfyUIClient, Json, ServerAddress

logger = logging.getLogger(__name__)

ENDS = frozenset({"execution_success", "execution_error", "execution_interrupted"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerSettings:
    """How servers are reached and how patient we are with them.

    Attributes:
        addresses: of the servers.
        ca_file: certificates to trust beside the system's.
        silence: seconds without any sign of life from a prompt after which its server hangs.
        absence: seconds after which a server that is away is given up.
        answer: seconds that one HTTP answer may pause.
        poll: seconds between looks at a prompt, whatever the websocket says.
    """

    addresses: tuple[ServerAddress, ...]
    ca_file: Path | None = None
    silence: float = 600.0
    absence: float = 900.0
    answer: float = 60.0
    poll: float = 5.0


@dataclass(kw_only=True, eq=False)
class WatchedPrompt:
    """A prompt on a server. seen: when it last gave a sign of life. woken: look at it now."""

    id: str
    seen: float
    began: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(kw_only=True, eq=False)
class ServerState:
    """A server and what is known of it.

    files: names of what is uploaded, by content. prompts: those that are watched, by id. left: by
    their rows' keys those of which no result is written, though it may have gone away since.
    away_since: None while it works. is_stuck: only a row that is done shows that it works, for it
    answered when it was away last. accepted: it has taken a prompt. forgotten: prompts that it took
    and did not know any more, since the last row. failed: what it said of rows that failed there
    since the last one that was done, by key. outdone: what it said of those that another server has
    done. fault: why it is not used any more.
    """

    client: ComfyUIClient
    uploading: asyncio.Lock = field(default_factory=asyncio.Lock)
    files: dict[str, str] = field(default_factory=dict[str, str])
    prompts: dict[str, WatchedPrompt] = field(default_factory=dict[str, WatchedPrompt])
    left: dict[str, WatchedPrompt] = field(default_factory=dict[str, WatchedPrompt])
    is_stuck: bool = False
    listens: bool = False
    accepted: bool = False
    away_since: float | None = None
    forgotten: int = 0
    failed: dict[str, str] = field(default_factory=dict[str, str])
    outdone: list[str] = field(default_factory=list[str])
    fault: str | None = None

    @property
    def name(self) -> str:
        return self.client.name

    def lives(self) -> None:
        """Note a sign that it works."""
        if self.away_since is not None and not self.is_stuck:
            self.away_since = None
            logger.warning("%s is back.", self.name)


def hear(server: ServerState, message: Json | bytes) -> None:
    """Note what a message says of the prompts of ours."""
    now = time.monotonic()
    if isinstance(message, bytes):  # a preview, of a prompt that is not named
        for prompt in server.prompts.values():
            prompt.seen = now if prompt.began else prompt.seen
        return
    kind, said = str(message.get("type")), message.get("data")
    prompt = server.prompts.get(str(said.get("prompt_id"))) if isinstance(said, dict) else None
    if prompt is None or said is None:
        return
    prompt.seen, prompt.began = now, True
    server.lives()
    if kind in ENDS or (kind == "executing" and said.get("node") is None):
        prompt.woken.set()


def wake(server: ServerState) -> None:
    for prompt in server.prompts.values():
        prompt.woken.set()
