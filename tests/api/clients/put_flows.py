"""Declarative tools: everything is made by PUT under an id of their own, read back until AVAILABLE, changed by PUT,
removed, and then 404. A plan that is applied twice changes nothing the second time."""
import uuid

from daemon import call, same, served
from primaries import Primary


def settle(path):
    """What such tools wait for after each step; managed objects are there at once."""
    shown = call("GET", path).json()
    same(shown["metadata"]["state"], "AVAILABLE", path)
    return shown


def serial(zone):
    return int(served(zone, "SOA")[0].split()[2])


def new():
    return str(uuid.uuid4())


# zone
zone = "/zones/" + new()
call("GET", zone, code=404)
body = {"properties": {"zoneName": "plan.example", "description": "planned"}}
made = call("PUT", zone, body, 202).json()
same((made["id"], made["href"]), (zone.split("/")[2], zone))
same(settle(zone)["properties"], {"zoneName": "plan.example", "description": "planned", "enabled": True})
before = serial("plan.example")
call("PUT", zone, body, 202)
same(serial("plan.example"), before, "the serial after a PUT that changes nothing")
call("PUT", zone, {"properties": {"zoneName": "plan.example"}}, 202)
same(settle(zone)["properties"]["description"], "", "a left-out description")
call("PUT", zone, {"properties": {"zoneName": "other.example"}}, 400)
call("PUT", "/zones/" + new(), body, 409)

# records
record = zone + "/records/" + new()
call("GET", record, code=404)
body = {"properties": {"name": "www", "type": "A", "content": "192.0.2.1", "ttl": 300, "enabled": True}}
same(call("PUT", record, body, 202).json()["id"], record.split("/")[4])
same(settle(record)["properties"], {"content": "192.0.2.1", "enabled": True, "name": "www", "priority": 0, "ttl": 300, "type": "A"})
same(served("www.plan.example", "A"), ["192.0.2.1"])
before = serial("plan.example")
call("PUT", record, body, 202)
same(serial("plan.example"), before, "the serial after a record that is the same")
body["properties"].update(name="ftp", type="AAAA", content="2001:DB8:0:0::1")
call("PUT", record, body, 202)
same(settle(record)["properties"]["content"], "2001:db8::1")
same((served("www.plan.example", "A"), served("ftp.plan.example", "AAAA")), ("NXDOMAIN", ["2001:db8::1"]))
call("PUT", zone + "/records/" + new(), body, 409)
call("PUT", "/zones/%s/records/%s" % (new(), new()), body, 404)
other = "/zones/" + call("POST", "/zones", {"properties": {"zoneName": "second.example"}}, 202).json()["id"]
call("PUT", other + "/records/" + record.split("/")[4], body, 409)
same(call("DELETE", record, code=202).text, "{}")
call("GET", record, code=404)
call("DELETE", record, code=404)

# reverse record
ptr = "/reverserecords/" + new()
body = {"properties": {"name": "host.plan.example", "ip": "192.0.2.77", "description": "planned"}}
same(call("PUT", ptr, body).json()["id"], ptr.split("/")[2])
same(call("GET", ptr).json()["properties"], body["properties"])
body["properties"]["ip"] = "2001:db8::77"
call("PUT", ptr, body)
same(call("GET", ptr).json()["properties"]["ip"], "2001:db8::77")
same(served("77.2.0.192.in-addr.arpa", "PTR"), "NXDOMAIN", "the old address")
same(call("DELETE", ptr, code=202).text, "{}")
call("GET", ptr, code=404)

# secondary zone
primary = Primary("copy.example", 3)
copy = "/secondaryzones/" + new()
body = {"properties": {"zoneName": "copy.example", "primaryIps": [primary.address]}}
same(call("PUT", copy, body, 202).json()["id"], copy.split("/")[2])
tag = None
for _ in range(50):
    fields = {"If_None_Match": tag, "Prefer": "wait=20"} if tag else {}
    status = call("GET", copy + "/axfr", code=202, **fields)
    tag = status.headers["ETag"]
    if status.json()["state"] == "AVAILABLE":
        break
settle(copy)
generation = call("GET", copy + "/axfr", code=202).json()["lastRefresh"]
call("PUT", copy, body, 202)
same(call("GET", copy + "/axfr", code=202).json()["lastRefresh"], generation, "a PUT that changes nothing transfers nothing")
body["properties"]["description"] = "changed"
call("PUT", copy, body, 202)
same(settle(copy)["properties"]["description"], "changed")
call("PUT", zone.replace("/zones/", "/secondaryzones/"), {"properties": {"zoneName": "x.example", "primaryIps": [primary.address]}}, 409)
for path in (copy, other, zone):
    same(call("DELETE", path, code=202).text, "{}")
    call("GET", path, code=404)
    call("DELETE", path, code=404)
