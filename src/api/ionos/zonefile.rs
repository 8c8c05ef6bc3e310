//! `/secondaryzones/{id}/zonefile`: the served copy as a zone file, written while it is sent.

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;

use crate::api::fault::{ErrorCode, Fault};
use crate::api::request::Zone;
use crate::dns::zonefile::write_record;
use crate::zone::Snapshot;

/// A piece is sent once it is this long.
const PIECE_OCTETS: usize = 64 * 1024;

/// GET `/secondaryzones/{id}/zonefile`.
pub(super) async fn read(zone: Zone) -> Result<Response, Fault> {
    answer(zone.view.snapshot())
}

/// `snapshot` as a zone file; 404 if there is none.
pub(in crate::api) fn answer(snapshot: Option<Arc<Snapshot>>) -> Result<Response, Fault> {
    let Some(snapshot) = snapshot else {
        return Err(Fault::new(ErrorCode::ZoneWithoutData, "No primary has given this zone yet."));
    };
    let body = Body::new(ZoneFile { snapshot, written: 0 });
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response())
}

/// Every record, the SOA first, in the order of the pages. Between two pieces it holds nothing but its place, which is
/// found again in O(log owners): a slow client costs a connection and no thread.
struct ZoneFile {
    snapshot: Arc<Snapshot>,
    written: u64,
}

impl ZoneFile {
    fn piece(&mut self) -> String {
        let mut text = String::with_capacity(PIECE_OCTETS + 1024);
        if self.written == 0 {
            let _ = writeln!(text, "$ORIGIN {}", self.snapshot.apex()); // writing into a String cannot fail
        }
        let mut records = self.snapshot.records_from(self.written);
        while text.len() < PIECE_OCTETS
            && let Some(record) = records.advance()
        {
            write_record(record, &mut text);
            self.written += 1;
        }
        text
    }
}

impl hyper::body::Body for ZoneFile {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let before = self.written;
        let piece = self.piece();
        Poll::Ready((self.written > before).then(|| Ok(Frame::data(piece.into()))))
    }
}
