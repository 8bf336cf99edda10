"""Where the server looks for the script, its siblings and its models, and where it listens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scorehost import settings as settings_module
from scorehost.settings import Settings, declarations
from support.client import Address
from support.server import SERVE, LiveServer, StartServer, free_port, script_file
from support.wait import wait_until

ECHO = script_file("echo.py").read_text()
ENVIRONMENT = script_file("environment.py").read_text()


def test_the_ports_and_the_route_everybody_knows() -> None:
    defaults = Settings()

    assert (defaults.port, defaults.health_port, defaults.host) == (5001, None, "127.0.0.1")
    assert declarations()["port"].variable == "SERVER_PORT"


def test_the_app_root_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that folder exists it is the root; elsewhere the current directory is."""
    assert Path("/var/azureml-app") == settings_module.DEFAULT_APP_ROOT
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings_module, "DEFAULT_APP_ROOT", tmp_path / "image")
    outside = Settings().root
    (tmp_path / "image").mkdir()

    assert outside == tmp_path
    assert Settings().root == tmp_path / "image"


@pytest.mark.skipif(
    Path("/var/azureml-app").is_dir(), reason="this is a container: the root is fixed there"
)
def test_without_an_app_root_the_current_directory_is_it(own_server: StartServer) -> None:
    server = own_server(files={"main.py": ENVIRONMENT}, settings={"AML_APP_ROOT": ""})

    assert server.score()["folder"] == str(server.folder)


def test_the_script_is_main_py_when_nothing_says_so(own_server: StartServer) -> None:
    server = own_server(files={"main.py": ECHO})

    assert server.score("main") == "main"


def test_the_variable_names_the_script(own_server: StartServer) -> None:
    files = {"code/mine.py": ECHO, "main.py": "raise SystemExit"}
    server = own_server(files=files, settings={"AZUREML_ENTRY_SCRIPT": "code/mine.py"})

    assert server.score("mine") == "mine"


def test_the_script_is_relative_to_the_source_directory(own_server: StartServer) -> None:
    settings = {"AZUREML_SOURCE_DIRECTORY": "source", "AZUREML_ENTRY_SCRIPT": "deep/score.py"}
    server = own_server(files={"source/deep/score.py": ENVIRONMENT}, settings=settings)

    assert server.score()["folder"] == str(server.folder / "source" / "deep")


def test_an_absolute_script_may_lie_anywhere(own_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "else.py").write_text(ECHO)
    server = own_server(arguments=(str(tmp_path / "else.py"),))

    assert server.score("else") == "else"


def test_root_and_script_folder_are_importable_in_that_order(own_server: StartServer) -> None:
    settings = {"AZUREML_ENTRY_SCRIPT": "code/environment.py"}
    server = own_server(files={"code/environment.py": ENVIRONMENT}, settings=settings)

    path = server.score()["path"]

    assert path.index(str(server.folder)) < path.index(str(server.folder / "code"))


def test_modules_beside_the_script_and_in_the_root_import(own_server: StartServer) -> None:
    files = {
        "code/score.py": script_file("sibling_import.py").read_text(),
        "code/beside_the_script.py": "NAME = 'beside'",
        "in_the_root.py": "NAME = 'root'",
    }
    server = own_server(files=files, settings={"AZUREML_ENTRY_SCRIPT": "code/score.py"})

    assert server.score() == ["beside", "root"]


def test_a_sibling_in_the_root_comes_first(own_server: StartServer) -> None:
    files = {
        "code/score.py": script_file("sibling_import.py").read_text(),
        "code/beside_the_script.py": "NAME = 'beside'",
        "beside_the_script.py": "NAME = 'in the root, same name'",
        "in_the_root.py": "NAME = 'root'",
    }
    server = own_server(files=files, settings={"AZUREML_ENTRY_SCRIPT": "code/score.py"})

    assert server.score() == ["in the root, same name", "root"]


@pytest.mark.parametrize(
    "told",
    [{"arguments": ("--host", "127.0.0.2")}, {"settings": {"SCOREHOST_HOST": "127.0.0.2"}}],
    ids=["flag", "variable"],
)
def test_the_server_listens_where_it_is_told_and_nowhere_else(
    own_server: StartServer, told: dict[str, Any]
) -> None:
    """The debugger's port 5678 is closed: debugging has to be asked for."""
    address = Address("127.0.0.2", free_port())
    server = own_server("echo.py", address=address, **told)

    assert server.score(1) == 1
    assert server.ports() == {address.port}
    with pytest.raises(ConnectionRefusedError):
        Address("127.0.0.1", address.port).open(1.0)


def test_port_0_takes_a_free_one_and_says_which(own_server: StartServer) -> None:
    server = own_server("echo.py", wait="", address=Address(port=0))
    [port] = wait_until(server.ports, what="a port is open")

    server.address = Address(port=port)

    assert server.wait_ready().score(1) == 1
    server.wait_for_line(f"127.0.0.1:{port}")


def test_the_servers_port_may_come_from_the_variable(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "main.py").write_text(ECHO)
    address = Address(port=free_port())
    server = LiveServer(SERVE, folder, {"SERVER_PORT": str(address.port)}, address)
    try:
        assert server.wait_ready().score(1) == 1
    finally:
        server.check_stopped()


def test_a_port_that_is_taken_is_one_clear_message(own_server: StartServer) -> None:
    """At once, with who has it and what to do."""
    first = own_server("echo.py")
    second = own_server("echo.py", wait="", address=first.address)

    assert second.wait_exit() == 1
    port = first.address.port
    (line,) = second.log.splitlines()
    assert f"ERROR scorehost: Port {port} is in use by process {first.pid} (" in line
    assert line.endswith(f"Stop it, or use another port: --port {port + 1}")
    assert first.score(1) == 1


def test_a_health_port_that_is_taken(own_server: StartServer) -> None:
    first = own_server("echo.py")
    taken = {"HEALTH_PORT": str(first.address.port)}
    second = own_server("echo.py", wait="", settings=taken)

    assert second.wait_exit() == 1
    assert f"--health-port {first.address.port + 1}" in second.log


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("203.0.113.5", "'203.0.113.5' is not an address of this machine. Use --host 127.0.0.1"),
        ("no.such.host.invalid", "'no.such.host.invalid' is not an address of this machine ("),
        ("unix:{tmp}/none/x.sock", "{tmp}/none, the folder of the UNIX socket, does not exist"),
        ("unix:{tmp}/file", "{tmp}/file exists and is not a UNIX socket. Remove it"),
        ("unix:{tmp}/" + "x" * 120, "is too long for a UNIX socket: at most 107 bytes"),
    ],
)
def test_a_host_that_cannot_be_had(
    tmp_path: Path, host: str, said: str, own_server: StartServer
) -> None:
    (tmp_path / "file").touch()
    flag = ["--host", host.format(tmp=tmp_path)]
    server = own_server("echo.py", wait="", arguments=flag)

    assert server.wait_exit() == 1
    (line,) = server.log.splitlines()
    assert said.format(tmp=tmp_path) in line
