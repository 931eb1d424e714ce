"""Real guests of each kind through the real libvirtd: every action, each twice, and cut off half-way."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

libvirt = pytest.importorskip("libvirt")
pycdlib = pytest.importorskip("pycdlib")

sys.path.insert(0, str(Path(__file__).parent))

from driver_fixtures import (  # noqa: E402, F401
    KINDS,
    NEEDS_LIBVIRT,
    ROOT,
    bridge,
    driver,
    images,
    make_driver,
    make_spec,
    says,
    state,
    until,
)

from nova_lite.compute.transitions import PowerState  # noqa: E402
from nova_lite.virt.driver import (  # noqa: E402
    CONTAINER,
    UNIKERNEL,
    VM,
    DriverError,
    GuestNotFound,
    LocalImage,
)
from nova_lite.virt.libvirt.driver import LibvirtDriver  # noqa: E402

pytestmark = NEEDS_LIBVIRT


@pytest.mark.parametrize("kind", KINDS)
def test_a_guest_lives_through_every_action_twice(kind: str, driver: LibvirtDriver, make_spec) -> None:
    spec = make_spec(kind)
    ident = spec.server_id
    for _ in range(2):
        driver.spawn(spec)
        assert driver.power(ident) == PowerState.RUNNING
    assert [(g.server_id, g.power, g.kind) for g in driver.observe() if g.server_id == ident] == [
        (ident, PowerState.RUNNING, kind)
    ]
    until(lambda: len(says(driver, spec)) > 0)
    used = driver.stats(ident)
    assert used.cpu_time_ns > 0
    assert used.uptime_s > 0
    assert list(used.nics) == [spec.nics[0].device]
    for _ in range(2):
        driver.pause(ident)
        assert driver.power(ident) == PowerState.PAUSED
    for _ in range(2):
        driver.unpause(ident)
        assert driver.power(ident) == PowerState.RUNNING
    for _ in range(2):
        driver.suspend(ident)
        assert driver.power(ident) == (PowerState.PAUSED if kind == CONTAINER else PowerState.SHUTDOWN)
    for _ in range(2):
        driver.resume(spec)
        assert driver.power(ident) == PowerState.RUNNING
    assert driver.recover(spec) == PowerState.RUNNING
    for _ in range(2):
        driver.stop(ident, 0.5)
        assert driver.power(ident) == PowerState.SHUTDOWN
    assert len(says(driver, spec)) > 0
    with pytest.raises(GuestNotFound):
        driver.stats(ident)
    for _ in range(2):
        driver.start(spec)
        assert driver.power(ident) == PowerState.RUNNING
    driver.reboot(spec, hard=True, grace_s=0)
    driver.reboot(spec, hard=False, grace_s=0.3)
    assert driver.power(ident) == PowerState.RUNNING
    for _ in range(2):
        driver.destroy(ident)
    with pytest.raises(GuestNotFound):
        driver.power(ident)
    with pytest.raises(GuestNotFound):
        driver.console(ident, 10)
    assert ident not in [guest.server_id for guest in driver.observe()]
    assert driver.recover(spec) == PowerState.NOSTATE


def test_the_unikernel_answers_on_its_network(driver: LibvirtDriver, make_spec) -> None:
    spec = make_spec(UNIKERNEL)
    driver.spawn(spec)
    until(lambda: b"10.9.8.7" in says(driver, spec))
    assert driver.stats(spec.server_id).memory_mb > 0


def test_a_vm_shuts_down_when_it_is_asked(driver: LibvirtDriver, make_spec) -> None:
    spec = make_spec(VM)
    driver.spawn(spec)
    until(lambda: b"login" in says(driver, spec))
    start = time.monotonic()
    driver.stop(spec.server_id, 120)
    assert time.monotonic() - start < 100, "it was killed after its grace"
    assert driver.power(spec.server_id) == PowerState.SHUTDOWN


def test_a_suspended_guest_goes_on_where_it_was(driver: LibvirtDriver, make_spec) -> None:
    spec = make_spec(UNIKERNEL)
    driver.spawn(spec)
    until(lambda: b"10.9.8.7" in says(driver, spec))
    before = says(driver, spec)
    driver.suspend(spec.server_id)
    driver.resume(spec)
    time.sleep(0.5)
    assert says(driver, spec).count(b"10.9.8.7") == before.count(b"10.9.8.7"), "it booted instead"
    driver.suspend(spec.server_id)
    driver.reboot(spec, hard=True, grace_s=0)
    until(lambda: says(driver, spec).count(b"10.9.8.7") > before.count(b"10.9.8.7"))


def run_in_container(driver: LibvirtDriver, make_spec, command: str, **changes: object) -> bytes:
    """Run a command as a container's process 1 and return what it printed, once it has ended."""
    spec = make_spec(CONTAINER, image=make_spec.container_image(command + "; echo =end=; sleep 1000"), **changes)
    driver.spawn(spec)
    until(lambda: b"=end=" in says(driver, spec))
    output = says(driver, spec)
    driver.destroy(spec.server_id)
    return output


