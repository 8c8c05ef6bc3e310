"""A controller that keeps a zone equal to a list of endpoints, with ownership texts beside them.

It reads all pages, compares contents as strings with what it sent, leaves priority out where it is 0, deletes by id what
the filters name, and must never hit a neighbour.
"""
from daemon import call, same, served

zone = call("POST", "/zones", {"properties": {"zoneName": "sync.example"}}, 202).json()["id"]
records = "/zones/%s/records" % zone
OWNER = '"heritage=external-dns,external-dns/owner=default,external-dns/resource=ingress/default/%s"'


def everything():
    """All records of all zones, page by page."""
    found, offset = [], 0
    while True:
        page = call("GET", "/records?limit=40&offset=%d" % offset).json()
        found += page["items"]
        if "next" not in page["_links"]:
            same(len(found), page["totalCount"])
            same(len({item["id"] for item in found}), len(found), "records on two pages")
            return found
        offset += page["limit"]


def create(name, rtype, content, **more):
    body = {"properties": {"name": name, "type": rtype, "content": content, "ttl": 3600, "enabled": True, **more}}
    return call("POST", records, body, 202).json()


for number in range(45):
    create("app%d" % number, "A", "192.0.2.%d" % (number + 1))
    create("a-app%d" % number, "TXT", OWNER % ("app%d" % number))
create("mail", "MX", "mx.sync.example")
create("mail2", "MX", "mx.sync.example", priority=10)
create("_sip._tcp", "SRV", "5 5060 sip.sync.example", priority=20)
create("alias", "CNAME", "app1.sync.example")
before = everything()
mine = {(item["properties"]["name"], item["properties"]["type"]): item for item in before if item["properties"]["type"] != "NS"}
same(len(mine), 94)
for number in range(45):
    same(mine["a-app%d" % number, "TXT"]["properties"]["content"], OWNER % ("app%d" % number), "the text as it was sent")
same(mine["mail", "MX"]["properties"]["priority"], 0)
same((mine["_sip._tcp", "SRV"]["properties"]["content"], mine["_sip._tcp", "SRV"]["properties"]["priority"]), ("5 5060 sip.sync.example", 20))
same(served("mail.sync.example", "MX"), ["0 mx.sync.example."])
same(served("a-app7.sync.example", "TXT"), [OWNER % "app7"])

# The name filter names one owner: app1, not app10..19 and not a-app1.
found = call("GET", "/records?filter.zoneId=%s&filter.name=app1&filter.type=A" % zone).json()["items"]
same([item["properties"]["name"] for item in found], ["app1"])
for item in found:
    call("DELETE", "%s/%s" % (records, item["id"]), code=202)
same(served("app1.sync.example", "A"), "NXDOMAIN")
same(served("app10.sync.example", "A"), ["192.0.2.11"])

# An endpoint with another target: the record is replaced and keeps its id.
old = mine["app2", "A"]
body = {"properties": {"name": "app2", "type": "A", "content": "198.51.100.2", "ttl": 60}}
same(call("PUT", "%s/%s" % (records, old["id"]), body, 202).json()["id"], old["id"])
same(served("app2.sync.example", "A"), ["198.51.100.2"])
# Made twice: 409, and nothing is doubled.
body = {"properties": {"name": "app3", "type": "A", "content": "192.0.2.4", "ttl": 3600}}
same(call("POST", records, body, 409).json()["messages"][0]["errorCode"], "dns-record-exists")
same(len(everything()), len(before) - 1, "records in all")
