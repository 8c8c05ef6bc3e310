"""The generated IONOS Cloud DNS SDK: makes, reads, changes and removes what local zones have.

It decodes a body only under the success code its operation lists, and rejects what its types do not know.
"""
import uuid

import ionoscloud_dns as dns

from daemon import TOKEN, URL, same, served

configuration = dns.Configuration(host=URL, token=TOKEN)
configuration.wait_time = 1
client = dns.ApiClient(configuration)
zones, records, reverse = dns.ZonesApi(client), dns.RecordsApi(client), dns.ReverseRecordsApi(client)
files, quota = dns.ZoneFilesApi(client), dns.QuotaApi(client)


def refused(code, call, *arguments):
    try:
        call(*arguments)
    except dns.ApiException as error:
        assert error.status == code, (error.status, error.body)
        return
    raise AssertionError("%s was not refused" % call)


zone = zones.zones_post(dns.ZoneCreate(properties=dns.Zone(zone_name="sdk.example", description="first")))
assert zone.metadata.state.value == "AVAILABLE" and zone.metadata.nameservers, zone
assert [z.id for z in zones.zones_get(filter_zone_name="sdk.example", limit=10).items] == [zone.id]
refused(409, zones.zones_post, dns.ZoneCreate(properties=dns.Zone(zone_name="SDK.example")))
own = str(uuid.uuid4())
assert zones.zones_put(own, dns.ZoneEnsure(properties=dns.Zone(zone_name="put.example"))).id == own

kinds = dns.RecordType
made = {}
for name, kind, content, priority in [
    ("www", kinds.A, "192.0.2.1", 0),
    ("www", kinds.AAAA, "2001:db8::1", 0),
    ("", kinds.MX, "mail.sdk.example", 10),
    ("alias", kinds.CNAME, "www.sdk.example", 0),
    ("", kinds.TXT, "v=spf1 -all", 0),
    ("_sip._tcp", kinds.SRV, "5 5060 sip.sdk.example", 20),
    ("", kinds.CAA, '0 issue "ca.example.net"', 0),
    ("_443._tcp.www", kinds.TLSA, "3 1 1 " + "ab" * 32, 0),
]:
    wanted = dns.Record(name=name, type=kind, content=content, ttl=300, priority=priority)
    record = records.zones_records_post(zone.id, dns.RecordCreate(properties=wanted))
    got = record.properties
    assert (got.name, got.content, got.ttl, got.priority) == (name, content, 300, priority), got
    made[record.id] = record
assert set(made) <= {r.id for r in records.zones_records_get(zone.id).items}
first = next(iter(made))
same(served("www.sdk.example", "A"), ["192.0.2.1"])
same(served("_sip._tcp.sdk.example", "SRV"), ["20 5 5060 sip.sdk.example."])
assert [r.id for r in records.records_get(filter_zone_id=zone.id, filter_name="www", filter_type=kinds.A).items] == [first]
changed = dns.Record(name="www", type=kinds.A, content="192.0.2.2", ttl=600)
assert records.zones_records_put(zone.id, first, dns.RecordEnsure(properties=changed)).properties.content == "192.0.2.2"
refused(400, records.zones_records_post, zone.id, dns.RecordCreate(properties=dns.Record(name="x", type=kinds.A, content="1.2.3")))
text = "$TTL 300\n@ IN SOA ns1.example.net. h.sdk.example. 1 7200 900 1209600 300\nwww IN A 192.0.2.3\n"
assert {r.properties.content for r in files.zones_zonefile_put(zone.id, text).items} >= {"192.0.2.3"}
assert records.zones_records_delete(zone.id, records.records_get(filter_name="www").items[0].id) == {}

wanted = dns.ReverseRecord(name="mail.sdk.example", ip="192.0.2.25", description="mx")
ptr = reverse.reverserecords_post(dns.ReverseRecordCreate(properties=wanted))
assert ptr.properties.to_dict() == {"name": "mail.sdk.example", "description": "mx", "ip": "192.0.2.25"}, ptr
assert [r.id for r in reverse.reverserecords_get(filter_record_ip=["192.0.2.25"]).items] == [ptr.id]
same(served("25.2.0.192.in-addr.arpa", "PTR"), ["mail.sdk.example."])
assert quota.quota_get().quota_usage.reverse_records == 1
assert reverse.reverserecords_delete(ptr.id) == {}
keys = dns.DNSSECApi(client)
refused(404, keys.zones_keys_get, zone.id)
refused(404, keys.zones_keys_delete, zone.id)
wrong = dns.Configuration(host=URL, token="wrong")
refused(401, dns.ZonesApi(dns.ApiClient(wrong)).zones_get)
for gone in (zone.id, own):
    assert zones.zones_delete(gone) == {}
    refused(404, zones.zones_find_by_id, gone)
