"""A client that is a shell script at heart: it reads compact JSON with regular expressions and compares texts.

Members out of their order, a blank between tokens, a success code other than 202 or a record with one member more would
lose it. So works the DNS hook of a widespread ACME client.
"""
import re

import requests

from daemon import TOKEN, URL, call, same, served

HEX = "[a-fA-F0-9-]*"
DATE = "[A-Z0-9:.-]*"


def rest(method, route, body=None):
    headers = {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"}
    response = requests.request(method, URL + route, data=body, headers=headers, timeout=30)
    return response.status_code, response.text.replace("\n", "")


def zone_of(host):
    """The zone behind the first label: the first id after `items`."""
    code, text = rest("GET", "/zones?filter.zoneName=" + host.split(".", 1)[1])
    same(code, 200)
    items = re.search('"items":.*', text)
    found = items and re.search('"id":"%s"' % HEX, items.group())
    return found and found.group().split(":")[1].strip('"')


def add(host, value):
    zone = zone_of(host)
    body = '{"properties":{"name":"%s", "type":"TXT", "content":"%s"}}' % (host.split(".")[0], value)
    same(rest("POST", "/zones/%s/records" % zone, body)[0], 202, "code of POST")


def find(host, value):
    zone, host = zone_of(host), host.lower()
    code, text = rest("GET", "/zones/%s/records" % zone)
    same(code, 200)
    pattern = (
        r'\{"id":"%s","type":"record","href":"/zones/%s/records/%s","metadata":\{"createdDate":"%s",'
        r'"lastModifiedDate":"%s","fqdn":"%s","state":"AVAILABLE","zoneId":"%s"\},"properties":\{"content":"%s",'
        r'"enabled":true,"name":"%s","priority":[0-9]*,"ttl":[0-9]*,"type":"TXT"\}\}'
    ) % (HEX, zone, HEX, DATE, DATE, host, zone, value, host.split(".")[0])
    found = re.search(pattern, text)
    return zone, found and re.search('"id":"(%s)"' % HEX, found.group()).group(1)


def remove(host, value):
    zone, record = find(host, value)
    assert record, "the record is not found"
    code, text = rest("DELETE", "/zones/%s/records/%s" % (zone, record))
    same((code, text), (202, "{}"), "reply of DELETE")


# The zone asked for comes first, though others hold its name within theirs.
for name in ("a-shell.example", "shell.example", "z.shell.example"):
    call("POST", "/zones", {"properties": {"zoneName": name}}, 202)
host = "_acme-challenge.Shell.example"
same(rest("GET", "/zones/" + zone_of(host))[1].count('"zoneName":"shell.example"'), 1)
for value in ("1st_value-of-43-characters-012345678901234", "2nd_value-of-43-characters-012345678901234"):
    add(host, value)
same(len(served(host, "TXT")), 2)
remove(host, "1st_value-of-43-characters-012345678901234")
same(served(host, "TXT"), ['"2nd_value-of-43-characters-012345678901234"'])
same(find(host, "1st_value-of-43-characters-012345678901234")[1], None)
remove(host, "2nd_value-of-43-characters-012345678901234")
same(served(host, "TXT"), "NXDOMAIN")
same(zone_of("_acme-challenge.absent.example"), None)
