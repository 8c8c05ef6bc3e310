"""apache-libcloud, lexicon and octodns-rackspace, with their URLs pointed at the daemon.

Arguments: the URL of the API, a token, a user and its API key.
"""
import sys

import octodns_rackspace
import requests
from lexicon._private.providers import rackspace as lexicon
from lexicon.config import ConfigResolver
from libcloud.common.types import LibcloudError
from libcloud.dns.providers import get_driver
from libcloud.dns.types import Provider, RecordDoesNotExistError, RecordType
from octodns.record import Record
from octodns.zone import Zone

URL, TOKEN, USER, KEY = sys.argv[1:]
BASE = URL + "/v1.0/1000"


def fails(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error:
        return
    raise AssertionError("no %s" % error.__name__)


# -- libcloud -------------------------------------------------------------------------------------
driver = get_driver(Provider.RACKSPACE)(USER, KEY, ex_force_auth_url=URL)
driver.connection.poll_interval = 0.05
zone = driver.create_zone("libcloud.example", ttl=900, extra={"email": "ops@libcloud.example", "comment": "c"})
assert (zone.domain, zone.ttl, zone.extra["email"]) == ("libcloud.example", 900, "ops@libcloud.example")
fails(LibcloudError, driver.create_zone, "libcloud.example", extra={"email": "ops@libcloud.example"})
record = driver.create_record("www", zone, RecordType.A, "192.0.2.8", {"ttl": 600})
assert (record.name, record.data, record.ttl) == ("www", "192.0.2.8", 600)
fails(LibcloudError, driver.create_record, "www", zone, RecordType.A, "192.0.2.8", {})
driver.update_record(record, data="192.0.2.9")
assert driver.get_record(zone.id, record.id).data == "192.0.2.9"
for number in range(0, 150, 75):
    names = ["n%d.libcloud.example" % n for n in range(number, number + 75)]
    records = [{"name": name, "type": "A", "data": "192.0.2.1"} for name in names]
    driver.connection.async_request("/domains/%s/records" % zone.id, method="POST", data={"records": records})
assert len({record.id for record in driver.iterate_records(zone)}) == 153
assert driver.delete_record(record)
fails(RecordDoesNotExistError, driver.get_record, zone.id, record.id)
assert driver.delete_zone(zone)

# -- lexicon --------------------------------------------------------------------------------------
made = requests.post(
    BASE + "/domains",
    headers={"X-Auth-Token": TOKEN},
    json={"domains": [{"name": name, "emailAddress": "a@b.example"} for name in ("lexicon.example", "octo.example")]},
)
assert made.status_code == 202, made.text
options = {"auth_username": USER, "auth_api_key": KEY, "sleep_time": "0"}
options = {"provider_name": "rackspace", "action": "list", "type": "TXT", "rackspace": options}
provider = lexicon.Provider(ConfigResolver().with_dict(dict(options, domain="lexicon.example")))
provider.domain = "lexicon.example"
provider.api_endpoint, provider.auth_api_endpoint = URL + "/v1.0", URL + "/v2.0"
provider.authenticate()
for _ in range(2):
    assert provider.create_record("TXT", "_acme-challenge", "token") is True
assert [found["content"] for found in provider.list_records("TXT", "_acme-challenge")] == ["token"]
assert provider.update_record(None, "TXT", "_acme-challenge", "other") is True
assert provider.delete_record(None, "TXT", "_acme-challenge", "other") is True
assert provider.list_records("TXT", "_acme-challenge") == []

# -- octodns --------------------------------------------------------------------------------------
login = octodns_rackspace.post
octodns_rackspace.post = lambda url, **more: login(
    url.replace("https://identity.api.rackspacecloud.com", URL), **more
)
octo = octodns_rackspace.RackspaceProvider("rackspace", USER, KEY)


def sync(records):
    desired = Zone("octo.example.", [])
    for name, data in records:
        desired.add_record(Record.new(desired, name, data), lenient=True)
    plan = octo.plan(desired)
    return octo.apply(plan) if plan else 0


texts = {"type": "TXT", "ttl": 300, "values": ["v=DKIM1\\; k=rsa", "two words"]}
mail = {"type": "MX", "ttl": 300, "values": [{"preference": 10, "exchange": "mail.example.org."}]}
first = [("www", {"type": "A", "ttl": 300, "values": ["192.0.2.1", "192.0.2.2"]}), ("t", texts), ("", mail)]
first.append(("alias", {"type": "CNAME", "ttl": 300, "value": "www.octo.example."}))
assert sync(first) == 4 and sync(first) == 0
second = [("www", {"type": "A", "ttl": 600, "values": ["192.0.2.2", "192.0.2.3"]}), ("t", texts)]
second.append(("alias", {"type": "CNAME", "ttl": 300, "value": "mail.octo.example."}))
assert sync(second) == 3 and sync(second) == 0
many = second + [("n%d" % n, {"type": "A", "ttl": 300, "value": "192.0.2.1"}) for n in range(95)]
assert sync(many) == 95 and sync(many) == 0
