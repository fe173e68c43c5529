"""The registry's archive, installed into a fresh ComfyUI: it starts, draws, and offers its workflows."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from archive import install_archive, shipped_files
from server_process import PACK, Server
from shapes.descriptions import read_description
from shapes.recognition.verifier import verify
from shapes.scene import Figure
from workflow_graphs import NODES, committed, layout_of

NAME = "ifadapter"  # the folder that the Manager makes: the registry's name of the pack
SHIPPED = shipped_files()
TEMPLATES = sorted(path.stem for path in (PACK / "workflows").glob("*.json"))
SUPPORT = Path(__file__).resolve().parents[1] / "support"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked archive in custom_nodes of a fresh base directory."""
    base = tmp_path_factory.mktemp("archive")
    for folder in ("models", "input", "output", "user", "temp"):
        (base / folder).mkdir()
    install_archive(base / "custom_nodes" / NAME)
    return base / "custom_nodes" / NAME


@pytest.fixture(scope="module")
def archive_server(installed: Path) -> Iterator[Server]:
    running = Server(installed.parents[1])
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()


def status(server: Server, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{server.address}{path}", timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def fetch(server: Server, path: str) -> bytes:
    with urllib.request.urlopen(f"http://{server.address}{path}", timeout=60) as answer:
        return answer.read()


def test_archive_loads_without_errors_and_registers_all_nodes(archive_server: Server) -> None:
    started = archive_server.log[: archive_server.log.index("To see the GUI")]
    assert NAME in started
    assert "IMPORT FAILED" not in started
    assert "Traceback" not in started
    known = archive_server.get("/object_info")
    assert {name for name in known if name.startswith("IFAdapter")} == NODES


def test_quickstart_workflow_draws_its_layout(archive_server: Server) -> None:
    graph = committed("try_it_without_downloads.json")
    layout = layout_of(graph)
    enlarged = Image.open(io.BytesIO(archive_server.picture(graph)))
    picture = np.asarray(enlarged.resize((layout.width, layout.height), Image.Resampling.BOX))
    sides = (layout.width, layout.height) * 2
    figures = [
        Figure(
            read_description(instance.local_description),
            tuple(round(value * side) for value, side in zip(instance.box, sides, strict=True)),
            instance.local_description,
        )
        for instance in layout.instances
    ]
    verdicts = verify(picture, figures)
    assert len(verdicts) == 4
    assert all(verdict.success for verdict in verdicts)


def test_all_editor_files_are_served(archive_server: Server, installed: Path) -> None:
    pages = [name for name in SHIPPED if name.startswith("web/")]
    assert any(name.endswith(".js") for name in pages)
    for name in pages:
        assert fetch(archive_server, f"/extensions/{NAME}/{name[4:]}") == (installed / name).read_bytes()
    scripts = [f"/extensions/{NAME}/{name[4:]}" for name in pages if name.endswith(".js")]
    assert set(scripts) <= set(archive_server.get("/extensions"))


def test_template_browser_lists_the_ui_workflows_only(archive_server: Server) -> None:
    listed = archive_server.get("/workflow_templates")
    assert sorted(listed[NAME]) == TEMPLATES
    assert len(TEMPLATES) == 12
    assert listed.keys() == {NAME}


@pytest.mark.parametrize("template", TEMPLATES)
def test_each_template_is_served_with_its_thumbnail(archive_server: Server, template: str) -> None:
    address = f"/api/workflow_templates/{NAME}/{quote(template)}"
    assert json.loads(fetch(archive_server, f"{address}.json"))["nodes"]
    with Image.open(io.BytesIO(fetch(archive_server, f"{address}.jpg"))) as thumbnail:
        assert thumbnail.format == "JPEG"


def test_pack_adds_no_route(archive_server: Server) -> None:
    assert status(archive_server, "/ifadapter/tokens") == 404


def test_every_shipped_module_imports(installed: Path, tmp_path: Path) -> None:
    """Inside the host, without any file of the repository that does not ship."""
    command = [sys.executable, str(SUPPORT / "archive_modules.py"), str(tmp_path), str(installed)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    result = json.loads(run.stdout.splitlines()[-1])
    assert result["imported"] == [name for name in SHIPPED if name.endswith(".py")]
    outside = [file for file in result["files"] if Path(file).is_relative_to(PACK)]
    assert [file for file in outside if not Path(file).is_relative_to(SUPPORT)] == []


def test_convert_command_runs(installed: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ifadapter_core.convert",
        "demo/ifadapter.safetensors",
        "copy.safetensors",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=installed, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    (installed / "copy.safetensors").unlink()
