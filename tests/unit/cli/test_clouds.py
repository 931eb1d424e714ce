"""Which cloud is meant: options, clouds.yaml, environment, in that order of weight."""

from __future__ import annotations

from pathlib import Path

import pytest

from nova_lite.cli import clouds
from nova_lite.cli.faults import CommandError

ENVIRON = {
    "OS_AUTH_URL": "http://here:8774/identity/v3/",
    "OS_USERNAME": "demo",
    "OS_PASSWORD": "s3cret",
    "OS_PROJECT_NAME": "demo",
    "OS_REGION_NAME": "RegionOne",
}
FILE = """
clouds:
  one:
    auth:
      auth_url: http://one/identity/v3
      username: alice
      password: "123456"
      project_id: 77
    region_name: North
    interface: internal
    verify: false
  two:
    auth_type: v3token
    auth: {auth_url: "https://two/v3", token: tok}
    cacert: /etc/ca.pem
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "clouds.yaml"
    path.write_text(FILE)
    return path


def test_the_environment_of_an_openrc() -> None:
    cloud = clouds.resolve({}, ENVIRON, paths=[])
    assert cloud == clouds.Cloud(
        auth_url="http://here:8774/identity/v3",
        username="demo",
        password="s3cret",
        project_name="demo",
        user_domain_id="default",
        project_domain_id="default",
        region_name="RegionOne",
    )


def test_options_go_before_the_environment() -> None:
    cloud = clouds.resolve({"project_name": "other", "user_domain_name": "Corp"}, ENVIRON, paths=[])
    assert (cloud.project_name, cloud.user_domain_name, cloud.user_domain_id) == ("other", "Corp", None)


def test_old_variables_are_known() -> None:
    environ = {**ENVIRON, "OS_TENANT_NAME": "old", "OS_ENDPOINT_TYPE": "internalURL"}
    del environ["OS_PROJECT_NAME"]
    cloud = clouds.resolve({}, environ, paths=[])
    assert (cloud.project_name, cloud.interface) == ("old", "internal")


def test_a_named_cloud_takes_nothing_of_the_environment(file: Path) -> None:
    cloud = clouds.resolve({}, {**ENVIRON, "OS_CLOUD": "two"}, name="one", paths=[file])
    assert (cloud.auth_url, cloud.username, cloud.password) == ("http://one/identity/v3", "alice", "123456")
    assert (cloud.project_id, cloud.project_name, cloud.region_name) == ("77", None, "North")
    assert (cloud.interface, cloud.verify) == ("internal", False)
    assert clouds.resolve({"username": "bob"}, ENVIRON, name="one", paths=[file]).username == "bob"


def test_a_token_and_a_ca(file: Path) -> None:
    cloud = clouds.resolve({}, {"OS_CLOUD": "two"}, paths=[file])
    assert (cloud.token, cloud.password, cloud.verify) == ("tok", None, "/etc/ca.pem")
    assert clouds.resolve({}, {"OS_CLOUD": "two"}, insecure=True, paths=[file]).verify is False


def test_secrets_may_lie_in_a_file_beside(file: Path) -> None:
    file.with_name("secure.yaml").write_text("clouds: {one: {auth: {password: better}}, ghost: {}}")
    assert clouds.resolve({}, {}, name="one", paths=[file]).password == "better"
    with pytest.raises(CommandError, match="no cloud called ghost"):
        clouds.resolve({}, {}, name="ghost", paths=[file])


def test_the_only_cloud_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "clouds.yaml"
    path.write_text("clouds: {solo: {auth: {auth_url: 'http://s/v3', username: u, password: p}}}")
    assert clouds.resolve({}, {}, paths=[tmp_path / "absent.yaml", path]).auth_url == "http://s/v3"


def test_nothing_set_names_what_to_do(file: Path) -> None:
    with pytest.raises(CommandError, match=r"OS_AUTH_URL.*source /etc/nova-lite/openrc.*one \(.*two \("):
        clouds.resolve({}, {}, paths=[file])
    with pytest.raises(CommandError, match=r"source /etc/nova-lite/openrc.*looked for .*nothing.yaml"):
        clouds.resolve({}, {}, paths=[Path("nothing.yaml")])
    with pytest.raises(CommandError, match=r"no cloud called three; there are: one \("):
        clouds.resolve({}, {}, name="three", paths=[file])


@pytest.mark.parametrize("missing", ["OS_USERNAME", "OS_PASSWORD"])
def test_what_is_missing_is_named(missing: str) -> None:
    environ = {name: value for name, value in ENVIRON.items() if name != missing}
    with pytest.raises(CommandError, match=f"^{missing} is not set: `source /etc/nova-lite/openrc`"):
        clouds.resolve({}, environ, paths=[])


def test_what_is_wrong_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="must begin with http"):
        clouds.resolve({}, {**ENVIRON, "OS_AUTH_URL": "here:8774"}, paths=[])
    with pytest.raises(CommandError, match="v3totp"):
        clouds.resolve({}, {**ENVIRON, "OS_AUTH_TYPE": "v3totp"}, paths=[])
    path = tmp_path / "clouds.yaml"
    path.write_text("clouds: {a: [")
    with pytest.raises(CommandError, match="is not YAML"):
        clouds.resolve({}, {}, name="a", paths=[path])
    path.write_text("- just a list")
    with pytest.raises(CommandError, match="no cloud called a"):
        clouds.resolve({}, {}, name="a", paths=[path])


def test_the_standard_places_are_searched_in_order() -> None:
    places = [str(path) for path in clouds.search_paths({"HOME": "/home/u", "OS_CLIENT_CONFIG_FILE": "/x/c.yaml"})]
    yaml = [place for place in places if place.endswith("yaml")]
    assert yaml == [
        "/x/c.yaml",
        "clouds.yaml",
        "/home/u/.config/openstack/clouds.yaml",
        "/etc/openstack/clouds.yaml",
        "/etc/nova-lite/clouds.yaml",
    ]


def test_a_cloud_never_shows_its_secrets() -> None:
    assert "s3cret" not in repr(clouds.resolve({}, ENVIRON, paths=[]))
