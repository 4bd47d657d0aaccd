"""What the agent would be called, and would run, on Windows."""

from __future__ import annotations

from pathlib import PureWindowsPath

from landbridge_agent.platform import windows_names


def test_the_paths_are_the_originals():
    paths = windows_names.pure_paths({"SystemDrive": "D:"})
    state = PureWindowsPath(r"D:\ProgramData\AzureConnectedMachineAgent")
    assert paths.state == state
    assert paths.tokens == state / "Tokens"
    assert paths.certificates == state / "Certs"
    assert paths.agent_config == state / "Config" / "agentconfig.json"
    assert paths.daemon_log == state / "Log" / "himds.log"
    assert paths.identity == state / "Certs" / "identity.pem"
    assert not paths.relocated


def test_without_a_drive_it_is_c():
    assert str(windows_names.pure_paths({}).tokens) == r"C:\ProgramData\AzureConnectedMachineAgent\Tokens"


def test_a_root_moves_the_whole_tree():
    paths = windows_names.pure_paths({"LANDBRIDGE_AGENT_ROOT": r"E:\mine"})
    assert str(paths.cloud) == r"E:\mine\ProgramData\AzureConnectedMachineAgent\Config\cloud.json"
    assert paths.relocated


def test_the_sid_of_a_service_is_windows_own():
    known = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
    assert windows_names.service_sid("TrustedInstaller") == known


def test_a_folder_is_taken_over_before_its_rights_are_set():
    owner, reset, grant = windows_names.close_folder(r"C:\x y")
    assert owner == ["icacls.exe", r"C:\x y", "/setowner", "*S-1-5-32-544", "/q"]
    assert reset == ["icacls.exe", r"C:\x y", "/reset", "/q"]
    himds = windows_names.service_sid("himds")
    assert grant[2:4] == ["/inheritance:r", "/grant:r"]
    assert grant[4:-1] == [f"*{sid}:(OI)(CI)F" for sid in ("S-1-5-18", "S-1-5-32-544", himds)]


def test_what_already_lies_there_is_taken_over_once():
    owner, reset, grant = windows_names.close_folder("f", deep=True)
    assert "/t" in owner and "/t" in reset and "/t" not in grant


def test_members_of_the_group_read_files_only_where_these_are_theirs():
    group = windows_names.TOKEN_GROUP
    assert windows_names.share_folder("f", group, inherited=False)[3] == f"{group}:RX"
    assert windows_names.share_folder("f", group, inherited=True)[3] == f"{group}:(OI)(CI)RX"


def test_the_service_runs_as_its_own_account_and_is_started():
    commands = windows_names.install_service('"C:\\p\\python.exe" -m x')
    create = next(command for command in commands if command[:2] == ["sc.exe", "create"])
    assert create[2] == "himds"
    assert create[create.index("binPath=") + 1] == '"C:\\p\\python.exe" -m x'
    assert create[create.index("obj=") + 1] == "NT SERVICE\\himds"
    assert commands[-1] == ["sc.exe", "start", "himds"]
    told = {command[command.index("/v") + 1]: command[command.index("/d") + 1] for command in commands
            if command[0] == "reg.exe"}  # fmt: skip
    assert told["IDENTITY_ENDPOINT"] == "http://localhost:40342/metadata/identity/oauth2/token"
    assert windows_names.remove_service()[-1] == ["sc.exe", "delete", "himds"]
