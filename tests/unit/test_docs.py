"""The documentation and the samples say what the code says, and name nothing that is not there."""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nova_lite.conf
from nova_lite.api.policy import list_rules

CHECKOUT = Path(__file__).resolve().parents[2]
README = CHECKOUT / "README.rst"
PAGES = [README, *sorted((CHECKOUT / "doc").glob("*.rst"))]
CONFIGURATION_SAMPLE = CHECKOUT / "etc/nova_lite/nova-lite.conf.sample"
POLICY_SAMPLE = CHECKOUT / "etc/nova_lite/policy.yaml.sample"

COMMANDS = ("./devstack/stack.sh", "./devstack/test.sh")
ELSEWHERE = ("/", "…", "*", "<", "{", "$", "+")
"""What a path of the checkout does not begin with or have in it."""
LATER = {"doc/performance.rst", "performance.rst"}
"""Written by the benchmarks when they are run."""

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def literals(page: Path) -> set[str]:
    return set(re.findall(r"``([^`\n]+)``", page.read_text(encoding="utf-8")))


def test_generated_parts_and_samples_are_current() -> None:
    script = CHECKOUT / "tools/docs/generated.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, f"run python tools/docs/generated.py\n{done.stdout}{done.stderr}"


def test_a_change_of_the_code_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(CHECKOUT / "tools/docs"))
    import generated

    page = (CHECKOUT / "doc/server_states.rst").read_text(encoding="utf-8")
    other = generated.placed(page, "transitions", "a table of another day")
    assert "a table of another day" in other
    assert "powering-off" not in other.partition(".. end generated transitions")[0]
    with pytest.raises(ValueError, match="begin generated"):
        generated.placed(page, "no such part", "")


def test_every_option_is_in_the_sample_and_means_what_it_says(tmp_path: Path) -> None:
    lines = CONFIGURATION_SAMPLE.read_text().splitlines()
    sections: dict[str, list[str]] = {}
    for line in lines:
        if match := re.fullmatch(r"\[(\w+)\]", line):
            names = sections.setdefault(match[1], [])
        elif match := re.match(r"#(\w+) =", line):
            names.append(match[1])
    assert sections.keys() == {group for group, _ in nova_lite.conf.list_opts()}
    for group, options in nova_lite.conf.list_opts():
        assert sorted(sections[group]) == sorted(option.dest for option in options), group
        assert all(option.help for option in options), group


def test_an_uncommented_sample_is_a_configuration_with_the_defaults(tmp_path: Path) -> None:
    kept = [
        line[1:] if re.match(r"#\w+ = ?(?!<)", line) else line for line in CONFIGURATION_SAMPLE.read_text().splitlines()
    ]
    mine = tmp_path / "nova-lite.conf"
    mine.write_text("\n".join(line for line in kept if "<" not in line or line.startswith("#")))
    conf, plain = nova_lite.conf.load([str(mine)]), nova_lite.conf.load([])

    def value(which: Any, group: str, name: str) -> Any:
        return which[name] if group == "DEFAULT" else which[group][name]

    for group, options in nova_lite.conf.list_opts():
        for option in options:
            assert value(conf, group, option.dest) == value(plain, group, option.dest), (group, option.dest)


def test_every_rule_is_in_the_policy_sample() -> None:
    named = set(re.findall(r'^#"([^"]+)":', POLICY_SAMPLE.read_text(), re.MULTILINE))
    assert named == {str(rule.name) for rule in list_rules()}


@pytest.mark.parametrize("sample", [CONFIGURATION_SAMPLE, POLICY_SAMPLE], ids=lambda path: path.name)
def test_a_sample_has_no_path_of_this_machine(sample: Path) -> None:
    text = sample.read_text()
    assert not [path for path in (str(CHECKOUT), str(Path.home()), sys.prefix) if path != "/" and path in text]


