"""certbot-dns-ionos-cloud: its own client class, with the URLs of its module pointed at the daemon."""
import requests
from certbot import errors
from certbot_dns_ionos_cloud import ionos

from daemon import TOKEN, URL, USER, same, served

ionos.dns_api_base_url = URL
ionos.auth_api_generate_token_url = URL + "/auth/v1/tokens/generate"
headers = {"Authorization": "Bearer " + TOKEN}
zone = requests.post(URL + "/zones", headers=headers, json={"properties": {"zoneName": "certbot.example"}})
assert zone.status_code == 202, zone.text
name = "_acme-challenge.certbot.example"


def texts():
    query = {"filter.name": "_acme-challenge", "filter.type": "TXT"}
    items = requests.get(URL + "/records", headers=headers, params=query).json()["items"]
    return [item["properties"]["content"] for item in items]


client = ionos._IONOSClient(TOKEN, None, None)
client.add_txt_record("certbot.example", name, "one")
client.add_txt_record("certbot.example", name, "one")
assert texts() == ["one"], texts()
client.add_txt_record("certbot.example", name, "two")
client.del_txt_record("certbot.example", name, "other")
assert texts() == ["two"], texts()
same(served(name, "TXT"), ['"two"'])
client.del_txt_record("certbot.example", name, "two")
assert texts() == [], texts()
ionos._IONOSClient(None, USER, TOKEN).add_txt_record("certbot.example", name, "three")
assert texts() == ["three"], texts()
try:
    ionos._IONOSClient(None, USER, "wrong")
except errors.PluginError:
    pass
else:
    raise AssertionError("a wrong password was taken")
