"""Primaries that are good or bad in one way each, on loopback ports of their own."""
import socket
import struct
import threading

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset


def soa(zone, serial):
    return dns.rrset.from_text(zone + ".", 300, "IN", "SOA", "ns.%s. h.%s. %d 3600 600 86400 300" % (zone, zone, serial))


def contents(zone, serial, count=20):
    """A zone with `count` addresses, the SOA first."""
    hosts = [dns.rrset.from_text("h%d.%s." % (i, zone), 300, "IN", "A", "192.0.2.%d" % (i + 1)) for i in range(count)]
    return [soa(zone, serial), dns.rrset.from_text(zone + ".", 300, "IN", "NS", "ns.%s." % zone)] + hosts


class Primary:
    """Answers SOA over UDP and TCP; `transfer` decides what becomes of AXFR and IXFR: "whole", "cut" or "refused"."""

    def __init__(self, zone, serial, transfer="whole"):
        self.zone, self.serial, self.transfer, self.transfers = zone, serial, transfer, 0
        self.udp, self.tcp = pair()
        self.address = "127.0.0.1#%d" % self.udp.getsockname()[1]
        for loop in (self.datagrams, self.connections):
            threading.Thread(target=loop, daemon=True).start()

    def answer(self, query, records):
        message = dns.message.make_response(query)
        message.flags |= dns.flags.AA
        message.answer = list(records)
        return message

    def datagrams(self):
        while True:
            octets, peer = self.udp.recvfrom(4096)
            query = dns.message.from_wire(octets)
            self.udp.sendto(self.answer(query, [soa(self.zone, self.serial)]).to_wire(), peer)

    def connections(self):
        while True:
            stream, _ = self.tcp.accept()
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def serve(self, stream):
        with stream:
            while octets := receive(stream):
                query = dns.message.from_wire(octets)
                if query.question[0].rdtype == dns.rdatatype.SOA:
                    send(stream, self.answer(query, [soa(self.zone, self.serial)]))
                    continue
                self.transfers += 1
                if self.transfer == "refused":
                    message = dns.message.make_response(query)
                    message.set_rcode(dns.rcode.REFUSED)
                    send(stream, message)
                    continue
                records = contents(self.zone, self.serial)
                if self.transfer == "cut":
                    send(stream, self.answer(query, records[:10]))
                    return
                send(stream, self.answer(query, records))
                # The final SOA stands alone: one message must not merge it with the first.
                send(stream, self.answer(query, records[:1]))


class Silent:
    """Takes connections and datagrams, and says nothing."""

    def __init__(self):
        self.udp, self.tcp = pair()
        self.address = "127.0.0.1#%d" % self.udp.getsockname()[1]


def closed():
    """An address that refuses connections: its port is bound and nobody listens."""
    closed.kept = getattr(closed, "kept", [])
    socket_ = socket.socket()
    socket_.bind(("127.0.0.1", 0))
    closed.kept.append(socket_)
    return "127.0.0.1#%d" % socket_.getsockname()[1]


def pair():
    """A UDP and a listening TCP socket with one port."""
    while True:
        udp = socket.socket(type=socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        tcp = socket.socket()
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            continue
        tcp.listen()
        return udp, tcp


def receive(stream):
    length = exactly(stream, 2)
    return length and exactly(stream, struct.unpack("!H", length)[0])


def exactly(stream, count):
    octets = b""
    while len(octets) < count:
        try:
            more = stream.recv(count - len(octets))
        except OSError:
            return b""
        if not more:
            return b""
        octets += more
    return octets


def send(stream, message):
    wire = message.to_wire(max_size=65535)
    stream.sendall(struct.pack("!H", len(wire)) + wire)
