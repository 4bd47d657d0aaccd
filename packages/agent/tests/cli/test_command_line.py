"""Flags, help and refusals of the command line as a whole."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landbridge_agent.cli.command import Command
from landbridge_agent.cli.flags import COMMON, Flag, merge_file, parse
from landbridge_agent.cli.parameters import check_group, resource_name, tags
from landbridge_agent.cli.run import config_file, load, require_root
from landbridge_agent.cli.verbs import VERBS
from landbridge_agent.codes import CODES, AgentError
from landbridge_agent.paths import Paths

FLAGS = (Flag("name", "n", "A name"), Flag("force", "f", "Force", switch=True), *COMMON)


@pytest.mark.parametrize("words", [["--name", "x"], ["--name=x"], ["-n", "x"], ["-nx"], ["-n=x"]])
def test_a_value_is_given_in_every_way_of_the_original(words):
    assert parse(FLAGS, words).text("name") == "x"


def test_switches_are_joined_and_switched_off():
    values = parse(FLAGS, ["-fj", "--verbose=false", "word", "--", "-n"])
    assert values.on("force") and values.on("json") and not values.on("verbose")
    assert values.arguments == ["word", "-n"]


@pytest.mark.parametrize("words", [["--nam", "x"], ["-x"], ["--name"], ["--force=perhaps"], ["-fx"]])
def test_what_is_no_flag_is_refused(words):
    with pytest.raises(AgentError) as refused:
        parse(FLAGS, words)
    assert refused.value.code == 23


@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_words_are_read_or_refused(words):
    try:
        parse(FLAGS, words)
    except AgentError as error:
        assert error.code == 23


def test_the_command_line_wins_over_the_file():
    values = parse(FLAGS, ["-n", "mine"])
    merge_file(values, FLAGS, {"name": "theirs", "force": True})
    assert values.text("name") == "mine" and values.on("force")


@pytest.mark.parametrize(
    ("content", "code"), [([], 19), ({"nam": "x"}, 23), ({"name": [1]}, 23), ({"config": "x"}, 23)]
)
def test_a_file_that_does_not_fit_is_refused(content, code):
    with pytest.raises(AgentError) as refused:
        merge_file(parse(FLAGS, []), FLAGS, content)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("A=B", {"A": "B"}),
        ("A=B,C=D", {"A": "B", "C": "D"}),
        ("A='x, y',B=z", {"A": "x, y", "B": "z"}),
        (r"A=x\,y\'", {"A": "x,y'"}),
        ("A=b=c", {"A": "b=c"}),
        ("A=,", {"A": ""}),
        ("A='it\\'s'", {"A": "it's"}),
    ],
)
def test_tags_are_read(text, found):
    assert tags(text) == found


@pytest.mark.parametrize("text", ["A", "=B", "A=b,A=c", "A='b", "A=b\\", "A=b,x"])
def test_malformed_tags_are_refused(text):
    with pytest.raises(AgentError) as refused:
        tags(text)
    assert refused.value.code == 23


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text(max_size=20)))
def test_quoted_tags_come_back(pairs):
    def quoted(value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    text = ",".join(f"{name}={quoted(value)}" for name, value in pairs.items())
    assert tags(text) == {name: value.strip() for name, value in pairs.items()}


def test_a_hosts_name_loses_its_domain():
    assert resource_name("", "web-1.example.org") == "web-1"


@pytest.mark.parametrize(
    ("given_name", "host", "code"), [("a" * 55, "h", 23), ("x/y", "h", 23), ("", "h_", 102)]
)
def test_a_name_that_cannot_be_is_refused(given_name, host, code):
    with pytest.raises(AgentError) as refused:
        resource_name(given_name, host)
    assert refused.value.code == code


@pytest.mark.parametrize("group", ["", "a/b", "a?b", "a.", "x" * 91, "a\nb"])
def test_a_group_that_cannot_be_is_refused(group):
    with pytest.raises(AgentError):
        check_group(group)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_each_command_has_help_in_the_documents_layout(verb):
    command = load(verb)
    assert isinstance(command, Command)
    text = command.help()
    assert [part for part in ("Synopsis:", "Syntax:", "Options:") if f"\n{part}\n" in text] == [
        "Synopsis:", "Syntax:", "Options:",
    ]  # fmt: skip
    assert "-h, --help" in text and f"help for {verb}" in text


GOLDEN = Path(__file__).parent / "help"


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_the_help_of_each_command_is_as_it_was_looked_at(verb):
    """To change a text, write the new one there, look at it, and commit it with the command."""
    assert load(verb).help() + "\n" == (GOLDEN / f"{verb}.txt").read_text()


def test_flags_are_read_from_yaml_too(tmp_path):
    file = tmp_path / "flags.yaml"
    file.write_text("name: 0123-4\nforce: true\n")
    values = parse(FLAGS, [])
    merge_file(values, FLAGS, config_file(str(file)))
    assert values.text("name") == "0123-4" and values.on("force")


def test_connects_options_are_those_of_the_document():
    options = load("connect").help().partition("Options:")[2]
    for line in (
        "      --access-token string               Access token",
        "  -l, --location string                   Location of the resource [Required]",
        "      --physical-location string          Physical location of the resource",
        "  -g, --resource-group string             Name of the resource group. [Required]",
        "  -n, --resource-name string              Name of the resource. Defaults to Host Name",
        "  -i, --service-principal-id string       Service Principal Id",
        "  -p, --service-principal-secret string   Service Principal Secret",
        "  -s, --subscription-id string            Subscription Id [Required]",
    ):
        assert line in options


async def test_an_unknown_command_or_flag_is_refused(azcmagent):
    assert (await azcmagent("frobnicate")).code == 23
    assert (await azcmagent("--frobnicate")).code == 23
    assert (await azcmagent("show", "--frobnicate")).code == 23


async def test_nothing_and_help_print_the_overview(azcmagent):
    for words in ((), ("help",), ("--help",), ("-h",)):
        ran = await azcmagent(*words)
        assert ran.code == 0
        assert "connect     Connects this machine to Azure" in ran.out


async def test_help_explains_a_code(azcmagent):
    assert "Network Error" in (await azcmagent("help", "AZCM0026")).out
    assert (await azcmagent("help", "AZCM9999")).code == 23


@pytest.mark.parametrize(("name", "content"), [("no.json", None), ("bad.json", "{"), ("bad.yaml", "a: [b")])
async def test_a_config_file_that_cannot_be_used_is_named(azcmagent, tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_text(content)
    ran = await azcmagent("connect", "--config", str(tmp_path / name))
    assert ran.code == 19
    assert name in ran.err


async def test_version_in_json(azcmagent):
    assert json.loads((await azcmagent("version", "--json")).out)["agentVersion"].count(".") == 3


def test_root_is_asked_for_only_where_the_tree_is_roots(tmp_path, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    require_root(Paths(tmp_path, True))
    with pytest.raises(AgentError) as refused:
        require_root(Paths(tmp_path, False))
    assert refused.value.exit_code == 18


def test_codes_have_a_title_and_a_remedy():
    assert all(code.title and code.remedy.endswith(".") for code in CODES.values())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_show_by_somebody_else_asks_for_root(azcmagent):
    azcmagent.paths.state.mkdir(parents=True)
    azcmagent.paths.agent_config.write_text("{}")
    azcmagent.paths.agent_config.chmod(0o600)
    os.seteuid(65534)
    try:
        ran = azcmagent.run("show")
    finally:
        os.seteuid(0)
    assert ran.code == 18
    assert "Permission denied" in ran.err and "root" in ran.err
