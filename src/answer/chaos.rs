//! Class CHAOS: `version.bind`, `version.server`, `hostname.bind`, `id.server` (RFC 4892), each of which may be hidden.

use super::Client;
use super::folded::Folded;
use super::query::Query;
use super::why::Why;
use super::write::{Finished, Writer};
use crate::dns::RecordType;
use crate::dns::edns::ExtendedError;
use crate::dns::message::Rcode;

/// Answers a question of class CHAOS. What is hidden is refused like what does not exist, so that nothing shows.
#[cold]
pub(super) fn answer(client: &Client<'_>, query: &Query, name: &Folded, mut writer: Writer<'_>) -> Finished {
    let text = client.identity.chaos(name.lower());
    match (text, query.qtype) {
        (Some(text), RecordType::TXT | RecordType::ANY) if writer.put_chaos(text).is_ok() => {
            writer.set_authoritative();
            writer.finish_aside(None)
        }
        // the name exists in CHAOS, with no other type
        (Some(_), _) => {
            writer.set_authoritative();
            writer.finish_aside(None)
        }
        (None, _) => {
            writer.set_rcode(Rcode::REFUSED);
            // whatever name was asked for, the client gets the same no
            writer.depth = 0;
            writer.finish_aside(Some(&Why::code(ExtendedError::NOT_AUTHORITATIVE)))
        }
    }
}
