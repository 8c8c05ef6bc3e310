"""The reverse-zones dialect as its operators' scripts use it, and the same PTR seen by the other dialect and by DNS."""
from daemon import TOKEN, URL, call, same, served

import requests

BASE = "/api/v1/reverse-zones"


def refused(method, path, code, json=None):
    detail = call(method, path, json, code).json()["detail"]
    assert detail, (method, path)
    return detail


# Preview changes nothing.
shown = call("POST", BASE + "/preview", {"cidr": "192.0.2.64/26"}).json()
same(shown, {"zone_name": "64-26.2.0.192.in-addr.arpa", "start_ip": "192.0.2.64", "end_ip": "192.0.2.127", "ip_count": 64, "domain_type": "reverse_ipv4"})
same(call("POST", BASE + "/preview", {"cidr": "2001:db8::/32"}).json()["ip_count"], 2**96)
same(call("GET", BASE + "/").json()["total"], 0)
for cidr in ("192.0.2.0/20", "192.0.2.5/24", "192.0.2.0", "2001:db8::/33", "::ffff:192.0.2.0/120", "", "x/24"):
    refused("POST", BASE + "/preview", 400, {"cidr": cidr})
refused("POST", BASE + "/preview", 422, {})

zone = call("POST", BASE + "/", {"cidr": "192.0.2.0/24", "default_ttl": 7200, "description": "office"}, 201).json()
same((zone["name"], zone["status"], zone["domain_type"], zone["cidr"]), ("2.0.192.in-addr.arpa", "pending_validation", "reverse_ipv4", "192.0.2.0/24"))
same(call("GET", "/api/v1/domains/" + zone["id"]).json()["status"], "active")
refused("POST", BASE, 409, {"cidr": "192.0.2.0/24"})
ptrs = "%s/%s/ptr" % (BASE, zone["id"])

made = call("POST", ptrs, {"ip": "192.0.2.10", "hostname": "host-10.example.com", "ttl": 300}, 201).json()
same((made["ip"], made["hostname"], made["ttl"]), ("192.0.2.10", "host-10.example.com.", 300))
same(served("10.2.0.192.in-addr.arpa", "PTR"), ["host-10.example.com."])
conflict = refused("POST", ptrs, 409, {"ip": "192.0.2.10", "hostname": "other.example.com"})
same((conflict["field"], conflict["conflicts"]), ("ip", [made["id"]]))
refused("POST", ptrs, 400, {"ip": "198.51.100.1", "hostname": "out.example.com"})
refused("POST", ptrs, 400, {"ip": "192.0.2.11", "hostname": "192.0.2.11"})
wrong = refused("POST", ptrs, 422, {"ip": 5})
same(sorted(item["loc"][-1] for item in wrong), ["hostname", "ip"])

# Bulk is all or nothing, and names every culprit.
items = [{"ip": "192.0.2.%d" % n, "hostname": "bulk-%d.example.com" % n} for n in (20, 21, 10, 21)]
body = call("POST", ptrs + "/bulk", {"records": items}, 409).json()
same(([error["index"] for error in body["errors"]], [error["code"] for error in body["errors"]]), ([2, 3], ["exists", "duplicate"]))
same((body["total_created"], served("20.2.0.192.in-addr.arpa", "PTR")), (0, "NXDOMAIN"))
same(call("POST", ptrs + "/bulk", {"records": items[:2]}, 201).json()["total_created"], 2)
call("POST", ptrs + "/bulk", {"records": [{"ip": "192.0.2.1", "hostname": "a.example.com"}] * 1001}, 413)
refused("POST", ptrs + "/bulk", 422, {"records": []})

# One object in every dialect.
listed = call("GET", "/reverserecords?filter.recordIp=192.0.2.20").json()["items"]
same([item["properties"]["name"] for item in listed], ["bulk-20.example.com"])
call("DELETE", "/reverserecords/" + listed[0]["id"], code=202)
refused("GET", BASE + "/lookup/192.0.2.20", 404)
same(call("GET", BASE + "/lookup/192.0.2.21").json()["hostname"], "bulk-21.example.com.")
same([item["ip"] for item in call("GET", ptrs + "?search=bulk").json()["data"]], ["192.0.2.21"])

# IPv6, in any spelling, percent-encoded or not; an API key instead of a bearer.
zone6 = call("POST", BASE + "/", {"cidr": "2001:db8::/32"}, 201).json()
ptrs6 = "%s/%s/ptr" % (BASE, zone6["id"])
call("POST", ptrs6, {"ip": "2001:0DB8:0:0::5", "hostname": "five.example.com"}, 201)
key = {"X-API-Key": TOKEN}
for spelling in ("2001:db8::5", "2001%3Adb8%3A0%3A0%3A0%3A0%3A0%3A5"):
    response = requests.get("%s%s/lookup/%s" % (URL, BASE, spelling), headers=key, timeout=30)
    same((response.status_code, response.json().get("ip")), (200, "2001:db8::5"))
same(call("DELETE", ptrs6 + "/2001%3Adb8%3A%3A5", code=204).text, "")
refused("DELETE", ptrs6 + "/2001:db8::5", 404)
same(requests.get(URL + BASE, timeout=30).json(), {"detail": "Not authenticated"})

# Generic domains and records.
domain = call("POST", "/api/v1/domains", {"name": "forward.example", "domain_type": "primary"}, 201).json()
records = "/api/v1/domains/%s/records" % domain["id"]
mx = call("POST", records, {"name": "@", "type": "MX", "content": "10 mail.forward.example."}, 201).json()
same((mx["name"], mx["display_name"], mx["content"]), ("forward.example", "@", "10 mail.forward.example."))
same(call("PATCH", "%s/%s" % (records, mx["id"]), {"ttl": 60}).json()["ttl"], 60)
call("PATCH", "%s/%s" % (records, mx["id"]), {"name": "x"}, 422)
same(served("forward.example", "MX"), ["10 mail.forward.example."])
same(call("POST", records + "/bulk-delete", {"record_ids": [mx["id"]]}).json()["total_deleted"], 1)
refused("GET", "%s/%s/ptr" % (BASE, domain["id"]), 400)
assert "forward.example." in call("GET", "/api/v1/domains/%s/export" % domain["id"]).json()["zone_file"]
for made in (zone, zone6, domain):
    call("DELETE", "/api/v1/domains/" + made["id"], code=204)
    same(refused("GET", "/api/v1/domains/" + made["id"], 404), "Zone not found")
