"""Which cloud, and as whom: from options, a clouds.yaml or the environment (openrc).

A named cloud (``--os-cloud``, ``OS_CLOUD``) comes from clouds.yaml, and only options change what it says: variables
that an openrc left behind don't mix into it. Otherwise the ``OS_*`` variables count, and options before them.
Source: https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nova_lite.cli.faults import CommandError

OPENRC = "/etc/nova-lite/openrc"


@dataclass(frozen=True)
class Setting:
    """One thing to say of a cloud; ``--os-<name>`` and ``OS_<NAME>`` unless other variables are named too."""

    name: str
    text: str
    older: tuple[str, ...] = ()
    in_auth: bool = True

    @property
    def option(self) -> str:
        """Its option."""
        return "--os-" + self.name.replace("_", "-")

    @property
    def variables(self) -> tuple[str, ...]:
        """Its environment variables, the first that is set counts."""
        return ("OS_" + self.name.upper(), *self.older)


SETTINGS = (
    Setting("auth_url", "identity's address, http://HOST:8774/identity/v3"),
    Setting("auth_type", "password (the default) or token", in_auth=False),
    Setting("username", "the user's name", ("OS_USER_NAME",)),
    Setting("user_id", "the user's id, in place of name and domain"),
    Setting("password", "the password; other users may see options, so rather use OS_PASSWORD"),
    Setting("token", "a token, in place of user and password"),
    Setting("project_name", "the project's name", ("OS_TENANT_NAME",)),
    Setting("project_id", "the project's id", ("OS_TENANT_ID",)),
    Setting("user_domain_name", "the user's domain by name"),
    Setting("user_domain_id", "the user's domain by id (default: default)"),
    Setting("project_domain_name", "the project's domain by name"),
    Setting("project_domain_id", "the project's domain by id (default: default)"),
    Setting("region_name", "the region, where the catalog has several", in_auth=False),
    Setting("interface", "public (the default), internal or admin", ("OS_ENDPOINT_TYPE",), in_auth=False),
    Setting("cacert", "a file of CA certificates to trust", in_auth=False),
)


@dataclass(frozen=True)
class Cloud:
    """Everything that a session needs. ``verify`` is False, True or the path of a CA file."""

    auth_url: str
    username: str | None = None
    user_id: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    project_name: str | None = None
    project_id: str | None = None
    user_domain_name: str | None = None
    user_domain_id: str | None = None
    project_domain_name: str | None = None
    project_domain_id: str | None = None
    region_name: str | None = None
    interface: str = "public"
    verify: bool | str = True


def search_paths(environ: Mapping[str, str]) -> list[Path]:
    """List the places of clouds.yaml, the nearest first."""
    named = environ.get("OS_CLIENT_CONFIG_FILE")
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/") / ".config")
    folders = (Path(), home / "openstack", Path("/etc/openstack"), Path("/etc/nova-lite"))
    files = [folder / f"clouds.{suffix}" for folder in folders for suffix in ("yaml", "yml")]
    return [Path(named), *files] if named else files


def resolve(
    options: Mapping[str, str],
    environ: Mapping[str, str],
    *,
    name: str | None = None,
    insecure: bool = False,
    paths: Sequence[Path] | None = None,
) -> Cloud:
    """Find out which cloud is meant.

    :param options: what the command line says, by :data:`SETTINGS` name.
    :param name: the cloud of ``--os-cloud``.
    :raises CommandError: nothing says which, or something needed is missing; the message tells what to do.
    """
    places = search_paths(environ) if paths is None else list(paths)
    given = _from_environment(environ)
    wanted = name or environ.get("OS_CLOUD")
    if wanted:
        values = _named(wanted, places)
    elif "auth_url" in options or "auth_url" in given:
        values = dict(given)
    else:
        values = _only_one(places)
    values.update(options)
    return _checked(values, insecure)


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for setting in SETTINGS:
        for variable in setting.variables:
            if environ.get(variable):
                found[setting.name] = environ[variable]
                break
    return found


def _clouds_in(path: Path) -> dict[str, dict[str, Any]]:
    """Read one file, and the secure.yaml beside it. An absent or unreadable file has no clouds."""
    clouds = _read(path)
    for name, secret in _read(path.with_name("secure" + path.suffix)).items():
        if name in clouds:
            auth = {**(clouds[name].get("auth") or {}), **(secret.get("auth") or {})}
            clouds[name] = {**clouds[name], **secret, "auth": auth}
    return clouds


def _read(path: Path) -> dict[str, dict[str, Any]]:
    import yaml  # type: ignore[import-untyped]

    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError):
        return {}
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CommandError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    clouds = content.get("clouds") if isinstance(content, dict) else None
    if not isinstance(clouds, dict):
        return {}
    return {str(name): cloud for name, cloud in clouds.items() if isinstance(cloud, dict)}


def _named(name: str, places: Sequence[Path]) -> dict[str, Any]:
    known: list[str] = []
    for path in places:
        clouds = _clouds_in(path)
        if name in clouds:
            return _flat(clouds[name])
        known += [f"{other} ({path})" for other in clouds]
    there = f"there are: {', '.join(known)}" if known else f"no clouds.yaml can be read; {_looked(places)}"
    raise CommandError(f"There is no cloud called {name}; {there}.")


def _looked(places: Sequence[Path]) -> str:
    return "looked for " + ", ".join(str(path) for path in places if path.suffix == ".yaml")


def _only_one(places: Sequence[Path]) -> dict[str, Any]:
    found = {name: (path, cloud) for path in reversed(places) for name, cloud in _clouds_in(path).items()}
    if len(found) == 1:
        ((_, cloud),) = found.values()
        return _flat(cloud)
    advice = (
        "Which cloud? Nothing says so: set OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and OS_PROJECT_NAME "
        f"(`source {OPENRC}` does), or OS_CLOUD (--os-cloud) to a cloud of a clouds.yaml"
    )
    if found:
        raise CommandError(f"{advice}: {', '.join(f'{name} ({path})' for name, (path, _) in sorted(found.items()))}.")
    raise CommandError(f"{advice} ({_looked(places)}).")


def _flat(cloud: Mapping[str, Any]) -> dict[str, Any]:
    """Bring a cloud of clouds.yaml into the form of the settings."""
    auth = cloud.get("auth") if isinstance(cloud.get("auth"), dict) else {}
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        value = (auth or {}).get(setting.name) if setting.in_auth else None
        if value is None:
            value = cloud.get(setting.name)
        if value is not None and value != "":
            values[setting.name] = str(value)
    if "username" not in values and (auth or {}).get("user_name"):
        values["username"] = str((auth or {})["user_name"])
    if cloud.get("verify") is False or cloud.get("insecure") is True:
        values["verify"] = False
    return values


def _checked(values: Mapping[str, Any], insecure: bool) -> Cloud:
    kind = str(values.get("auth_type") or ("token" if values.get("token") else "password"))
    kind = kind.removeprefix("v3")
    if kind not in ("password", "token"):
        raise CommandError(f"The auth type {values['auth_type']} is not one of ours: password or token.")
    needed = ["auth_url", "token"] if kind == "token" else ["auth_url", "password"]
    missing = [f"OS_{name.upper()}" for name in needed if not values.get(name)]
    if kind == "password" and not (values.get("username") or values.get("user_id")):
        missing.insert(0, "OS_USERNAME")
    if missing:
        raise CommandError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set: `source {OPENRC}`, or set "
            f"{'it' if len(missing) == 1 else 'them'} (as an option: {', '.join(map(_as_option, missing))})."
        )
    if not str(values["auth_url"]).startswith(("http://", "https://")):
        raise CommandError(f"OS_AUTH_URL is {values['auth_url']!r}; it must begin with http:// or https://.")
    verify: bool | str = values.get("cacert") or True
    if insecure or values.get("verify") is False:
        verify = False
    names = ("project_name", "project_id", "region_name")
    domains = _domain(values, "user") | _domain(values, "project")
    who = ("token",) if kind == "token" else ("username", "user_id", "password")
    return Cloud(
        auth_url=str(values["auth_url"]).rstrip("/"),
        interface=str(values.get("interface") or "public").removesuffix("URL"),
        verify=verify,
        **{key: values.get(key) for key in (*names, *who)},
        **domains,
    )


def _as_option(variable: str) -> str:
    return "--" + variable.lower().replace("_", "-")


def _domain(values: Mapping[str, Any], whose: str) -> dict[str, Any]:
    """Return a domain by name or id; ``default`` where neither is said, as there is always that one."""
    named, known = values.get(f"{whose}_domain_name"), values.get(f"{whose}_domain_id")
    return {f"{whose}_domain_name": named, f"{whose}_domain_id": known or (None if named else "default")}
