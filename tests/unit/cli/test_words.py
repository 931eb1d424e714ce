"""Small pure parts: names, labels, cells, messages, options, progress, secrets."""

from __future__ import annotations

import argparse
import io
import json
from typing import Any

import pytest

from nova_lite.cli import names, server_disks
from nova_lite.cli.app import NovaLite
from nova_lite.cli.cells import Addresses, Joined, Pairs, Structure, cell, label
from nova_lite.cli.command import fields, not_negative, pair, positive
from nova_lite.cli.connection import without_secrets
from nova_lite.cli.faults import CommandError, Missing, message_in, refusal
from nova_lite.cli.formats import shown
from nova_lite.cli.keypairs import make
from nova_lite.cli.progress import Progress
from nova_lite.cli.server_create import CreateServer, spell_out
from nova_lite.cli.servers import COLUMNS, row

THINGS = [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}, {"id": "3", "name": "b"}, {"id": "b3", "name": "1"}]


def test_the_one_is_found_by_id_before_name() -> None:
    assert names.the_one("thing", "1", THINGS)["name"] == "a"
    assert names.the_one("thing", "a", THINGS)["id"] == "1"
    with pytest.raises(Missing, match=r"There is no thing called A\."):
        names.the_one("thing", "A", THINGS)
    with pytest.raises(CommandError, match="More than one thing is called b: ids 2, 3"):
        names.the_one("thing", "b", THINGS)


