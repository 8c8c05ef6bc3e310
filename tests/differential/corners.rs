//! Zones that stand in every corner of the rules at once, once unsigned and once with each kind of chain.
//!
//! `~` is the apex. Each zone has a child that is served as well, and its chains lead into its neighbours.

use secondaryd::dns::Name;

use crate::random::{self, Contents};
use crate::zones::Zone;

/// Owner, type, rdata.
const PARENT: &str = "
~ SOA ns.~ host.~ 1 3600 600 604800 300
~ NS ns.~
~ NS ns.cut.~
~ MX 0 .
~ MX 5 host.cut.~
ns.~ A 192.0.2.1
*.~ A 192.0.2.2
*.~ MX 5 two.~
x.y.ent.~ TXT ent
ent2.~ TXT beside
*.x.star.~ A 192.0.2.3
a.*.mid.~ TXT below-an-asterisk
*.w1.~ CNAME foo.w2.~
*.w2.~ CNAME bar.w3.~
*.w3.~ A 192.0.2.4
*.w3.~ TXT end
*.w4.~ CNAME no.such.cut.~
*.w5.~ CNAME gone.ent.~
*.w6.~ CNAME x.w6.~
*.w7.~ CNAME x.dn.~
*.w8.~ TXT only
sub.w8.~ A 192.0.2.5
*.w9.~ SRV 1 2 3 two.~
self.~ CNAME self.~
cross.~ CNAME cross.%.test.
ping.~ CNAME ping.child.~
toapex.~ CNAME ~
totld.~ CNAME test.
toroot.~ CNAME .
toglue.~ CNAME ns.cut.~
tocut.~ CNAME cut.~
tods.~ CNAME secure.~
tochild.~ CNAME child.~
tochildwild.~ CNAME x.wild.child.~
two.~ A 192.0.2.6
two.~ AAAA 2001:db8::6
alias.~ CNAME two.~
mxalias.~ MX 5 alias.~
mxwild.~ MX 5 any.w3.~
mxglue.~ MX 5 ns.cut.~
mxchild.~ MX 5 ns.child.~
srvnull.~ SRV 0 0 0 .
srv.~ SRV 1 2 53 two.~
srv.~ SRV 1 2 54 ns.cut.~
svcalias.~ SVCB 0 .
svc.~ SVCB 1 two.~ alpn=h2
https.~ HTTPS 1 . alpn=h2
https.~ A 192.0.2.7
httpsto.~ HTTPS 0 two.~
cut.~ NS ns.cut.~
ns.cut.~ A 192.0.2.8
host.cut.~ A 192.0.2.9
hidden.cut.~ TXT occluded
*.cut.~ A 192.0.2.10
in.cut.~ NS ns.in.cut.~
ns.in.cut.~ A 192.0.2.10
sibling.~ NS ns.cut.~
outside.~ NS ns.elsewhere.invalid.
apexns.~ NS ns.~
noglue.~ NS ns.noglue.~
mixed.~ NS ns.mixed.~
mixed.~ NS ns.cut.~
mixed.~ NS ns.elsewhere.invalid.
mixed.~ NS two.~
ns.mixed.~ AAAA 2001:db8::8
nsalias.~ NS alias.~
nswild.~ NS any.w3.~
self-ns.~ NS self-ns.~
self-ns.~ A 192.0.2.11
deep.a.b.~ NS ns.deep.a.b.~
ns.deep.a.b.~ A 192.0.2.12
secure.~ NS ns.secure.~
secure.~ DS 1 13 2 ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB
ns.secure.~ A 192.0.2.13
child.~ NS ns.child.~
child.~ DS 1 13 2 CDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCD
ns.child.~ A 192.0.2.14
dn.~ DNAME target.~
dn.~ A 192.0.2.15
www.target.~ A 192.0.2.16
*.target.~ TXT wild-target
dnwild.~ DNAME w1.~
dnout.~ DNAME elsewhere.invalid.
dncut.~ DNAME cut.~
dnroot.~ DNAME .
dnapex.~ DNAME ~
dnx.~ DNAME %.test.
dnchild.~ DNAME child.~
dnmid.~ DNAME mid.~
tomid.~ CNAME x.mid.~
d1.~ DNAME d2.~
d2.~ DNAME d3.~
d3.~ DNAME d1.~
dlong.~ DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.ddddddddddddddddddddddddddddddddddddddddddddd.~
tolong.~ CNAME eeeeeeeeeeeeeeeeeeeeeeeeeeeeeee.dlong.~
tolong2.~ CNAME e.dlong.~
dlong2.~ DNAME dlong.~
wildcard-label.~ CNAME *.w3.~
cstar.~ CNAME *.nothing.ent.~
l01.~ CNAME l02.~
l02.~ CNAME l03.~
l03.~ CNAME l04.~
l04.~ CNAME l05.~
l05.~ CNAME l06.~
l06.~ CNAME l07.~
l07.~ CNAME two.~
big.~ TXT aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
tobig.~ CNAME big.~
";

