"""The scanner reports planted offenders and accepts harmless files."""

from __future__ import annotations

import base64
import json

import pytest

from scanner import scan

BLOB = base64.b64encode(bytes(range(256))).decode()
SAFETENSORS_HEADER = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
SAFETENSORS = len(SAFETENSORS_HEADER).to_bytes(8, "little") + SAFETENSORS_HEADER + bytes(4)
PYTHON = """
import re
import torch

from .. import core
from ..core.math import area


def run(model):
    model.eval()
    re.compile("x")
    return torch.load("a", weights_only=True), area, core
"""
JAVASCRIPT = """
import { app } from '../../scripts/app.js'
import * as model from './view/model.js'

const words = fetch(new URL('./words.json', import.meta.url)) // see https://example.org
api.fetchApi('/userdata/x')
document.createElementNS('http://www.w3.org/2000/svg', 'svg')
"""
HARMLESS = {
    "__init__.py": b"from importlib.util import find_spec\n\nif find_spec('x'):\n    from . import nodes\n",
    "nodes/__init__.py": b"from .run import run\n",
    "nodes/run.py": PYTHON.encode(),
    "core/__init__.py": b"",
    "core/math.py": b"area = 1\n",
    "web/page.js": JAVASCRIPT.encode(),
    "web/view/model.js": b"import { api } from '../../../scripts/api.js'\n",
    "web/words.json": b"{}",
    "web/docs/Node.md": b"Get it from [here](https://example.org).\n",
    "web/docs/Node.png": b"\x89PNG\r\n\x1a\n",
    "weights.safetensors": SAFETENSORS,
}
LEFT_OUT = {"training/__init__.py", "training/loop.py", "demo/__main__.py", "core/secret.py", "tool.py"}


def test_harmless_files_are_accepted() -> None:
    assert scan(HARMLESS, LEFT_OUT) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("import subprocess", "imports subprocess"),
        ("import os, socket", "imports socket"),
        ("from urllib.request import urlopen", "imports urllib.request"),
        ("import http.client", "imports http.client"),
        ("import requests", "imports requests"),
        ("import httpx", "imports httpx"),
        ("from huggingface_hub import hf_hub_download", "imports huggingface_hub"),
        ("import pickle", "imports pickle"),
        ("from torch.serialization import pickle", "uses pickle"),
        ("torch.serialization.pickle.loads(b'')", "uses pickle"),
        ("from aiohttp import web", "imports aiohttp"),
        ("@PromptServer.instance.routes.get('/x')\ndef answer(): pass", "uses routes"),
        ("from importlib import import_module", "imports importlib"),
        ("import base64", "imports base64"),
        ("from torch import hub", "imports torch"),
        ("import os\nos.system('x')", "uses system"),
        ("from os import system", "uses system"),
        ("import os\nrun_it = os.popen", "uses popen"),
        ("eval('1')", "uses eval"),
        ("exec('1')", "uses exec"),
        ("run_it = exec", "uses exec"),
        ("__import__('os')", "uses __import__"),
        ("print('x')", "uses print"),
        ("torch.load('x')", "uses torch.load without weights_only=True"),
        ("torch.load('x', weights_only=False)", "uses torch.load without weights_only=True"),
        ("tensor.cuda()", "uses cuda"),
        ("with torch.autocast('cuda'): pass", "uses autocast"),
        ("import diffusers", "imports diffusers, which ComfyUI does not bring along"),
        ("import training.loop", "imports training.loop, which does not ship"),
        ("import tool", "imports tool, which does not ship"),
        ("from demo import __main__", "imports demo, which does not ship"),
        ("from ..training.loop import train", "imports training/loop, which does not ship"),
        ("from ..core import secret", "imports core/secret, which does not ship"),
        ("from .gone import x", "imports nodes/gone, which does not ship"),
        ("def (", "is not Python"),
        ("x = '\u00e9'", "is not ASCII"),
        (f"x = '{BLOB}'", "holds base64 data"),
    ],
)
def test_offending_python_is_reported(line: str, reason: str) -> None:
    findings = scan({**HARMLESS, "nodes/planted.py": f"import torch\n\n{line}\n".encode()}, LEFT_OUT)
    assert findings
    assert all(finding.startswith("nodes/planted.py:") for finding in findings)
    assert any(reason in finding for finding in findings)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("eval('1')", "runs text as code"),
        ("new Function('return 1')()", "runs text as code"),
        ("setTimeout('run()', 1)", "runs text as code"),
        ("element.innerHTML = text", "inserts HTML"),
        ("element.insertAdjacentHTML('beforeend', text)", "inserts HTML"),
        ("document.createElement('script')", "loads a foreign page or script"),
        ("new WebSocket(url)", "opens a connection"),
        ("fetch('https://example.org/x')", "names an absolute URL"),
        ("const host = `//example.org`", "names an absolute URL"),
        ("fetch(url)", "fetches something other than a pack file"),
        ("fetch('/ifadapter/tokens')", "fetches something other than a pack file"),
        ("import x from 'https://example.org/x.js'", "names an absolute URL"),
        ("import x from './gone.js'", "imports ./gone.js, which does not ship"),
        ("import './gone.js'", "imports ./gone.js, which does not ship"),
        ("export { x } from '../training/loop.js'", "imports ../training/loop.js, which does not ship"),
        ("const x = await import('./gone.js')", "imports ./gone.js, which does not ship"),
        ("fetch(new URL('./gone.json', import.meta.url))", "imports ./gone.json, which does not ship"),
        ("atob(text)", "decodes or encodes base64"),
        (f"const x = '{BLOB}'", "holds base64 data"),
        ("const icon = 'data:image/png;base64,AAAA'", "holds base64 data"),
        ("a=1;" * 200, "is minified"),
    ],
)
def test_offending_javascript_is_reported(line: str, reason: str) -> None:
    findings = scan({**HARMLESS, "web/planted.js": f"{line}\n".encode()}, LEFT_OUT)
    assert findings
    assert all(finding.startswith("web/planted.js:1: ") for finding in findings)
    assert any(reason in finding for finding in findings)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("weights.bin", b"PK", "files of the kind .bin do not ship"),
        ("weights.safetensors", b"\x80\x02}q\x00.", "is not a safetensors file"),
        ("weights.safetensors", SAFETENSORS + b"PK", "is not a safetensors file"),
        ("icon.png", b"\xff\xd8\xff", "is not a .png picture"),
        ("icon.jpg", b"MZ", "is not a .jpg picture"),
        ("notes.txt", b"\xff\xfe", "is not UTF-8 text"),
        ("notes.md", f"![x](data:image/png;base64,{BLOB})".encode(), "holds base64 data"),
        ("graph.json", b"{", "is not JSON"),
        ("lib.so", b"\x7fELF", "files of the kind .so do not ship"),
    ],
)
def test_other_offending_files_are_reported(name: str, content: bytes, reason: str) -> None:
    findings = scan({**HARMLESS, f"planted/{name}": content}, LEFT_OUT)
    assert [
        finding for finding in findings if finding.startswith(f"planted/{name}:1: ") and reason in finding
    ]
