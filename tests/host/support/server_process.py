"""A ComfyUI server in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from workflow_graphs import Graph, all_of, only

PACK = Path(__file__).resolve().parents[3]
HOST = Path(os.environ["COMFYUI_PATH"]).resolve()
ADAPTER = "spd_adapter.bin"
START_S = 180  # time limits in seconds, generous for slow machines
RUN_S = 120


class Server:
    """A running ComfyUI server and its API."""

    def __init__(self, base: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.base = base
        self._log = base / "server.log"
        options = {
            "--listen": "127.0.0.1",
            "--port": self.address.split(":")[1],
            "--base-directory": str(base),
            "--database-url": f"sqlite:///{base / 'comfyui.db'}",  # the default is in the host's folder
        }
        # Without metadata, equal pixels give equal files. The classic cache is
        # predictable.
        flags = ["--cpu", "--disable-metadata", "--disable-api-nodes", "--cache-classic"]
        command = [
            sys.executable,
            "main.py",
            *flags,
            *(word for option in options.items() for word in option),
        ]
        # PYTHONPATH contains this process's pytest.
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=HOST, env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def wait_until_ready(self) -> None:
        for _ in range(START_S):
            try:
                self._process.wait(timeout=1)  # polling interval in seconds
            except subprocess.TimeoutExpired:
                try:
                    self.get("/system_stats")
                    return
                except OSError:
                    continue
            break
        pytest.fail(f"The server did not start. The end of its log:\n{self.log[-4000:]}")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=RUN_S) as answer:
            return json.load(answer)

    def refusal(self, graph: Graph) -> dict[str, Any]:
        """The server's answer to a prompt that it rejects."""
        body = json.dumps({"prompt": graph}).encode()
        request = urllib.request.Request(
            f"http://{self.address}/prompt", body, {"Content-Type": "application/json"}
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=RUN_S).close()
        assert caught.value.code == 400
        return json.load(caught.value)

    def run(self, graph: Graph, interrupt_at: int | None = None) -> dict[str, Any]:
        """Run the graph and return its history entry. interrupt_at: sampler step at which to interrupt."""
        return asyncio.run(asyncio.wait_for(self._run(graph, interrupt_at), RUN_S))

    async def _run(self, graph: Graph, interrupt_at: int | None) -> dict[str, Any]:
        client = uuid.uuid4().hex
        url = f"http://{self.address}"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{url}/ws?clientId={client}") as events,
        ):
            async with session.post(f"{url}/prompt", json={"prompt": graph, "client_id": client}) as answer:
                queued = await answer.json()
                assert answer.status == 200, queued
            async for event in events:
                if event.type is not aiohttp.WSMsgType.TEXT:
                    continue
                message = json.loads(event.data)
                data = message["data"]
                if data.get("prompt_id") != queued["prompt_id"]:
                    continue
                sampling = message["type"] == "progress" and data["node"] in all_of(graph, "KSampler")
                if interrupt_at is not None and sampling and data["value"] >= interrupt_at:
                    interrupt_at = None
                    await session.post(f"{url}/interrupt")
                if message["type"] == "executing" and data["node"] is None:
                    break
            async with session.get(f"{url}/history/{queued['prompt_id']}") as answer:
                return (await answer.json())[queued["prompt_id"]]

    def picture(self, graph: Graph) -> bytes:
        """The only PNG file that a run of the graph saves."""
        (picture,) = self.pictures(graph)
        return picture

    def pictures(self, graph: Graph) -> list[bytes]:
        """The PNG files that a run of the graph saves. The run must sample them anew."""
        entry = self.finished(graph)
        assert only(graph, "KSampler") not in messages(entry, "execution_cached")[0]["nodes"], (
            "nothing was sampled"
        )
        return self.saved(entry, graph)

    def finished(self, graph: Graph) -> dict[str, Any]:
        """Run the graph and return its history entry. The run must succeed without a traceback."""
        before = len(self.log)
        entry = self.run(graph)
        assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
        assert "Traceback" not in self.log[before:], self.log[before:]
        return entry

    def saved(self, entry: dict[str, Any], graph: Graph) -> list[bytes]:
        """The PNG files of a finished run."""
        saved = entry["outputs"][only(graph, "SaveImage")]["images"]
        return [(self.base / "output" / one["subfolder"] / one["filename"]).read_bytes() for one in saved]


def messages(entry: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [data for name, data in entry["status"]["messages"] if name == kind]
