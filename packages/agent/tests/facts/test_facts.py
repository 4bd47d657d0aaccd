"""What the sources say, and that no text from a machine breaks a parser."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from landbridge_agent import local_policy
from landbridge_agent.facts import dmi, network, os_release, processors, report, ssh_host_keys
from landbridge_agent.local_config import Incoming

CPUINFO = """processor\t: 0
physical id\t: 0
core id\t\t: 0
model name\t: Test CPU

processor\t: 1
physical id\t: 0
core id\t\t: 0
model name\t: Test CPU

processor\t: 2
physical id\t: 1
core id\t\t: 0
model name\t: Test CPU

"""
LINKS = [
    {"ifname": "lo", "flags": ["LOOPBACK"], "addr_info": [{"local": "127.0.0.1", "scope": "host"}]},
    {
        "ifname": "eth0",
        "address": "02:00:00:00:00:01",
        "flags": ["UP"],
        "addr_info": [
            {"family": "inet", "local": "10.1.2.3", "prefixlen": 24, "scope": "global"},
            {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"},
            {"family": "inet6", "local": "2001:db8::5", "prefixlen": 64, "scope": "global"},
        ],
    },
]


def test_os_release_undoes_the_shells_quotes():
    text = '# a comment\nID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian \\"12\\""\nnonsense\n'
    assert os_release.parse(text) == os_release.OsRelease("debian", "12", 'Debian "12"')


def test_os_release_falls_back_to_the_second_file(tmp_path):
    second = tmp_path / "os-release"
    second.write_text("ID=alpine\n")
    assert os_release.read((str(tmp_path / "none"), str(second))).id == "alpine"


def test_processors_count_sockets_cores_and_threads():
    assert processors.parse(CPUINFO) == processors.Processors(2, 2, 3, ("Test CPU",))


def test_processors_without_topology_count_each_as_a_core():
    assert processors.parse("processor\t: 0\n\nprocessor\t: 1\n") == processors.Processors(1, 2, 2, ())


def test_memory_is_memtotal_in_bytes():
    assert processors.parse_memory("MemFree: 1 kB\nMemTotal:        2048 kB\n") == 2048 * 1024


def test_dmi_drops_fillers_and_control_characters():
    assert dmi.parse("To Be Filled By O.E.M.\n") == ""
    assert dmi.parse("Acme\x00 Corp\n") == "Acme  Corp"


def test_dmi_reads_what_is_there(tmp_path):
    (tmp_path / "sys_vendor").write_text("Acme\n")
    assert dmi.read(tmp_path, tmp_path / "none") == dmi.Dmi(manufacturer="Acme")


def test_network_leaves_out_loopback_and_link_local():
    (found,) = network.parse(json.dumps(LINKS))
    assert found.name == "eth0"
    assert [one.address for one in found.addresses] == ["10.1.2.3", "2001:db8::5"]


def test_the_kernels_ipv6_table_is_read():
    line = "20010db8000000000000000000000005 02 40 00 80     eth0\n"
    (found,) = network.parse_if_inet6(line)
    assert found.addresses[0].prefix == 64 and found.addresses[0].address.startswith("2001:0db8")


def test_host_keys_lose_host_and_comment():
    text = "# 127.0.0.1:22 SSH-2.0\n127.0.0.1 ssh-ed25519 AAAA\n[127.0.0.1]:2222 ecdsa-sha2-nistp256 BBBB\n"
    assert ssh_host_keys.parse(text) == ["ecdsa-sha2-nistp256 BBBB", "ssh-ed25519 AAAA"]
    assert ssh_host_keys.parse_public_key("ssh-rsa CCCC root@host\n") == ["ssh-rsa CCCC"]


def test_port_22_falls_back_on_the_files(tmp_path, monkeypatch):
    monkeypatch.setattr(ssh_host_keys, "_scan", lambda port: [])
    (tmp_path / "ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAA root@host\n")
    assert ssh_host_keys.read((22, 2222), tmp_path) == {22: ["ssh-ed25519 AAAA"]}


def sources(**changes):
    base = report.Sources(
        os_release=os_release.OsRelease("debian", "12", "Debian 12"),
        kernel="6.1",
        architecture="x86_64",
        fqdn="web.example.org",
        dmi=dmi.Dmi("Acme", "Box", "S1", "uuid"),
        processors=processors.parse(CPUINFO),
        memory=2**31,
        interfaces=network.parse(json.dumps(LINKS)),
        host_keys={22: ["ssh-ed25519 AAAA", "ssh-rsa BBBB"]},
    )
    return base._replace(**changes)


def test_the_report_has_the_names_of_arm():
    facts = report.build(sources(), {"incomingConnectionsPorts": ["22", "2222"]})
    assert facts["osSku"] == "Debian 12" and facts["osVersion"] == "6.1"
    assert facts["domainName"] == "example.org"
    assert facts["agentConfiguration"]["incomingConnectionsPorts"] == ["22", "2222"]
    assert facts["detectedProperties"]["sshHostKeys:22"] == "ssh-ed25519 AAAA\nssh-rsa BBBB"
    subnets = facts["networkProfile"]["networkInterfaces"][0]["ipAddresses"]
    assert subnets[0]["subnet"] == {"addressPrefix": "10.1.2.0/24"}


def test_detected_properties_are_all_text():
    facts = report.build(sources(dmi=dmi.Dmi()), {})
    assert all(isinstance(value, str) and value for value in facts["detectedProperties"].values())
    assert "manufacturer" not in facts["detectedProperties"]


def test_this_machine_can_be_reported():
    facts = report.build(report.gather(Incoming(False, ()), dmi.Dmi()), local_policy.NOTHING_ALLOWED)
    assert len(json.dumps(facts)) < 64 * 1024
    assert int(facts["detectedProperties"]["logicalCoreCount"]) >= 1


@given(st.text(max_size=400))
def test_no_text_breaks_a_parser(text):
    os_release.parse(text)
    dmi.parse(text)
    processors.parse(text)
    processors.parse_memory(text)
    network.parse(text)
    network.parse_if_inet6(text)
    ssh_host_keys.parse(text)
    ssh_host_keys.parse_public_key(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["addr_info", "flags", "local", "scope", "ifname", "x"]), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_json_breaks_the_network_parser(value):
    network.parse(json.dumps(value))