const CHILD: &str = "
~ SOA ns.~ host.~ 1 3600 600 604800 60
~ NS ns.~
~ MX 5 two.^
ns.~ A 192.0.2.14
ping.~ CNAME pong.^
*.wild.~ CNAME x.w3.^
up.~ CNAME ^
upcut.~ CNAME x.cut.^
loop.~ CNAME loop.^
dn.~ DNAME dn.^
grand.~ NS ns.grand.~
grand.~ NS two.^
ns.grand.~ A 192.0.2.20
x.ent.~ A 192.0.2.21
";

/// Parents with these numbers (0 unsigned, 1 NSEC, 2 NSEC3, 3 opt-out), and their children, signed in another way.
pub(crate) fn zones(numbers: &[u64]) -> Vec<Zone> {
    let mut zones = Vec::new();
    for (&number, neighbour) in numbers.iter().zip(numbers.iter().cycle().skip(1)) {
        let parent = format!("c{number}.test.");
        let mut contents = contents(PARENT, &parent, &parent, *neighbour);
        let mut add = |owner: String, rtype, rdata: String| {
            let owner: Name = owner.parse().expect("a name");
            contents.entry(owner).or_default().entry(rtype).or_default().insert(rdata);
        };
        // glue that no small reply holds (RFC 9471 §2.1)
        for server in 0..14 {
            add(format!("many.{parent}"), "NS", format!("a-rather-long-name-of-server-{server}.many.{parent}"));
            for (rtype, address) in [("A", "192.0.2."), ("AAAA", "2001:db8::")] {
                let owner = format!("a-rather-long-name-of-server-{server}.many.{parent}");
                add(owner, rtype, format!("{address}{server}"));
            }
            add(
                format!("many-siblings.{parent}"),
                "NS",
                format!("a-rather-long-name-of-server-{server}.many.{parent}"),
            );
        }
        add(format!("loop.{parent}"), "CNAME", format!("loop.child.{parent}"));
        add(format!("pong.{parent}"), "CNAME", format!("ping.child.{parent}"));
        zones.push(random::finish(&parent.parse().expect("a name"), contents, number));
        let child = format!("child.{parent}");
        let contents = self::contents(CHILD, &child, &parent, *neighbour);
        zones.push(random::finish(&child.parse().expect("a name"), contents, number + 2));
    }
    zones
}

/// A zone with NSEC3 of so many iterations.
pub(crate) fn iterated(iterations: u64) -> Zone {
    let apex = format!("i{iterations}.test.");
    let contents =
        contents("~ SOA ns.~ host.~ 1 3600 600 604800 300\n~ NS ns.~\nns.~ A 192.0.2.1\n*.w.~ TXT x", &apex, &apex, 0);
    random::finish(&apex.parse().expect("a name"), contents, 10_002 + 8 * iterations)
}

fn contents(text: &'static str, apex: &str, parent: &str, neighbour: u64) -> Contents {
    let neighbour = format!("c{neighbour}");
    let mut contents = Contents::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let mut words = line.splitn(3, ' ');
        let (owner, rtype, rdata) = (words.next(), words.next(), words.next());
        let full = |text: Option<&str>| {
            text.expect("three words")
                .replace(".~", &format!(".{apex}"))
                .replace('~', apex)
                .replace('^', parent)
                .replace('%', &neighbour)
        };
        let owner: Name = full(owner).parse().expect("a name");
        contents.entry(owner).or_default().entry(rtype.expect("a type")).or_default().insert(full(rdata));
    }
    contents
}
