"""The daemon under test, as the environment names it, and what every script here asks of it.

SECONDARYD_URL, SECONDARYD_TOKEN, SECONDARYD_USER and SECONDARYD_DNS (host:port) are set by tests/api/published_clients.rs.
A script fails by an exception; what it prints is shown then.
"""
import os

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import requests

URL = os.environ["SECONDARYD_URL"]
TOKEN = os.environ["SECONDARYD_TOKEN"]
USER = os.environ["SECONDARYD_USER"]
DNS_HOST, _, DNS_PORT = os.environ["SECONDARYD_DNS"].rpartition(":")


def same(got, want, what=""):
    assert got == want, "%s: got %r, want %r" % (what or "value", got, want)


def served(name, rtype):
    """What a query over UDP is answered with: sorted rdata texts, or the name of the rcode if it is none of NOERROR."""
    query = dns.message.make_query(name, rtype)
    answer = dns.query.udp(query, DNS_HOST, port=int(DNS_PORT), timeout=5)
    if answer.rcode() != dns.rcode.NOERROR:
        return dns.rcode.to_text(answer.rcode())
    assert answer.flags & dns.flags.AA, answer
    wanted = dns.rdatatype.from_text(rtype)
    return sorted(rdata.to_text() for rrset in answer.answer if rrset.rdtype == wanted for rdata in rrset)


def call(method, path, json=None, code=200, **fields):
    """A request that must be answered with `code`; gives the response."""
    headers = {"Authorization": "Bearer " + TOKEN, **{name.replace("_", "-"): value for name, value in fields.items()}}
    response = requests.request(method, URL + path, json=json, headers=headers, timeout=30)
    assert response.status_code == code, (method, path, response.status_code, response.text)
    return response
