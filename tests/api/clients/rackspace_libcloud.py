"""apache-libcloud's Rackspace DNS driver: zones, records and PTRs, logged in with a token and with user and API key."""
from libcloud.common.types import InvalidCredsError, LibcloudError
from libcloud.compute.base import Node
from libcloud.dns.providers import get_driver
from libcloud.dns.types import Provider, RecordDoesNotExistError, RecordType, ZoneDoesNotExistError

from daemon import TOKEN, URL, USER, same, served

ACCOUNT = "1000"
driver = get_driver(Provider.RACKSPACE)
by_user = driver(USER, TOKEN, ex_force_auth_url=URL)
by_token = driver(USER, TOKEN, ex_force_auth_token=TOKEN, ex_force_base_url="%s/v1.0/%s" % (URL, ACCOUNT))
for dns in (by_user, by_token):
    dns.connection.poll_interval = 0.05


def refused(error, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except error:
        return
    raise AssertionError("%s was not refused" % call)


same(by_user.list_zones(), [])
refused(InvalidCredsError, driver(USER, "wrong", ex_force_auth_url=URL).list_zones)

name = "libcloud.example"
zone = by_token.create_zone(name, ttl=900, extra={"email": "ops@" + name, "comment": "first"})
same((zone.domain, zone.ttl, zone.extra["email"], zone.extra["comment"]), (name, 900, "ops@" + name, "first"))
same([z.id for z in by_user.list_zones()], [zone.id])
refused(LibcloudError, by_token.create_zone, name, extra={"email": "ops@" + name})
refused(ZoneDoesNotExistError, by_token.get_zone, "999999999")
by_token.update_zone(zone, ttl=1200, extra={"email": "new@" + name, "comment": "second"})
zone = by_token.get_zone(zone.id)
same((zone.ttl, zone.extra["email"], zone.extra["comment"]), (1200, "new@" + name, "second"))

made = {}
for kind, label, data, extra in [
    (RecordType.A, "www", "192.0.2.8", {"ttl": 600}),
    (RecordType.AAAA, "www", "2001:db8::8", {}),
    (RecordType.CNAME, "alias", "www." + name, {}),
    (RecordType.MX, None, "mail." + name, {"priority": 5}),
    (RecordType.TXT, "txt", "some text; with = signs", {}),
    (RecordType.SRV, "_sip._tcp", "1 3443 sip." + name, {"priority": 30}),
]:
    record = by_token.create_record(label, zone, kind, data, extra)
    same((record.name, record.data, record.ttl), (label, data, extra.get("ttl", 1200)), kind)
    assert record.id.startswith("%s-" % kind), record.id
    made[kind] = record
same(served("www." + name, "A"), ["192.0.2.8"])
same(served(name, "MX"), ["5 mail.%s." % name])
listed = by_token.list_records(zone)
assert {record.id for record in made.values()} <= {record.id for record in listed}
assert all(record.type != RecordType.SOA for record in listed)
www = made[RecordType.A]
same(by_token.get_record(zone.id, www.id).data, "192.0.2.8")
refused(LibcloudError, by_token.create_record, "www", zone, RecordType.A, "192.0.2.8", {})
refused(LibcloudError, by_token.create_record, "www", zone, RecordType.CNAME, "x.example.net", {})
refused(Exception, by_token.create_record, "bad", zone, RecordType.A, "192.0.2.256", {})
refused(RecordDoesNotExistError, by_token.get_record, zone.id, "A-1")
by_token.update_record(www, data="192.0.2.88", extra={"ttl": 700, "comment": "hello"})
www = by_token.get_record(zone.id, www.id)
same((www.data, www.ttl, www.extra["comment"]), ("192.0.2.88", 700, "hello"))
same(served("www." + name, "A"), ["192.0.2.88"])
by_token.delete_record(www)
refused(RecordDoesNotExistError, by_token.get_record, zone.id, www.id)
same(served("www." + name, "A"), [])

# More records than a page of 100 holds.
records = [{"name": "n%d.%s" % (n, name), "type": "A", "data": "192.0.2.%d" % (n % 200 + 1)} for n in range(120)]
by_user.connection.set_context({"resource": "zone", "id": zone.id})
for part in (records[:60], records[60:]):
    by_user.connection.async_request(action="/domains/%s/records" % zone.id, method="POST", data={"records": part})
ids = [record.id for record in by_user.iterate_records(by_user.get_zone(zone.id)) if (record.name or "").startswith("n")]
same((len(ids), len(set(ids))), (120, 120))

# PTRs hang on a server of another service.
extra = {"uri": "https://servers.example/v2/%s/servers/1" % ACCOUNT, "service_name": "cloudServersOpenStack"}
node = Node("1", "node", None, [], [], None, extra=extra)
same(list(by_token.ex_iterate_ptr_records(node)), [])
ptr = by_token.ex_create_ptr_record(node, "203.0.113.7", "host." + name, {"ttl": 600})
same((ptr.ip, ptr.domain, ptr.id[:4]), ("203.0.113.7", "host." + name, "PTR-"))
same(served("7.113.0.203.in-addr.arpa", "PTR"), ["host.%s." % name])
same([p.ip for p in by_token.ex_iterate_ptr_records(node)], ["203.0.113.7"])
same(by_token.ex_update_ptr_record(ptr, "renamed." + name).domain, "renamed." + name)
by_token.ex_delete_ptr_record(ptr)
same(list(by_token.ex_iterate_ptr_records(node)), [])

by_token.delete_zone(zone)
refused(ZoneDoesNotExistError, by_token.get_zone, zone.id)
same(served(name, "SOA"), "REFUSED")
