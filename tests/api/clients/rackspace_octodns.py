"""octodns-rackspace, with its login pointed at the daemon: what is planned is made, and a second run plans nothing."""
import octodns_rackspace
import requests
from octodns.record import Record
from octodns.zone import Zone

from daemon import TOKEN, URL, USER, same, served

made = requests.post(
    URL + "/v1.0/1000/domains",
    headers={"X-Auth-Token": TOKEN},
    json={"domains": [{"name": "octo.example", "emailAddress": "a@b.example"}]},
    timeout=30,
)
same(made.status_code, 202, made.text)
login = octodns_rackspace.post
octodns_rackspace.post = lambda url, **more: login(
    url.replace("https://identity.api.rackspacecloud.com", URL), **more
)
octo = octodns_rackspace.RackspaceProvider("rackspace", USER, TOKEN)


def sync(records):
    """Brings the zone to these records; how many changes that took."""
    desired = Zone("octo.example.", [])
    for name, data in records:
        desired.add_record(Record.new(desired, name, data), lenient=True)
    plan = octo.plan(desired)
    return octo.apply(plan) if plan else 0


texts = {"type": "TXT", "ttl": 300, "values": ["v=DKIM1\\; k=rsa", "two words"]}
mail = {"type": "MX", "ttl": 300, "values": [{"preference": 10, "exchange": "mail.example.org."}]}
first = [("www", {"type": "A", "ttl": 300, "values": ["192.0.2.1", "192.0.2.2"]}), ("t", texts), ("", mail)]
first.append(("alias", {"type": "CNAME", "ttl": 300, "value": "www.octo.example."}))
same((sync(first), sync(first)), (4, 0))
same(served("www.octo.example", "A"), ["192.0.2.1", "192.0.2.2"])
second = [("www", {"type": "A", "ttl": 600, "values": ["192.0.2.2", "192.0.2.3"]}), ("t", texts)]
second.append(("alias", {"type": "CNAME", "ttl": 300, "value": "mail.octo.example."}))
same((sync(second), sync(second)), (3, 0))
many = second + [("n%d" % n, {"type": "A", "ttl": 300, "value": "192.0.2.1"}) for n in range(95)]
same((sync(many), sync(many)), (95, 0))
same(served("n94.octo.example", "A"), ["192.0.2.1"])
