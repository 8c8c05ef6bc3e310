"""Secondary zones with the generated SDK, and a poller that watches primaries which refuse, stall and cut off.

The poller is what an operator would write: GET axfr with the last ETag and `Prefer: wait`, until every primary has a
verdict. The newest serial stands at the primary that cuts its transfer off, so the daemon has to try it and fall back.
"""
import uuid

import ionoscloud_dns as dns

from daemon import TOKEN, URL, call, same, served
from primaries import Primary, Silent, closed

configuration = dns.Configuration(host=URL, token=TOKEN)
configuration.wait_time = 1
client = dns.ApiClient(configuration)
zones, records = dns.SecondaryZonesApi(client), dns.RecordsApi(client)


def poll(zone, done):
    """The transfer status once `done` holds; never asks again before something has changed."""
    tag, seen = None, []
    for _ in range(200):
        fields = {"If_None_Match": tag, "Prefer": "wait=20"} if tag else {}
        response = call("GET", "/secondaryzones/%s/axfr" % zone, code=202, **fields)
        assert response.headers["ETag"] != tag, "the same tag twice, with a body"
        tag, status = response.headers["ETag"], response.json()
        same(status["generation"], int(tag[2:-1]), "generation and tag")
        seen.append([(item["status"], item.get("errorCode")) for item in status["items"]])
        for item in status["items"]:
            assert item["status"] in ("PENDING", "IN_PROGRESS", "OK", "LAGGING", "ERROR"), item
            assert bool(item.get("errorMessage")) == (item["status"] in ("ERROR", "LAGGING")), item
        if done(status):
            # Nothing moves now: the tag is still known.
            call("GET", "/secondaryzones/%s/axfr" % zone, code=304, If_None_Match=tag)
            return status
    raise AssertionError(seen[-5:])


def settled(status):
    return all(item["status"] not in ("PENDING", "IN_PROGRESS") for item in status["items"]) and status["state"] == "AVAILABLE"


name = "poller.example"
good, cut, refused, stalled = Primary(name, 7), Primary(name, 9, "cut"), Primary(name, 9, "refused"), Silent()
addresses = [closed(), stalled.address, cut.address, refused.address, good.address]
wanted = dns.SecondaryZone(zone_name=name, description="five primaries", primary_ips=addresses)
zone = zones.secondaryzones_post(dns.SecondaryZoneCreate(properties=wanted))
same((zone.type, zone.metadata.state.value), ("zone", "PROVISIONING"))
same(zone.properties.primary_ips, addresses)
status = poll(zone.id, settled)
same([item["primaryIp"] for item in status["items"]], addresses, "order of the primaries")
codes = [item.get("errorCode") for item in status["items"]]
same(codes[0], "CONNECT_REFUSED")
assert codes[1] in ("IDLE_TIMEOUT", "TOTAL_TIMEOUT", "CONNECT_TIMEOUT"), codes
same(codes[2:4], ["TRUNCATED_STREAM", "RCODE_REFUSED"])
same((status["items"][4]["status"], status["servedSerial"], status["activePrimary"]), ("OK", 7, good.address))
sentences = [item.get("errorMessage", "") for item in status["items"]]
for sentence, start in zip(sentences, [
    "Connection with primary nameserver could not be established",
    "Primary nameserver did not answer in time",
    "Connection was closed before the transfer was complete",
    "Primary nameserver refused the transfer",
    "",
]):
    assert sentence.startswith(start), sentences
# The SDK reads the same, and skips the members it does not know.
read = zones.secondaryzones_axfr_get(zone.id)
same([item.status for item in read.items], [item["status"] for item in status["items"]])

same(served("h3." + name, "A"), ["192.0.2.4"])
listed = records.secondaryzones_records_get(zone.id, limit=1000)
same(sum(1 for item in listed.items if item.properties.type.value == "A"), 20, "transferred addresses")
same(listed.metadata.primary_ips, addresses)

# The bad one gets well: a forced transfer takes its newer serial.
cut.transfer = "whole"
same(zones.secondaryzones_axfr_put(zone.id), {})
before = zones.secondaryzones_axfr_get(zone.id)
assert any(item.status in ("PENDING", "IN_PROGRESS") for item in before.items) or cut.transfers > 1, before
status = poll(zone.id, lambda status: settled(status) and status["servedSerial"] == 9)
same(status["items"][2]["status"], "OK")
same(status["items"][4]["status"], "LAGGING")

# Other primaries replace the list as a whole; what was transferred stays served meanwhile.
changed = dns.SecondaryZone(zone_name=name, primary_ips=[cut.address])
changed = zones.secondaryzones_put(zone.id, dns.SecondaryZoneEnsure(properties=changed))
same((changed.properties.primary_ips, changed.properties.description or ""), ([cut.address], ""))
same(served("h3." + name, "A"), ["192.0.2.4"])
poll(zone.id, settled)
same([z.id for z in zones.secondaryzones_get(filter_zone_name=name, limit=1).items], [zone.id])

own = str(uuid.uuid4())
made = dns.SecondaryZoneEnsure(properties=dns.SecondaryZone(zone_name="put." + name, primary_ips=[good.address]))
same(zones.secondaryzones_put(own, made).id, own)
for gone in (zone.id, own):
    same(zones.secondaryzones_delete(gone), {})
    for ask in (zones.secondaryzones_find_by_id, zones.secondaryzones_axfr_get, zones.secondaryzones_delete):
        try:
            ask(gone)
        except dns.ApiException as error:
            same(error.status, 404)
        else:
            raise AssertionError("%s found what was deleted" % ask)
same(served("h3." + name, "A"), "REFUSED")
