"""Scans shipped files for what a registry's security review rejects, and for imports of files left out."""

from __future__ import annotations

import ast
import json
import posixpath
import re
import sys
from collections.abc import Collection, Iterator, Mapping

# Modules that start programs, open connections, run or hide code. A dotted name is that submodule only.
FORBIDDEN_MODULES = {
    *("subprocess", "multiprocessing", "runpy", "code", "codeop", "pty", "ctypes", "imp", "importlib"),
    *(
        "socket",
        "socketserver",
        "ssl",
        "http",
        "urllib",
        "ftplib",
        "smtplib",
        "telnetlib",
        "xmlrpc",
        "webbrowser",
    ),
    *("requests", "httpx", "aiohttp", "urllib3", "websocket", "websockets", "huggingface_hub"),
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"),
    *("base64", "binascii", "zlib", "bz2", "lzma", "pip", "ensurepip", "torch.hub"),
}
ALLOWED_MODULES = {"importlib.util"}  # find_spec, to detect the host
# What ComfyUI brings along besides the standard library.
HOST_MODULES = {
    *("comfy", "comfy_api", "folder_paths", "node_helpers", "nodes", "server"),
    *("torch", "numpy", "PIL", "safetensors", "transformers"),
    "triton",  # with torch on Linux; optional
}
FORBIDDEN_FUNCTIONS = {"eval", "exec", "compile", "__import__", "print"}
FORBIDDEN_ATTRIBUTES = {
    *("system", "popen", "fork", "forkpty", "startfile", "posix_spawn", "posix_spawnp"),
    *("spawnl", "spawnle", "spawnlp", "spawnlpe", "spawnv", "spawnve", "spawnvp", "spawnvpe"),
    *("execl", "execle", "execlp", "execlpe", "execv", "execve", "execvp", "execvpe"),
    *("import_module", "urlopen", "urlretrieve", "hf_hub_download", "snapshot_download"),
    *("load_state_dict_from_url", "download_url_to_file", "hub", "pickle"),
    *("routes", "add_routes", "add_route", "add_static"),  # of the host's web server
    *("cuda", "autocast"),  # the host manages devices and precision
}
JAVASCRIPT_RULES = {
    r"\beval\s*\(|\bnew\s+Function\b|(?<![\w.])Function\s*\(": "runs text as code",
    r"\bset(?:Timeout|Interval)\s*\(\s*['\"`]": "runs text as code",
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment": "inserts HTML",
    r"createElement\(\s*['\"`](?:script|iframe)": "loads a foreign page or script",
    r"XMLHttpRequest|WebSocket|EventSource|sendBeacon|RTCPeerConnection": "opens a connection",
    r"importScripts|WebAssembly": "loads a foreign page or script",
    r"\b(?:atob|btoa)\s*\(": "decodes or encodes base64",
    # XML namespaces are names, not addresses.
    r"['\"`](?:(?:https?|wss?|ftp):)?//(?!www\.w3\.org/)\w": "names an absolute URL",
    # The pack's own files only; api.fetchApi is the host's.
    r"(?<![\w.])fetch\s*\((?!\s*(?:new URL\(\s*)?['\"]\.\.?/)": "fetches something other than a pack file",
}
JAVASCRIPT_IMPORT = re.compile(
    r"^\s*(?:import|export)\s[\w\s{},*$]*\bfrom\s*['\"]([^'\"]+)['\"]|^\s*import\s*['\"]([^'\"]+)['\"]"
    r"|\bimport\(\s*['\"]([^'\"]+)['\"]|new URL\(\s*['\"]([^'\"]+)['\"]",
    re.MULTILINE,
)
# The host serves web/ as /extensions/<pack>/; /scripts/ is then here, relative to the archive's root.
HOST_SCRIPTS = {"../scripts/app.js", "../scripts/api.js"}
MINIFIED_LINE = 500  # characters
BASE64 = re.compile(r"[A-Za-z0-9+/]{160,}={0,2}|;base64,")
TEXT_SUFFIXES = {".py", ".js", ".css", ".json", ".md", ".toml", ".txt", ""}
BINARY_STARTS = {".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff"}


def scan(shipped: Mapping[str, bytes], left_out: Collection[str] = ()) -> list[str]:
    """Findings, each ``path:line: reason``.

    shipped: content of each file of the archive, by POSIX path. left_out: the repository's other files.
    """
    return [
        f"{path}:{finding}" for path in sorted(shipped) for finding in _scan_file(path, shipped, left_out)
    ]