def test_a_container_is_confined(driver: LibvirtDriver, make_spec) -> None:
    output = run_in_container(
        driver,
        make_spec,
        "cat /proc/self/uid_map; cat /proc/self/status; unshare -U id; unshare -m id; mknod /tmp/d b 254 0; "
        "mount -t tmpfs none /tmp; cat /proc/kcore; echo $GREETING; "
        # The agent sets it when the container has been started.
        "until [ $(cat /proc/sys/user/max_user_namespaces) = 0 ]; do sleep 0.1; done; echo max=0",
    ).decode()
    assert "1000000      65536" in output
    assert "Seccomp:\t2" in output
    bounding = int(output.split("CapBnd:\t")[1].split()[0], 16)
    sys_admin, sys_module, mknod, sys_rawio, net_admin = 21, 16, 27, 17, 12
    assert not any(bounding >> bit & 1 for bit in (sys_admin, sys_module, mknod, sys_rawio, net_admin))
    assert "uid=" not in output
    assert output.count("ermitted") >= 3
    assert "max=0" in output
    assert "<&>" in output


def test_a_fork_bomb_stays_inside(driver: LibvirtDriver, make_spec) -> None:
    bomb = 'sh -c "while :; do sleep 100 & done"; exec sleep 1000'
    spec = make_spec(CONTAINER, image=make_spec.container_image(bomb), memory_mb=1024)
    driver.spawn(spec)
    group = Path(f"/sys/fs/cgroup/pids/nova-lite/nl-{spec.server_id}")
    if not group.exists():
        pytest.skip("cannot run on this machine: cgroup v1's pids controller is not here")
    until(lambda: b"can't fork" in says(driver, spec))
    assert 500 < int((group / "pids.current").read_text()) <= 1024
    driver.destroy(spec.server_id)
    assert not group.exists()


def test_a_container_can_write_no_more_than_its_disk(driver: LibvirtDriver, make_spec, state: Path) -> None:
    output = run_in_container(driver, make_spec, "dd if=/dev/zero of=/big bs=1048576 count=1500; ls -l /big").decode()
    assert "No space left" in output


def test_what_a_container_wrote_is_there_after_a_restart(driver: LibvirtDriver, make_spec) -> None:
    spec = make_spec(CONTAINER, image=make_spec.container_image("cat /kept; echo again > /kept; sleep 1000"))
    driver.spawn(spec)
    until(lambda: b"No such file" in says(driver, spec))
    driver.reboot(spec, hard=True, grace_s=0)
    until(lambda: b"again" in says(driver, spec))


def test_a_container_that_ends_by_itself_is_shut_down_and_its_words_are_kept(driver, make_spec) -> None:
    spec = make_spec(CONTAINER, image=make_spec.container_image("echo just this; sleep 0.3"))
    driver.spawn(spec)
    until(lambda: driver.power(spec.server_id) == PowerState.SHUTDOWN)
    until(lambda: b"just this" in says(driver, spec))


def test_a_container_with_a_longer_name_than_the_kernel_takes(driver: LibvirtDriver, make_spec) -> None:
    name = "web." + "sub." * 20 + "example.org"
    output = run_in_container(driver, make_spec, "hostname; cat /etc/hostname /etc/hosts", hostname=name).decode()
    lines = output.replace("\r", "").splitlines()
    assert lines[:2] == ["web", "web"]
    assert any(line.split()[1:] == [name, "web"] for line in lines)


