//! Queries that have no question and ask for a cookie.

use secondaryd::answer::{Cookies, Identity};
use secondaryd::dns::edns::Opt;
use secondaryd::dns::message::{Header, Rcode};
use secondaryd::served::Transport;

use super::stage::Stage;

/// The RCODE and the cookie of the reply to a query without question that shows `cookie`.
fn alone(stage: &Stage, cookie: &[u8]) -> (Rcode, Option<Vec<u8>>) {
    let mut query = vec![0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    Opt::default().with_option(10, cookie).append(&mut query);
    let reply = stage.respond(&query, Transport::Udp).expect("a reply");
    let opt = Opt::find(&reply).expect("sound").expect("an OPT");
    (opt.rcode(Header::read(&reply).expect("a header")), opt.option(10).map(<[u8]>::to_vec))
}

/// RFC 7873 §5.4: "the response SHALL have the RCODE BADCOOKIE if the Server Cookie sent with the query was invalid and the
/// RCODE NOERROR if it was valid"; only "servers with DNS Cookies enabled" take such a query.
#[test]
fn a_query_without_question_tells_whether_a_cookie_is_good() {
    // given a server with cookies
    let mut stage = Stage::new();
    stage.identity = Identity::default().with_cookies(Cookies::new(vec![[7; 16]], false));
    // when a client asks for one, shows it, and shows another
    let (rcode, cookie) = alone(&stage, b"8 octets");
    let cookie = cookie.expect("a cookie");
    let mut wrong = cookie.clone();
    wrong[23] ^= 1;
    // then it gets one, that is good, and the other is not
    assert_eq!((rcode, cookie.len()), (Rcode::NOERROR, 24));
    assert_eq!(alone(&stage, &cookie), (Rcode::NOERROR, Some(cookie.clone())));
    assert_eq!(alone(&stage, &wrong), (Rcode::BADCOOKIE, Some(cookie.clone())));
    assert_eq!(alone(&stage, b"8 octets and another's 8"), (Rcode::BADCOOKIE, Some(cookie)));
    // and one without takes no query without question
    stage.identity = Identity::default();
    assert_eq!(alone(&stage, b"8 octets"), (Rcode::FORMERR, None));
}