def _scan_file(path: str, shipped: Mapping[str, bytes], left_out: Collection[str]) -> Iterator[str]:
    suffix = posixpath.splitext(path)[1]
    content = shipped[path]
    if suffix in BINARY_STARTS:
        if not content.startswith(BINARY_STARTS[suffix]):
            yield f"1: is not a {suffix} picture"
        return
    if suffix == ".safetensors":
        if not _is_safetensors(content):
            yield "1: is not a safetensors file"
        return
    if suffix not in TEXT_SUFFIXES:
        yield f"1: files of the kind {suffix} do not ship"
        return
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        yield "1: is not UTF-8 text"
        return
    for found in BASE64.finditer(text):
        yield f"{_line(text, found)}: holds base64 data"
    if suffix == ".py":
        yield from _scan_python(path, text, shipped, left_out)
    elif suffix == ".js":
        yield from _scan_javascript(path, text, shipped)
    elif suffix == ".json":
        try:
            json.loads(text)
        except ValueError as error:
            yield f"1: is not JSON: {error}"


def _is_safetensors(content: bytes) -> bool:
    """Whether the file is a length, a JSON header of that length, and exactly the tensors it lists."""
    size = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + size])
        end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    except (ValueError, AttributeError, KeyError, TypeError):
        return False
    return len(content) == 8 + size + end


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1


# Python


def _scan_python(path: str, text: str, shipped: Collection[str], left_out: Collection[str]) -> Iterator[str]:
    if not text.isascii():
        yield "1: is not ASCII"
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield f"{error.lineno}: is not Python: {error.msg}"
        return
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _scan_absolute_import(line, alias.name, [], left_out)
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
            if node.level:
                yield from _scan_relative_import(path, node, names, shipped, left_out)
            else:
                yield from _scan_absolute_import(line, node.module or "", names, left_out)
            yield from (f"{line}: uses {name}" for name in names if name in FORBIDDEN_ATTRIBUTES)
        elif isinstance(node, ast.Name) and node.id in FORBIDDEN_FUNCTIONS:
            yield f"{line}: uses {node.id}"
        elif isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_ATTRIBUTES:
            yield f"{line}: uses {node.attr}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            safe = [key.value for key in node.keywords if key.arg == "weights_only"]
            if not (safe and isinstance(safe[0], ast.Constant) and safe[0].value is True):
                yield f"{line}: uses torch.load without weights_only=True"


def _scan_absolute_import(
    line: int, module: str, names: list[str], left_out: Collection[str]
) -> Iterator[str]:
    top = module.split(".")[0]
    dotted = {module, *(f"{module}.{name}" for name in names)}
    if module not in ALLOWED_MODULES and {top, *dotted} & FORBIDDEN_MODULES:
        yield f"{line}: imports {module}"
    elif any(path.split("/")[0] in (top, f"{top}.py") for path in left_out):
        yield f"{line}: imports {module}, which does not ship"
    elif top not in sys.stdlib_module_names | HOST_MODULES:
        yield f"{line}: imports {module}, which ComfyUI does not bring along"


def _scan_relative_import(
    path: str, node: ast.ImportFrom, names: list[str], shipped: Collection[str], left_out: Collection[str]
) -> Iterator[str]:
    folder = posixpath.dirname(path)
    for _ in range(node.level - 1):
        folder = posixpath.dirname(folder)
    module = posixpath.join(folder, *(node.module or "").split("."))
    package = posixpath.join(module, "__init__.py")
    if f"{module}.py" not in shipped and package not in shipped:
        yield f"{node.lineno}: imports {module}, which does not ship"
        return
    for name in names:
        child = posixpath.join(module, name)
        if f"{child}.py" in left_out or posixpath.join(child, "__init__.py") in left_out:
            yield f"{node.lineno}: imports {child}, which does not ship"


# JavaScript


def _scan_javascript(path: str, text: str, shipped: Collection[str]) -> Iterator[str]:
    for pattern, reason in JAVASCRIPT_RULES.items():
        for found in re.finditer(pattern, text):
            yield f"{_line(text, found)}: {reason}"
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > MINIFIED_LINE:
            yield f"{number}: is minified: a line of {len(line)} characters"
    for found in JAVASCRIPT_IMPORT.finditer(text):
        target = next(filter(None, found.groups()))
        place = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        if place not in shipped and place not in HOST_SCRIPTS:
            yield f"{_line(text, found)}: imports {target}, which does not ship"
