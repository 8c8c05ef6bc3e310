"""dns-lexicon's Rackspace provider: create, list, update and delete, as its own suite does it."""
import requests
from lexicon._private.providers.rackspace import Provider
from lexicon.config import ConfigResolver

from daemon import TOKEN, URL, USER, same, served

ACCOUNT = "1000"
NAME = "lexicon.example"
LOGIN = {"X-Auth-Token": TOKEN}
BASE = "%s/v1.0/%s" % (URL, ACCOUNT)
made = requests.post(BASE + "/domains", headers=LOGIN, json={"domains": [{"name": NAME, "emailAddress": "ops@" + NAME}]}, timeout=30)
same(made.status_code, 202, made.text)


def provider(domain=NAME, **login):
    options = {"provider_name": "rackspace", "action": "list", "domain": domain, "type": "A", "ttl": 3600}
    made = Provider(ConfigResolver().with_dict({**options, "rackspace": {**login, "sleep_time": "0"}}))
    made.domain = domain
    made.api_endpoint, made.auth_api_endpoint = URL + "/v1.0", URL + "/v2.0"
    return made


def contents(kind, name):
    return sorted(record["content"] for record in dns.list_records(kind, name))


provider(auth_token=TOKEN, auth_account=ACCOUNT).authenticate()
for wrong in (provider("not-mine.example", auth_username=USER, auth_api_key=TOKEN), provider(auth_username=USER, auth_api_key="wrong")):
    try:
        wrong.authenticate()
    except Exception:
        continue
    raise AssertionError("a wrong login or domain was taken")
dns = provider(auth_username=USER, auth_api_key=TOKEN)
dns.authenticate()

same(dns.create_record("A", "localhost", "127.0.0.1"), True)
same(dns.create_record("CNAME", "docs", "docs.example.com"), True)
for name in ("_acme-challenge.test", "_acme-challenge.full." + NAME, "_acme-challenge.fqdn." + NAME + "."):
    same(dns.create_record("TXT", name, "token"), True, name)
same(served("_acme-challenge.full." + NAME, "TXT"), ['"token"'])
same(dns.create_record("TXT", "_acme-challenge.test", "token"), True, "a duplicate")
same(contents("TXT", "_acme-challenge.test"), ["token"])
for value in ("one", "two"):
    dns.create_record("TXT", "_acme-challenge.set", value)
same(contents("TXT", "_acme-challenge.set"), ["one", "two"])
same(dns.list_records("TXT", "absent"), [])
record = dns.list_records("A", "localhost")[0]
same(record["ttl"], 3600)
same(dns.update_record(record["id"], "A", "localhost", "127.0.0.2"), True)
same(contents("A", "localhost"), ["127.0.0.2"])
same(served("localhost." + NAME, "A"), ["127.0.0.2"])
same(dns.delete_record(None, "TXT", "_acme-challenge.set", "one"), True)
same(contents("TXT", "_acme-challenge.set"), ["two"])
same(dns.delete_record(record["id"]), True)
same(dns.list_records("A", "localhost"), [])
same(served("localhost." + NAME, "A"), "NXDOMAIN")
found = requests.get(BASE + "/domains", headers=LOGIN, params={"name": NAME}, timeout=30).json()["domains"]
same(requests.delete("%s/domains/%s" % (BASE, found[0]["id"]), headers=LOGIN, timeout=30).status_code, 202)