def test_a_link_in_a_container_leads_nowhere_outside(driver: LibvirtDriver, make_spec, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    spec = make_spec(CONTAINER)
    etc = spec.image.rootfs / "etc"
    etc.rmdir()
    etc.symlink_to(tmp_path)
    (spec.image.rootfs / "bin/evil").symlink_to(victim)
    with contextlib.suppress(DriverError):
        driver.spawn(spec)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["victim"]
    assert victim.read_text() == "untouched"


def test_a_container_has_its_address_route_and_limits(driver: LibvirtDriver, make_spec) -> None:
    output = run_in_container(
        driver,
        make_spec,
        "echo name=$(hostname); until ip address | grep -q 'mtu 1400'; do sleep 0.1; done; ip address; ip route; cat /proc/meminfo; cat /etc/hosts /etc/resolv.conf; "
        "ls /sys/fs/cgroup /sys/firmware; echo cgroups end",
    ).decode()
    assert "name=testhost" in output
    assert "inet 10.9.8.7/24" in output
    assert "eth0" in output
    assert "mtu 1400" in output
    assert "default via 10.9.8.1" in output
    assert "10.9.8.7 testhost" in output
    assert "nameserver 10.9.8.2" in output
    assert "memory" not in output.split("nameserver")[1], "the host's cgroups are seen"
    assert int(output.split("MemTotal:")[1].split()[0]) <= 64 * 1024


def config_drive(path: Path) -> Path:
    """Make a config drive as the host layer does."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="config-2")
    text = b'{"hostname": "from-the-drive", "name": "n", "uuid": "u"}'
    iso.add_directory("/OPENSTACK", rr_name="openstack", joliet_path="/openstack")
    iso.add_directory("/OPENSTACK/LATEST", rr_name="latest", joliet_path="/openstack/latest")
    iso.add_fp(
        io.BytesIO(text),
        len(text),
        "/OPENSTACK/LATEST/META_DAT.JSO;1",
        rr_name="meta_data.json",
        joliet_path="/openstack/latest/meta_data.json",
    )
    iso.write(str(path))
    path.chmod(0o600)
    return path


def test_a_vm_boots_from_a_qcow2_disk_and_reads_its_config_drive(
    driver: LibvirtDriver, make_spec, images: Path, state: Path
) -> None:
    disk = images / "tiny/tiny-disk.qcow2"
    before = (disk.stat().st_uid, disk.stat().st_mtime_ns)
    size = json.loads(
        subprocess.run(
            ["qemu-img", "info", "-f", "qcow2", "--output=json", str(disk)], check=True, capture_output=True
        ).stdout
    )["virtual-size"]
    spec = make_spec(VM, image=LocalImage("disk", disk, "qcow2", size), config_drive=config_drive(state / "drive.iso"))
    driver.spawn(spec)
    until(lambda: b"tiny: from-the-drive up" in says(driver, spec))  # its prompt may have come before it knew its name
    assert set(driver.stats(spec.server_id).disks) == {"vda", "vdz"}
    driver.destroy(spec.server_id)
    assert (disk.stat().st_uid, disk.stat().st_mtime_ns) == before, "the cached image was touched"


def test_two_containers_have_ids_of_their_own(driver: LibvirtDriver, make_spec, state: Path) -> None:
    specs = [make_spec(CONTAINER) for _ in range(2)]
    for spec in specs:
        driver.spawn(spec)
        until(lambda spec=spec: b"testhost" in says(driver, spec))
    maps = set()
    for spec in specs:
        maps.add((state / "instances" / spec.server_id / "container.json").read_text().split('"uid_base": ')[1])
    assert len(maps) == 2


def test_a_containers_console_is_followed_by_the_next_agent(state: Path, driver, make_spec) -> None:
    image = make_spec.container_image("for i in $(seq 1000); do echo line $i; sleep 0.05; done")
    spec = make_spec(CONTAINER, image=image)
    script = textwrap.dedent(f"""
        import sys, pickle, time, nova_lite.conf
        from nova_lite.virt.libvirt.driver import LibvirtDriver
        d = LibvirtDriver(nova_lite.conf.load([], {{"state_path": {str(state)!r}, "libvirt.virt_type": "qemu"}}))
        spec = pickle.load(sys.stdin.buffer)
        d.spawn(spec)
        while b"line 3" not in d.console(spec.server_id, 1 << 16): time.sleep(0.05)
    """)
    subprocess.run([sys.executable, "-c", script], input=pickle.dumps(spec), check=True, cwd=ROOT)
    first = says(driver, spec)
    assert b"line 1\r\n" in first or b"line 1\n" in first
    assert driver.recover(spec) == PowerState.RUNNING
    until(lambda: len(says(driver, spec)) > len(first) + 100)
    numbers = [int(word) for word in says(driver, spec).rpartition(b"\n")[0].split() if word.isdigit()]
    assert numbers == list(range(1, len(numbers) + 1)), "lines were lost"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("delay", [0.02, 0.06, 0.12])
def test_an_agent_that_dies_in_spawn_leaves_what_the_next_one_can_finish_or_remove(
    kind: str, delay: float, state: Path, driver: LibvirtDriver, make_spec
) -> None:
    spec = make_spec(kind)
    script = textwrap.dedent(f"""
        import sys, pickle, nova_lite.conf
        from nova_lite.virt.libvirt.driver import LibvirtDriver
        d = LibvirtDriver(nova_lite.conf.load([], {{"state_path": {str(state)!r}, "libvirt.virt_type": "qemu"}}))
        spec = pickle.load(sys.stdin.buffer)
        d.capabilities()
        print("go", flush=True)
        d.spawn(spec)
    """)
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(pickle.dumps(spec))
    child.stdin.close()
    child.stdout.readline()
    time.sleep(delay)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    driver.spawn(spec)
    assert driver.power(spec.server_id) == PowerState.RUNNING
    driver.destroy(spec.server_id)
    assert not (state / "instances" / spec.server_id).exists()
    assert spec.server_id not in [guest.server_id for guest in driver.observe()]


def test_many_at_once_of_every_kind(driver: LibvirtDriver, make_spec, state: Path) -> None:
    specs = [make_spec(kind) for kind in KINDS for _ in range(4)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(driver.spawn, specs))
        ours = {spec.server_id for spec in specs}
        running = {g.server_id for g in driver.observe() if g.power == PowerState.RUNNING}
        assert ours <= running
        list(pool.map(driver.destroy, sorted(ours)))
    assert not ours & {guest.server_id for guest in driver.observe()}
    assert not [path for path in (state / "instances").iterdir() if path.is_dir()]
    assert not [ident for ident in ours if Path(f"/sys/fs/cgroup/pids/nova-lite/nl-{ident}").exists()]
    assert not [path for path in Path("/var/log/libvirt").glob("*/nl-*") if path.stem.removeprefix("nl-") in ours]


def test_guests_that_are_not_ours_are_seen_and_left_alone(driver: LibvirtDriver) -> None:
    connection = libvirt.open("qemu:///system")
    ident = str(uuid.uuid4())
    domain = connection.defineXML(
        f"<domain type='qemu'><name>nlt-foreign-{ident[:8]}</name><uuid>{ident}</uuid><memory unit='MiB'>16</memory>"
        "<os><type arch='x86_64'>hvm</type></os></domain>"
    )
    try:
        assert (None, f"nlt-foreign-{ident[:8]}") in [(guest.server_id, guest.name) for guest in driver.observe()]
        with pytest.raises(DriverError, match="did not make"):
            driver.destroy(ident)
        assert domain.UUIDString() == ident
    finally:
        domain.undefine()


@pytest.mark.parametrize("bad", ["../../etc", "", ".", "A" * 36, "00000000-0000-0000-0000-00000000000G"])
def test_an_id_that_is_no_uuid_is_refused(bad: str, driver: LibvirtDriver) -> None:
    for action in (driver.destroy, driver.power, driver.pause, lambda ident: driver.console(ident, 10)):
        with pytest.raises(DriverError):
            action(bad)


def test_a_libvirt_that_is_away_is_an_error_and_not_an_empty_host(state: Path) -> None:
    gone = f"qemu+unix:///system?socket={state}/no-such-socket"
    driver = make_driver(state, **{"libvirt.qemu_uri": gone})
    with pytest.raises(DriverError):
        driver.observe()
    with pytest.raises(DriverError):
        driver.power(str(uuid.uuid4()))
    capabilities = driver.capabilities()
    assert capabilities.kinds == (CONTAINER,)
    assert VM in capabilities.missing


def test_what_this_host_can_do(driver: LibvirtDriver) -> None:
    found = driver.capabilities()
    assert found.kinds == KINDS
    assert found.hypervisor_version > 1_000_000
    host = driver.inventory()
    assert host.vcpus == os.cpu_count()
    assert 0 < host.disk_free_gb <= host.disk_gb


def test_the_accelerator_is_found_by_booting_and_remembered(state: Path) -> None:
    driver = make_driver(state, **{"libvirt.virt_type": "auto"})
    virt_type = driver.capabilities().virt_type
    remembered = state / "libvirt/accelerator.json"
    assert f'"{virt_type}"' in remembered.read_text()
    remembered.write_text(remembered.read_text().replace(f'"{virt_type}"', '"kvm"'))
    assert make_driver(state, **{"libvirt.virt_type": "auto"}).capabilities().virt_type == "kvm"


def test_a_spec_that_can_not_be_is_refused_with_a_sentence(driver: LibvirtDriver, make_spec) -> None:
    with pytest.raises(DriverError, match="isolation"):
        driver.spawn(make_spec(CONTAINER, isolation="vm"))
    with pytest.raises(DriverError, match="kind"):
        driver.spawn(replace(make_spec(UNIKERNEL), kind="toaster"))
    spec = make_spec(VM)
    big = replace(spec.image, virtual_size=2 << 30)
    with pytest.raises(DriverError, match="GiB"):
        driver.spawn(replace(spec, image=big))
