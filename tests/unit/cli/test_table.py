"""The table of commands, and what is imported for it."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from nova_lite.cli.app import NovaLite
from nova_lite.cli.command import Lister, ShowOne
from nova_lite.cli.examples import EXAMPLES
from nova_lite.cli.table import COMMANDS, OLD_NAMES, CommandTable


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_can_be_loaded_and_explains_itself(name: str) -> None:
    found, known, rest = CommandTable().find_command([*name.split(), "--x"])
    assert (known, rest) == (name, ["--x"])
    command = found(NovaLite(), None, cmd_name=name)
    text = command.get_parser(f"nova-lite {name}").format_help()
    assert command.get_description() in " ".join(text.split())
    if isinstance(command, Lister | ShowOne):
        assert "--format" in text


NOUNS_WITH_EXAMPLES = (
    "aggregate",
    "address group",
    "compute",
    "flavor",
    "floating ip",
    "image",
    "keypair",
    "project",
    "quota",
    "role",
    "router",
    "security group",
    "server",
    "user",
)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_is_one_of_its_command(name: str) -> None:
    program, *words = shlex.split(EXAMPLES[name])
    found, known, rest = CommandTable().find_command(words)
    assert (program, known) == ("nova-lite", name)
    command = found(NovaLite(), None, cmd_name=name)
    parser = command.get_parser(f"nova-lite {name}")
    parser.parse_args(rest)
    assert EXAMPLES[name].split()[-1] in parser.format_help()


def test_server_commands_and_the_like_have_examples() -> None:
    missing = [name for name in COMMANDS if name.startswith(NOUNS_WITH_EXAMPLES) and name not in EXAMPLES]
    assert set(missing) <= {"server adopt", "server console"}


@pytest.mark.parametrize("name", sorted(OLD_NAMES))
def test_an_old_name_leads_to_its_command(name: str) -> None:
    found, known, rest = CommandTable().find_command([name, "thing"])
    assert known == OLD_NAMES[name]
    assert rest == ["thing"]
    assert found is CommandTable().find_command(known.split())[0]


def test_arguments_are_not_taken_for_commands() -> None:
    table = CommandTable()
    # A server may be called like the beginning of a command's third word.
    assert table.find_command(["server", "show", "list"])[1:] == ("server show", ["list"])
    assert table.find_command(["console", "log", "show", "s"])[1:] == ("console log show", ["s"])
    assert table.find_command(["delete", "server", "list"])[1:] == ("server delete", ["server", "list"])


def test_words_may_be_shortened_where_that_is_clear() -> None:
    table = CommandTable()
    assert table.find_command(["serv", "cr", "name"])[1:] == ("server create", ["name"])
    assert table.find_command(["fl", "l"])[1] == "flavor list"
    for words in (["se", "l"], ["server", "s"], ["x"], ["--format"], []):
        with pytest.raises(ValueError, match="There is no command"):
            table.find_command(words)


def test_more_commands_can_be_given() -> None:
    table = CommandTable({"up": "nova_lite.cmd.client:Up"})
    assert table.find_command(["up", "--port", "1"])[1:] == ("up", ["--port", "1"])


def test_the_client_imports_nothing_of_the_services() -> None:
    heavy = (
        "sqlalchemy", "eventlet", "oslo_messaging", "oslo_config", "oslo_policy", "libvirt", "kombu", "webob", "alembic",
        "cmd2", "cryptography", "pyroute2", "nova_lite.api", "nova_lite.db", "nova_lite.compute", "nova_lite.agent",
    )  # fmt: skip
    script = (
        "import sys; from nova_lite.cmd.client import main; code = main(['server', 'list']);"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]; print(code, loaded)"
    )
    environ = {
        "OS_AUTH_URL": "http://127.0.0.1:1/v3", "OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_PROJECT_NAME": "p",
        "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environ, timeout=180)
    assert done.stdout == "1 []\n", done
    assert "Nothing answers at" in done.stderr


def test_up_imports_nothing_of_the_client() -> None:
    script = (
        "import sys; from nova_lite.cmd.client import main\n"
        "try: main(['up', '--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('cliff', 'keystoneauth1', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=180)
    assert done.stdout.splitlines()[-1] == "[]", done
