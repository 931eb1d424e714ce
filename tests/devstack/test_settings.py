"""local.conf is read as data; what can't be used is told; passwords are kept and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from shell import DEVSTACK, Shell

SHOW = "settings_load; printf '%s\\n' \"${SETTING_PROBLEMS[@]}\""


def problems(shell: Shell, tmp_path: Path, text: str) -> str:
    file = tmp_path / "local.conf"
    file.write_text(text)
    return shell.run(SHOW, "settings", LOCAL_CONF=str(file)).stdout.strip()


def test_values_comments_blanks_and_quotes(shell: Shell, tmp_path: Path) -> None:
    text = "# a comment\n\n  API_PORT=9000  \nDATABASE='mariadb'\nADMIN_PASSWORD=\"it's a=b # c\"\nDEMO=false"
    assert problems(shell, tmp_path, text) == ""
    code = 'settings_load; echo "$API_PORT $DATABASE $ADMIN_PASSWORD $DEMO $BUS"'
    done = shell.run(code, "settings", LOCAL_CONF=str(tmp_path / "local.conf"))
    assert done.stdout == "9000 mariadb it's a=b # c false memory\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("API_PORT=eighty", "API_PORT=eighty can't be used"),
        ("API_PORT=70000", "API_PORT=70000 is no port"),
        ("BUS=kafka", "BUS=kafka can't be used"),
        ("BUS=rabbit", "set DATABASE=postgresql"),
        ("IMAGES=tiny,windows", "IMAGES=tiny,windows can't be used"),
        ("DATA=relative/path", "DATA=relative/path can't be used"),
        ("API_PORT = 80", "is not KEY=value"),
        ("PATH=/evil", "no setting is called PATH"),
    ],
)
def test_what_cannot_be_used_is_told(shell: Shell, tmp_path: Path, line: str, said: str) -> None:
    assert said in problems(shell, tmp_path, line)


def test_a_bad_password_is_told_without_being_shown(shell: Shell, tmp_path: Path) -> None:
    said = problems(shell, tmp_path, "DATABASE_PASSWORD=se/cr@et!99\n")
    assert "DATABASE_PASSWORD=(not shown) can't be used" in said
    assert "cr@et" not in said


def test_local_conf_is_never_run(shell: Shell, tmp_path: Path) -> None:
    problems(shell, tmp_path, f"ADMIN_PASSWORD=$(touch {tmp_path}/ran)\nDEMO_PASSWORD=`touch {tmp_path}/ran`\n")
    assert not (tmp_path / "ran").exists()


def test_every_setting_is_in_the_sample(shell: Shell) -> None:
    names = shell.run("printf '%s\\n' \"${!SETTING_DEFAULT[@]}\"", "settings").stdout.split()
    sample = (DEVSTACK / "local.conf.sample").read_text()
    assert names and all(f"\n#{name}=" in sample for name in names)


def test_a_random_password_stays_the_same_and_is_private(shell: Shell, tmp_path: Path) -> None:
    first = shell.run("password ADMIN_PASSWORD", "passwords").stdout
    assert first == shell.run("password ADMIN_PASSWORD", "passwords").stdout
    assert first != shell.run("password DEMO_PASSWORD", "passwords").stdout
    assert len(first.strip()) == 30
    assert (tmp_path / "data" / "passwords").stat().st_mode & 0o777 == 0o600


def test_credentials_survive_odd_passwords(shell: Shell, tmp_path: Path) -> None:
    odd = 'it\'s "odd" $HOME `id` \\ #%:é'
    (tmp_path / "passwords").write_text(f"ADMIN_PASSWORD={odd}\nDEMO_PASSWORD=plain-enough\n")
    script = [str(DEVSTACK / "credentials.py"), str(tmp_path), "http://127.0.0.1:8774", str(tmp_path / "passwords")]
    assert shell.execute(["/usr/bin/python3", *script]).returncode == 0
    for name in ("openrc", "openrc-demo", "clouds.yaml"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert shell.run(f'. {tmp_path}/openrc; printf %s "$OS_PASSWORD"').stdout == odd
    clouds = yaml.safe_load((tmp_path / "clouds.yaml").read_text())["clouds"]
    assert clouds["nova-lite"]["auth"]["password"] == odd
    assert clouds["nova-lite-demo"]["auth"]["auth_url"] == "http://127.0.0.1:8774/identity/v3"
