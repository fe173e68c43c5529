"""Starting the server: a clean log, and the nodes that it offers."""

from __future__ import annotations

from server_process import ADAPTER, Server
from workflow_graphs import NODES


def test_pack_loads_without_errors(server: Server) -> None:
    log = server.log
    started = log[: log.index("To see the GUI")]
    assert "ComfyUI-IFAdapter" in started
    assert "IMPORT FAILED" not in started
    assert "Traceback" not in started


def test_object_info_describes_all_nodes(server: Server) -> None:
    known = server.get("/object_info")
    assert {name for name in known if name.startswith("IFAdapter") and "Test" not in name} == NODES
    for name in NODES:
        node = known[name]
        assert node["category"].split("/")[0] == "IFAdapter"
        assert node["description"]
        assert node["display_name"] != name
        assert all(node["output_tooltips"]), name
        given = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
        assert [key for key, (_type, options) in given.items() if not options.get("tooltip")] == [], name


def test_object_info_lists_the_adapter_file(server: Server) -> None:
    kind, options = server.get("/object_info/IFAdapterLoader")["IFAdapterLoader"]["input"]["required"][
        "adapter_name"
    ]
    assert ADAPTER in (options["options"] if kind == "COMBO" else kind)