def test_the_configuration_sample_is_the_same_on_a_machine_of_another_name(tmp_path: Path) -> None:
    made = tmp_path / "sample"
    program = (
        "import socket; socket.gethostname = socket.getfqdn = lambda *_: 'elsewhere-7f3a'\n"
        "from oslo_config import generator\n"
        f"generator.main(['--namespace', 'nova_lite', '--output-file', {str(made)!r}])"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert made.read_text() == CONFIGURATION_SAMPLE.read_text()


def test_the_readme_has_exactly_the_two_commands() -> None:
    section = README.read_text(encoding="utf-8").partition("Two commands\n=")[2].partition("A first tour\n=")[0]
    commands = [line.strip() for line in section.splitlines() if re.match(r" {4}\S", line)]
    assert commands == list(COMMANDS)
    for command in COMMANDS:
        assert (CHECKOUT / command).stat().st_mode & 0o111, command
    assert "devstack/test.sh" in (CHECKOUT / ".ci/run").read_text()


def test_the_readme_says_in_five_lines_what_it_is() -> None:
    first = README.read_text(encoding="utf-8").split("\n\n")[1]
    assert len(first.splitlines()) == 5


@pages
def test_every_file_that_is_named_is_there(page: Path) -> None:
    missing = []
    for literal in literals(page):
        name = literal.split("::")[0].split(" ")[0].rstrip("/")
        if any(mark in name for mark in ELSEWHERE[1:]) or name.startswith("/") or name in LATER:
            continue
        ours = re.match(r"(nova_lite|devstack|doc|etc|alembic|tests|tools)/", name)
        if (ours or re.fullmatch(r"[\w.-]+\.rst", name)) and not any(
            (base / name).exists() or (base / f"{name}.py").exists()
            for base in (CHECKOUT, CHECKOUT / "doc", page.parent)
        ):
            # local.conf is the reader's to make.
            missing.append(name)
    assert sorted(set(missing) - {"devstack/local.conf"}) == []


@pages
def test_every_test_that_is_named_is_there(page: Path) -> None:
    named = re.findall(r"``(tests/[\w/]+\.py)::(\w+)``", page.read_text(encoding="utf-8"))
    for file, function in named:
        tree = ast.parse((CHECKOUT / file).read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert function in names, f"{file}::{function}"


@pages
def test_every_option_that_is_named_is_there(page: Path) -> None:
    known = {group: {option.dest for option in options} for group, options in nova_lite.conf.list_opts()}
    for group, name in re.findall(r"``\[(\w+)\] (\w+)", page.read_text(encoding="utf-8")):
        assert name in known.get(group, set()), f"[{group}] {name}"


@pages
def test_every_command_that_is_named_is_there(page: Path) -> None:
    from nova_lite.cli.table import COMMANDS as ENTRIES
    from nova_lite.cli.table import OLD_NAMES

    known = {*ENTRIES, *OLD_NAMES, "up", "help", "complete"}
    text = page.read_text(encoding="utf-8")
    for words in re.findall(r"(?:^ {4}(?:# )?|``)nova-lite ((?:[a-z]+ ?)+)", text, re.MULTILINE):
        parts = words.split()
        assert any(" ".join(parts[:length]) in known for length in range(1, 6)), f"nova-lite {words}"


def manage_commands() -> set[str]:
    """Return every command of ``nova-lite-manage``: noun, or noun and verb."""
    from nova_lite.cmd.manage import make_parser

    def choices(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}

    return {
        f"{noun} {verb}".strip()
        for noun, parser in choices(make_parser()).items()
        for verb in (choices(parser) or {"": parser})
    }


@pages
def test_every_manage_command_that_is_named_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = manage_commands()
    # In a literal or an example a command follows; in a sentence, anything.
    for words in re.findall(
        r"(?:``|^ {4}(?:# )?)nova-lite-manage(?: --config-file \S+)? ([a-z]+(?: [a-z]+)?)", text, re.M
    ):
        assert words in known or words.split()[0] in known, f"nova-lite-manage {words}"


def test_operations_tells_every_manage_command() -> None:
    text = (CHECKOUT / "doc/operations.rst").read_text(encoding="utf-8")
    assert not [command for command in manage_commands() if not re.search(rf"^``{command}[` ]", text, re.MULTILINE)]


def test_the_index_has_every_page() -> None:
    text = (CHECKOUT / "doc/index.rst").read_text(encoding="utf-8")
    for page in (CHECKOUT / "doc").glob("*.rst"):
        if page.name != "index.rst":
            assert f"``{page.name}``" in text
            assert re.search(rf"^   {page.stem}$", text, re.MULTILINE), page.name


def test_no_two_test_files_have_one_name() -> None:
    """Pytest imports them by their file's name alone, so the second would not be collected."""
    names = [path.name for path in (Path(__file__).parents[1]).rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
