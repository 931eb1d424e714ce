"""openstacksdk's compute methods against a whole cloud, as its users call them."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import openstack
import pytest
from cli_cloud import PASSWORD, cloud
from openstack import exceptions


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with cloud(tmp_path_factory.mktemp("sdk")) as made:
        made.do("flavor", "create", "--id", "1", "--ram", "64", "--disk", "1", "m1.nano")
        made.do("flavor", "create", "--id", "2", "--ram", "128", "--disk", "1", "m1.micro")
        made.do("network", "create", "--share", "private")
        made.do("subnet", "create", "--network", "private", "--cidr", "10.9.0.0/24", "private-v4")
        made.do("image", "create", "--public", "--file", "-", "tiny", stdin=b"\0" * 100_000)
        found = openstack.connection.Connection(
            auth={
                "auth_url": f"http://127.0.0.1:{made.port}/identity/v3",
                "username": "admin",
                "password": PASSWORD,
                "project_name": "admin",
                "user_domain_id": "default",
                "project_domain_id": "default",
            },
            compute_default_microversion="2.96",
        )
        yield found
        found.close()


def until(compute: Any, server: Any, status: str) -> None:
    deadline = time.monotonic() + 60
    while (found := compute.get_server(server.id)).status != status or found.task_state:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@pytest.fixture
def compute(connection: Any) -> Any:
    return connection.compute


@pytest.fixture
def server(connection: Any) -> Iterator[Any]:
    compute = connection.compute
    made = compute.create_server(
        name="sdk",
        image_id=connection.image.find_image("tiny").id,
        flavor_id=compute.find_flavor("m1.nano").id,
        networks=[{"uuid": connection.network.find_network("private").id}],
        tags=["x"],
        metadata={"m": "1"},
        hostname="own",
        description="some",
    )
    yield compute.wait_for_server(made, interval=0.1)
    compute.delete_server(made, ignore_missing=True)
    compute.wait_for_delete(made, interval=0.1)


def test_a_server_has_what_it_was_made_with(compute: Any, server: Any) -> None:
    assert (server.hostname, server.description, server.tags, server.metadata) == ("own", "some", ["x"], {"m": "1"})
    assert (server.flavor.name, server.host_status, server.compute_host, server.server_groups) == (
        "m1.nano",
        "UP",
        "host-1",
        [],
    )
    assert [item.id for item in compute.servers(name="^sdk$", tags="x", limit=1)] == [server.id]
    assert [item.name for item in compute.servers(details=False)] == ["sdk"]
    assert compute.find_server("sdk").id == server.id
    changed = compute.update_server(server, name="renamed", description=None)
    assert (changed.name, changed.description) == ("renamed", None)
    assert compute.get_server_password(server) == ""
    compute.clear_server_password(server)


def test_every_action(connection: Any, compute: Any, server: Any) -> None:
    image = connection.image.find_image("tiny").id
    acts: list[tuple[Callable[[], Any], str]] = [
        (lambda: compute.reset_server_state(server, "error"), "ERROR"),
        (lambda: compute.reset_server_state(server, "active"), "ACTIVE"),
        (lambda: compute.reboot_server(server, "SOFT"), "ACTIVE"),
        (lambda: compute.rebuild_server(server, image=image, name="again", user_data=None, hostname="other"), "ACTIVE"),
        (lambda: compute.resize_server(server, "2"), "VERIFY_RESIZE"),
        (lambda: compute.confirm_server_resize(server), "ACTIVE"),
        (lambda: compute.resize_server(server, "1"), "VERIFY_RESIZE"),
        (lambda: compute.revert_server_resize(server), "ACTIVE"),
        (lambda: compute.pause_server(server), "PAUSED"),
        (lambda: compute.unpause_server(server), "ACTIVE"),
        (lambda: compute.suspend_server(server), "SUSPENDED"),
        (lambda: compute.resume_server(server), "ACTIVE"),
        (lambda: compute.lock_server(server, locked_reason="why"), "ACTIVE"),
        (lambda: compute.unlock_server(server), "ACTIVE"),
        (lambda: compute.rescue_server(server, admin_pass="abc", image_ref=image), "RESCUE"),
        (lambda: compute.unrescue_server(server), "ACTIVE"),
        (lambda: compute.stop_server(server), "SHUTOFF"),
        (lambda: compute.start_server(server), "ACTIVE"),
        (lambda: compute.shelve_server(server), "SHELVED_OFFLOADED"),
        (lambda: compute.unshelve_server(server, availability_zone="nova"), "ACTIVE"),
        (lambda: compute.trigger_server_crash_dump(server), "ACTIVE"),
        (lambda: compute.backup_server(server, "backup", "daily", 1), "ACTIVE"),
    ]
    for act, status in acts:
        act()
        until(compute, server, status)
    assert compute.create_server_image(server, "snap", metadata={"q": "w"}, wait=True, timeout=180).status == "active"
    names = [action.action for action in compute.server_actions(server)]
    assert names[0] == "createImage"
    assert names[-1] == "create"
    request = next(iter(compute.server_actions(server))).request_id
    assert compute.get_server_action(request, server).events
    assert {row.status for row in compute.migrations(instance_uuid=server.id)} == {"confirmed", "reverted"}
    assert list(compute.server_migrations(server)) == []
    with pytest.raises(exceptions.NotFoundException):
        compute.get_server_migration(1, server)
    with pytest.raises(exceptions.ConflictException):
        compute.force_complete_server_migration(1, server)


def test_metadata_tags_interfaces_and_what_is_measured(compute: Any, server: Any) -> None:
    compute.add_tag_to_server(server, "t")
    assert sorted(server.fetch_tags(compute).tags) == ["t", "x"]
    compute.remove_tag_from_server(server, "t")
    compute.remove_tags_from_server(server)
    assert server.fetch_tags(compute).tags == []
    assert compute.set_server_metadata(server, a="b").metadata["a"] == "b"
    compute.delete_server_metadata(server, ["a"])
    assert compute.fetch_server_metadata(server).metadata == {"m": "1"}
    (nic,) = compute.server_interfaces(server)
    assert compute.get_server_interface(nic.port_id, server).fixed_ips == nic.fixed_ips
    (address,) = compute.server_ips(server, network_label="private")
    assert address.address == nic.fixed_ips[0]["ip_address"]
    assert compute.get_server_diagnostics(server).num_cpus == 1
    assert "started" in compute.get_server_console_output(server)["output"]
    assert list(compute.volume_attachments(server)) == []
    (event,) = compute.create_server_external_events([{"name": "network-changed", "server_uuid": server.id}])
    assert event.code == 200


def test_flavors_and_keypairs(connection: Any, compute: Any) -> None:
    project = connection.identity.find_project("demo").id
    flavor = compute.create_flavor(name="own", ram=64, vcpus=1, disk=1, is_public=False)
    assert compute.update_flavor(flavor, description="new").description == "new"
    compute.flavor_add_tenant_access(flavor, project)
    assert [row["tenant_id"] for row in compute.get_flavor_access(flavor)] == [project]
    compute.flavor_remove_tenant_access(flavor, project)
    compute.create_flavor_extra_specs(flavor, {"a": "b"})
    assert compute.update_flavor_extra_specs_property(flavor, "a", "c") == "c"
    assert compute.fetch_flavor_extra_specs(flavor).extra_specs == {"a": "c"}
    compute.delete_flavor_extra_specs_property(flavor, "a")
    pages = [item.name for item in compute.flavors(is_public=None, sort_key="name", limit=1)]
    assert pages == sorted(pages) == ["m1.micro", "m1.nano", "own"]
    compute.delete_flavor(flavor)
    public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMHNv2y9JOZiEvpuMCG4PLNZpuLC5fjaO//wBImTLDxB a"
    for name in ("a", "b", "c"):
        compute.create_keypair(name=name, public_key=public)
    assert [key.name for key in compute.keypairs(limit=1)] == ["a", "b", "c"]
    assert compute.get_keypair("a", user_id=connection.current_user_id).public_key == public
    for name in ("a", "b", "c"):
        compute.delete_keypair(name)


def test_groups_aggregates_and_hosts(connection: Any, compute: Any) -> None:
    made = [compute.create_server_group(name=f"g{number}", policy="affinity") for number in range(3)]
    assert [group.name for group in compute.server_groups(all_projects=True, limit=1)] == ["g0", "g1", "g2"]
    assert compute.find_server_group("g1").id == made[1].id
    for group in made:
        compute.delete_server_group(group)
    aggregate = compute.create_aggregate(name="racks", availability_zone="east")
    assert compute.add_host_to_aggregate(aggregate, "host-1").hosts == ["host-1"]
    assert compute.set_aggregate_metadata(aggregate, {"x": "y"}).metadata["x"] == "y"
    assert compute.update_aggregate(aggregate, name="rows").name == "rows"
    compute.aggregate_precache_images(aggregate, [connection.image.find_image("tiny").id])
    with pytest.raises(exceptions.BadRequestException):
        compute.aggregate_precache_images(aggregate, ["11111111-1111-4111-8111-111111111111"])
    assert {zone.name for zone in compute.availability_zones(details=True)} == {"east", "internal"}
    compute.remove_host_from_aggregate(aggregate, "host-1")
    compute.delete_aggregate(aggregate)
    (host,) = compute.hypervisors(details=True, with_servers=True)
    assert compute.get_hypervisor(host).name == compute.find_hypervisor("host-1").name == "host-1"
    service = compute.find_service("nova-compute")
    assert compute.disable_service(service, "host-1", "nova-compute", "why").disabled_reason == "why"
    assert compute.enable_service(service, "host-1", "nova-compute").status == "enabled"
    assert compute.update_service_forced_down(service, "host-1", "nova-compute", True).is_forced_down
    assert not compute.update_service_forced_down(service, "host-1", "nova-compute", False).is_forced_down


def test_quotas_and_usage(connection: Any, compute: Any, server: Any) -> None:
    project = connection.identity.find_project("demo").id
    assert compute.get_limits().absolute.total_instances_used == 1
    assert compute.update_quota_set(project, instances=3).instances == 3
    assert compute.get_quota_set(project, usage=True).usage["instances"] == 0
    compute.revert_quota_set(project)
    assert compute.get_quota_set(project).instances == compute.get_quota_set_defaults(project).instances
    assert compute.update_quota_class_set("default", instances=11).instances == 11
    assert compute.get_quota_class_set("default").instances == 11
    compute.update_quota_class_set("default", instances=10)
    (usage,) = compute.usages()
    assert usage.project_id == connection.current_project_id
    assert server.id in {item["instance_id"] for item in compute.get_usage(usage.project_id).server_usages}
    assert compute.get_usage(project).total_hours == 0


def test_a_project_is_cleared(connection: Any) -> None:
    """``openstack project cleanup`` does this; it asks for providers of VPNs before it touches a network."""
    project = connection.identity.create_project(name="left")
    connection.grant_role("admin", user=connection.current_user_id, project=project.id)
    own = connection.connect_as_project(project)
    network = own.network.create_network(name="left")
    subnet = own.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.9.0.0/24")
    router = own.network.create_router(name="left")
    own.network.add_interface_to_router(router, subnet_id=subnet.id)
    image = own.image.find_image("tiny").id
    made = own.compute.create_server(
        name="left",
        image_id=image,
        flavor_id="1",
        networks=[{"uuid": network.id}],
        security_groups=[{"name": "default"}],
    )
    own.compute.wait_for_server(made, interval=0.2, wait=180)
    seen: queue.Queue[Any] = queue.Queue()
    own.project_cleanup(dry_run=True, wait_timeout=180, status_queue=seen, filters={"created_at": "2200-01-01"})
    assert {each.id for each in seen.queue} >= {made.id, network.id, router.id}
    own.project_cleanup(dry_run=False, wait_timeout=180)
    assert list(own.compute.servers()) == []
    assert [each.id for each in own.network.networks(project_id=project.id)] == []
    assert list(own.network.routers(project_id=project.id)) == []
    connection.identity.delete_project(project)
