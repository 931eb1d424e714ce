"""One example of each command, shown below its help. Each is read by the command's own parser in a test."""

from __future__ import annotations

_EXAMPLES = """
address group create: address group create --address 192.0.2.0/24 --address 198.51.100.7 office
address group delete: address group delete office
address group list: address group list
address group set: address group set --address 203.0.113.0/24 office
address group show: address group show office
address group unset: address group unset --address 198.51.100.7/32 office
aggregate add host: aggregate add host rack-1 host-7
aggregate cache image: aggregate cache image rack-1 tiny busybox
aggregate create: aggregate create --zone east --property ssd=true rack-1
aggregate delete: aggregate delete rack-1
aggregate list: aggregate list
aggregate remove host: aggregate remove host rack-1 host-7
aggregate set: aggregate set --zone west rack-1
aggregate show: aggregate show rack-1
aggregate unset: aggregate unset --property ssd rack-1
availability zone list: availability zone list
catalog list: catalog list
compute service delete: compute service delete host-7
compute service list: compute service list --service nova-compute
compute service set: compute service set --disable --disable-reason 'new memory' host-7
domain list: domain list
extension list: extension list -f value -c Alias
flavor access list: flavor access list own.small
flavor create: flavor create --ram 512 --disk 1 --vcpus 1 --property nova_lite:live=true m1.live
flavor delete: flavor delete m1.live
flavor list: flavor list --all --long
flavor set: flavor set --project demo own.small
flavor show: flavor show m1.live
flavor unset: flavor unset --property nova_lite:live m1.live
floating ip create: floating ip create --port web-port public
floating ip delete: floating ip delete 203.0.113.17
floating ip list: floating ip list --status DOWN
floating ip set: floating ip set --port web-port 203.0.113.17
floating ip show: floating ip show 203.0.113.17
floating ip unset: floating ip unset --port 203.0.113.17
host list: host list
host show: host show host-7
hypervisor list: hypervisor list
hypervisor show: hypervisor show host-7
hypervisor stats show: hypervisor stats show
image create: image create --disk-format qcow2 --file disk.qcow2 my-disk
image delete: image delete my-disk
image list: image list --property os_distro=debian
image save: image save --file disk.qcow2 my-disk
image set: image set --property hw_qemu_guest_agent=yes my-disk
image show: image show my-disk
image unset: image unset --property hw_qemu_guest_agent my-disk
ip availability list: ip availability list
ip availability show: ip availability show private
keypair create: keypair create --private-key my-key.pem my-key
keypair delete: keypair delete my-key
keypair list: keypair list
keypair show: keypair show --public-key my-key
limits show: limits show
network agent list: network agent list --host host-7
network agent show: network agent show 6f1c2f0e-8c57-4f0e-9a1e-1f0c3b0a7b11
network auto allocated topology create: network auto allocated topology create
network auto allocated topology delete: network auto allocated topology delete
network qos policy create: network qos policy create --share slow
network qos policy delete: network qos policy delete slow
network qos policy list: network qos policy list
network qos policy set: network qos policy set --default slow
network qos policy show: network qos policy show slow
network qos rule create: network qos rule create --type bandwidth-limit --max-kbps 10000 --ingress slow
network qos rule delete: network qos rule delete slow 6f1c2f0e-8c57-4f0e-9a1e-1f0c3b0a7b11
network qos rule list: network qos rule list slow
network qos rule set: network qos rule set --max-kbps 20000 slow 6f1c2f0e-8c57-4f0e-9a1e-1f0c3b0a7b11
network qos rule show: network qos rule show slow 6f1c2f0e-8c57-4f0e-9a1e-1f0c3b0a7b11
network qos rule type list: network qos rule type list
network quota delete: network quota delete shop
network quota set: network quota set --ports 1000 --networks 20 shop
network quota show: network quota show shop
network rbac create: network rbac create --type network --target-project shop private
network rbac delete: network rbac delete 6f1c2f0e-8c57-4f0e-9a1e-1f0c3b0a7b11
network rbac list: network rbac list --type network
network rbac set: network rbac set --target-project shop 6f1c2f0e-8c57-4f0e-9a1e-1f0c3b0a7b11
network rbac show: network rbac show 6f1c2f0e-8c57-4f0e-9a1e-1f0c3b0a7b11
network set: network set --mtu 1400 --tag blue private
network unset: network unset --tag blue private
operation list: operation list web
port create: port create --network private --fixed-ip ip-address=10.1.0.9 --security-group web web-port
port delete: port delete web-port
port list: port list --server web
port set: port set --allowed-address ip-address=10.1.0.100 web-port
port show: port show web-port
port unset: port unset --allowed-address 10.1.0.100 web-port
project create: project create --description 'the shop' shop
project delete: project delete shop
project list: project list --long
project set: project set --disable shop
project show: project show shop
quota delete: quota delete shop
quota list: quota list
quota set: quota set --instances 50 --cores 100 --ram -1 shop
quota show: quota show shop
role add: role add --user ann --project shop member
role assignment list: role assignment list --project shop --names
role create: role create auditor
role delete: role delete auditor
role list: role list
role remove: role remove --user ann --project shop member
role set: role set --description 'looks, and touches nothing' auditor
role show: role show member
router add port: router add port edge web-port
router add route: router add route edge --route destination=192.168.0.0/24,gateway=10.1.0.9
router add subnet: router add subnet edge private-v4
router create: router create --external-gateway public edge
router delete: router delete edge
router list: router list --long
router remove port: router remove port edge web-port
router remove route: router remove route edge --route destination=192.168.0.0/24,gateway=10.1.0.9
router remove subnet: router remove subnet edge private-v4
router set: router set --external-gateway public --disable-snat edge
router show: router show edge
router unset: router unset --external-gateway edge
security group create: security group create --description 'HTTP from anywhere' web
security group delete: security group delete web
security group list: security group list
security group rule create: security group rule create --protocol tcp --dst-port 80:81 --remote-ip 0.0.0.0/0 web
security group rule delete: security group rule delete 6f1c2f0e-8c57-4f0e-9a1e-1f0c3b0a7b11
security group rule list: security group rule list --ingress web
security group rule show: security group rule show 6f1c2f0e-8c57-4f0e-9a1e-1f0c3b0a7b11
security group set: security group set --name http web
security group show: security group show web
server add fixed ip: server add fixed ip --fixed-ip-address 10.0.0.77 web private
server add floating ip: server add floating ip web 203.0.113.17
server add network: server add network web private
server add port: server add port web my-port
server add security group: server add security group web http
server backup create: server backup create --type daily --rotate 7 --name web-daily web
server create: server create --image tiny --flavor m1.nano --network private --wait web
server delete: server delete --wait web db
server dump create: server dump create web
server event list: server event list web
server event show: server event show web req-e7da4ff4-c9dc-4f3b-8d9a-fd0be2a0b2d5
server group create: server group create --policy anti-affinity --rule max_server_per_host=2 apart
server group delete: server group delete apart
server group list: server group list
server group show: server group show apart
server image create: server image create --name web-golden --wait web
server list: server list --status ERROR --sort created_at:desc
server lock: server lock --reason 'it counts the votes' web
server migration list: server migration list --server web
server password set: server password set web
server pause: server pause web
server reboot: server reboot --hard --wait web
server rebuild: server rebuild --image debian --wait web
server remove fixed ip: server remove fixed ip web 10.0.0.77
server remove floating ip: server remove floating ip web 203.0.113.17
server remove network: server remove network web private
server remove port: server remove port web my-port
server remove security group: server remove security group web http
server rename: server rename web www
server rescue: server rescue --image tiny --wait web
server resize: server resize --flavor m1.small --wait web
server resize confirm: server resize confirm web
server resize revert: server resize revert --wait web
server restore: server restore web
server resume: server resume web
server set: server set --property role=db --tag blue --description 'the shop' web
server shelve: server shelve --offload web
server show: server show --diagnostics web
server start: server start --wait web db
server stop: server stop --wait web db
server suspend: server suspend web
server unlock: server unlock web
server unpause: server unpause web
server unrescue: server unrescue --wait web
server unset: server unset --property role --tag blue web
server unshelve: server unshelve --availability-zone east --wait web
service list: service list
subnet pool create: subnet pool create --pool-prefix 10.64.0.0/10 --default-prefix-length 24 tenants
subnet pool delete: subnet pool delete tenants
subnet pool list: subnet pool list
subnet pool set: subnet pool set --default-quota 1024 tenants
subnet pool show: subnet pool show tenants
subnet pool unset: subnet pool unset --tag blue tenants
subnet set: subnet set --dns-nameserver 9.9.9.9 private-v4
subnet unset: subnet unset --dns-nameserver 9.9.9.9 private-v4
token issue: token issue -f value -c ID
usage list: usage list --start 2026-01-01 --end 2026-01-31
usage show: usage show
user create: user create --password-prompt --project shop ann
user delete: user delete ann
user list: user list --project shop
user password set: user password set
user set: user set --disable ann
user show: user show ann
versions show: versions show --service compute
"""

EXAMPLES = {
    name: f"nova-lite {words}" for name, _, words in (row.partition(": ") for row in _EXAMPLES.strip().splitlines())
}
"""By the command's name, as it is typed."""