class Listing:
    """Takes the place of a Compute API that lists whatever it is asked for."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def pages(self, path: str, member: str, **query: Any) -> list[dict[str, Any]]:
        self.asked = query
        return [{"id": "x", "name": "a.b(c)+"}]


def test_a_servers_name_is_no_pattern() -> None:
    compute = Listing()
    names.server(argparse.Namespace(compute=compute), "a.b(c)+")  # type: ignore[arg-type]
    assert compute.asked == {"name": r"^a\.b\(c\)\+$"}


@pytest.mark.parametrize(
    ("member", "text"),
    [
        ("id", "ID"),
        ("min_ram", "Min RAM"),
        ("os_hash_algo", "OS Hash Algo"),
        ("provider:network_type", "Provider:Network Type"),
        ("created_at", "Created At"),
        ("hw_vcpus", "Hw VCPUs"),
    ],
)
def test_labels(member: str, text: str) -> None:
    assert label(member) == text
    # The API's own name always finds the column again.
    assert text.lower().replace(" ", "_") == member


def test_cells_are_words_in_a_table_and_structure_in_json() -> None:
    assert str(Pairs({"b": 1, "a": "x"})) == "a='x', b='1'"
    assert str(Joined(["x", "y"])) == "x, y"
    assert str(Addresses({"n": ["1", "2"], "m": []})) == "m=; n=1, 2"
    assert isinstance(cell({"a": 1}), Pairs)
    assert isinstance(cell(["a"]), Joined)
    assert isinstance(cell([{"a": 1}]), Structure)
    assert cell("word") == "word"
    assert cell(None) is None
    assert [shown(None, form) for form in ("table", "value", "csv", "json")] == ["-", "None", "None", None]
    assert shown(Pairs({"k": "\x1b[1mv"}), "table") == "k='v'"
    assert shown(Pairs({"k": "v"}), "json").machine_readable() == {"k": "v"}


def test_fields_come_in_order() -> None:
    assert fields({"b": 1, "id": 2, "a": 3, "links": [], "self": 4}, first=("id", "gone"), without=("self",)) == (
        ("ID", "A", "B"),
        (2, 3, 1),
    )


def test_a_server_of_another_cloud_has_empty_cells() -> None:
    assert len(row({"id": "i", "name": "n", "status": "BUILD"})) == len(COLUMNS)
    assert row({"id": "i", "name": "n", "status": "BUILD"})[-2:] == (None, None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            '{"itemNotFound": {"code": 404, "message": "Instance x\\ncould not be found."}}',
            "Instance x could not be found.",
        ),
        ('{"error": {"code": 401, "title": "Unauthorized", "message": "No."}}', "No."),
        ('{"NeutronError": {"type": "T", "message": "Taken.", "detail": ""}}', "Taken."),
        ('{"message": "plain"}', "plain"),
        (
            "<html><head><title>400 Bad</title></head><body><h1>400 Bad</h1>\n a &lt;b&gt; c<br /></body></html>",
            "a <b> c",
        ),
        ("just words", "just words"),
        ("", ""),
        ("[1]", ""),
        ('{"a": \x1b[31m', '{"a":'),
    ],
)
def test_every_apis_message_is_found(body: str, message: str) -> None:
    assert message_in(body) == message


def test_a_refusal_names_its_request() -> None:
    error = refusal(409, '{"conflictingRequest": {"message": "Busy."}}', {"X-OpenStack-Request-ID": "req-1"})
    assert (str(error), error.status, error.request_id) == ("Busy. (HTTP 409, req-1)", 409, "req-1")
    assert str(refusal(502, "", {})) == "The service answered with status 502 and no explanation. (HTTP 502)"


def test_option_types() -> None:
    assert pair("a=b=c") == ("a", "b=c")
    assert pair("a=") == ("a", "")
    assert (positive("3"), not_negative("0")) == (3, 0)
    for read, text in ((pair, "a"), (pair, "=b"), (positive, "0"), (positive, "-1"), (not_negative, "x")):
        with pytest.raises(argparse.ArgumentTypeError):
            read(text)


def _parsed(*words: str) -> Any:
    parser = CreateServer(NovaLite(), None).get_parser("nova-lite server create")
    return parser.parse_args(["--image", "i", "--flavor", "f", *words])


def test_disks_are_asked_for_beside_the_image() -> None:
    assert server_disks.devices("i", _parsed("name")) == []
    wanted = _parsed("--ephemeral", "size=2,format=ext3", "--swap", "64", "--ephemeral", "size=3", "name")
    image, *disks = server_disks.devices("i", wanted)
    assert (image["uuid"], image["source_type"], image["boot_index"]) == ("i", "image", 0)
    assert [(disk["volume_size"], disk.get("guest_format"), disk["boot_index"]) for disk in disks] == [
        (2, "ext3", -1),
        (3, None, -1),
        (64, "swap", -1),
    ]
    assert {disk["destination_type"] for disk in [image, *disks]} == {"local"}
    for bad in ("2", "size=0", "format=ext3", "size=1,form=x", "size=1,size"):
        with pytest.raises(SystemExit):
            _parsed("--ephemeral", bad, "name")


def test_networks_in_all_spellings_keep_their_order() -> None:
    wanted = _parsed(
        "--nic", "net-id=n1,v4-fixed-ip=10.0.0.5", "--network", "n2", "--port", "p", "--nic", "port-id=q", "name"
    )
    assert wanted.nics == [
        ("nic", {"network": "n1", "address": "10.0.0.5"}),
        ("network", "n2"),
        ("port", "p"),
        ("nic", {"port": "q"}),
    ]
    assert _parsed("--network", "none", "x").nics == [("word", "none")]
    assert _parsed("--nic", "auto", "x").nics == [("word", "auto")]
    for bad in ("nonsense", "net-id", "colour=red", "tag=x"):
        with pytest.raises(SystemExit):
            _parsed("--nic", bad, "x")


@pytest.mark.parametrize(
    ("words", "drive"),
    [
        (("name",), None),
        (("--config-drive", "name"), True),
        (("--config-drive", "true", "name"), True),
        (("--config-drive", "False", "name"), False),
        (("name", "--config-drive"), True),
        (("--config-drive=no", "name"), False),
        (("--use-config-drive", "name"), True),
        (("--no-config-drive", "name"), False),
    ],
)
def test_a_config_drive_with_or_without_its_value(words: tuple[str, ...], drive: bool | None) -> None:
    wanted = _parsed(*words)
    assert (wanted.name, wanted.config_drive) == ("name", drive)


def test_old_spellings_of_options() -> None:
    assert spell_out(["--config-drive"]) == ["--config-drive=true"]
    wanted = _parsed(
        "--key_name", "k", "--user_data", "u", "--meta", "a=b", "--min-count", "2", "--max-count", "3", "n"
    )
    assert (wanted.key_name, wanted.user_data, wanted.property) == ("k", "u", [("a", "b")])
    assert (wanted.least, wanted.most) == (2, 3)


def test_global_options_leave_a_commands_own_alone() -> None:
    app = NovaLite()
    words = ["server", "create", "--os", "x", "--user-data", "f", "--in", "-f", "json"]
    options, rest = app.parser.parse_known_args([*words, "--os-cloud", "c", "--debug"])
    assert rest == words
    assert (options.os_cloud, options.debug) == ("c", True)


def test_nothing_secret_is_logged() -> None:
    body = {
        "server": {"name": "n", "adminPass": "p", "user_data": "u", "personality": [{"path": "/a", "contents": "c"}]},
        "auth": {"password": {"user": {"password": "x"}}, "token": {"id": "t"}},
    }
    masked = json.dumps(without_secrets(body))
    assert all(f'"{secret}"' not in masked for secret in "puxtc")
    assert '"name": "n"' in masked


class Terminal(io.StringIO):
    """A stream that says that it is a terminal, of no known width."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("no descriptor")


def test_progress_on_a_terminal_and_elsewhere() -> None:
    terminal, file, quiet = Terminal(), io.StringIO(), Terminal()
    for stream, enabled in ((terminal, True), (file, True), (quiet, False)):
        with Progress(stream, enabled=enabled) as progress:
            progress.say("a: BUILD")
            progress.say("a: BUILD")
            progress.say("a: \x1b[31m" + "ACTIVE" * 40)
    assert terminal.getvalue().count("\n") == 0
    assert terminal.getvalue().startswith("\r\x1b[Ka: BUILD")
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert all(len(part) < 80 for part in terminal.getvalue().split("\r\x1b[K"))
    assert [line.partition(" (")[0] for line in file.getvalue().splitlines()] == ["a: BUILD", "a: " + "ACTIVE" * 40]
    assert quiet.getvalue() == ""


def test_a_pair_of_keys_fits_together() -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

    public, private = make()
    key = load_ssh_private_key(private.encode(), None)
    assert key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() == public
    assert public.startswith("ssh-ed25519 ")
    assert make()[0] != public
