//! Bodies: JSON or XML brought into one shape, and members of objects read with everything that is wrong collected.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::call::lost;
use super::xml;
use crate::api::Api;
use crate::api::fault::{ErrorCode, Fault, Message};
use crate::api::request::read_body;
use crate::api::zone_file::OCTETS_MAX;

/// Records, domains and subdomains of one request together.
pub(super) const ENTITIES_MAX: usize = 100;
/// Characters of a comment.
const COMMENT_CHARS_MAX: usize = 160;
/// Seconds.
const TTL: std::ops::RangeInclusive<i64> = 300..=i32::MAX as i64;

/// A body as an object of JSON, whatever it was written in.
pub(super) struct Body {
    /// As it was sent, for the job.
    pub(super) text: String,
    /// Its meaning.
    pub(super) object: Map<String, Value>,
}

impl FromRequest<Arc<Api>> for Body {
    type Rejection = Fault;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Body, Fault> {
        let octets_max = api.settings().max_body_octets;
        Body::read(request, octets_max).await
    }
}

/// A body with zone files, which may be long.
pub(super) struct LongBody(pub(super) Body);

impl FromRequest<Arc<Api>> for LongBody {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &Arc<Api>) -> Result<LongBody, Fault> {
        let is_xml = is_xml(request.headers())?;
        let octets = read_body(request, OCTETS_MAX).await?;
        // Some 32 MiB are too long for a thread that serves others.
        let reading = tokio::task::spawn_blocking(move || Body::parse(&octets, is_xml));
        reading.await.map_err(|_| lost("The reading of the body"))?.map(LongBody)
    }
}

impl Body {
    async fn read(request: Request, octets_max: u64) -> Result<Body, Fault> {
        let is_xml = is_xml(request.headers())?;
        Body::parse(&read_body(request, octets_max).await?, is_xml)
    }

    fn parse(octets: &[u8], is_xml: bool) -> Result<Body, Fault> {
        let bad = |what: String| Fault::new(ErrorCode::BadBody, format!("The body {what}."));
        let text = std::str::from_utf8(octets).map_err(|_| bad("is not in UTF-8".to_owned()))?;
        if text.trim().is_empty() {
            return Err(bad("is empty".to_owned()));
        }
        let value = if is_xml {
            xml::read(text).map_err(bad)?
        } else {
            serde_json::from_str(text).map_err(|error| bad(format!("is no JSON: {error}")))?
        };
        match value {
            Value::Object(object) => Ok(Body { text: text.to_owned(), object }),
            _ => Err(bad("must be an object".to_owned())),
        }
    }

    /// The objects of the list `member`; without it the body itself is taken for the one object of the list. At most
    /// [`ENTITIES_MAX`].
    pub(super) fn items(&self, member: &str) -> Result<Vec<&Map<String, Value>>, Fault> {
        match self.object.get(member) {
            None => Ok(vec![&self.object]),
            Some(list) => objects(list, member),
        }
    }

    /// The one object that the path names, on its own or as the only one of the list `member`; some clients wrap it as in
    /// the request for several. `what` it is stands in the error.
    pub(super) fn the_one(&self, member: &str, what: &str) -> Result<&Map<String, Value>, Fault> {
        match &self.items(member)?[..] {
            [one] => Ok(*one),
            _ => {
                let text = format!("The body must hold the one {what} that the path names.");
                Err(Fault::new(ErrorCode::BadBody, text))
            }
        }
    }
}

/// The objects of a list.
pub(super) fn objects<'a>(list: &'a Value, member: &str) -> Result<Vec<&'a Map<String, Value>>, Fault> {
    let objects: Option<Vec<&Map<String, Value>>> =
        list.as_array().and_then(|list| list.iter().map(Value::as_object).collect());
    let objects = objects.ok_or_else(|| {
        Fault::new(
            ErrorCode::BadBody,
            format!("The body has another shape than expected: {member} must be a list of objects."),
        )
    })?;
    check_count(objects.len())?;
    Ok(objects)
}

/// 413 for more than [`ENTITIES_MAX`].
pub(super) fn check_count(count: usize) -> Result<(), Fault> {
    if count <= ENTITIES_MAX {
        return Ok(());
    }
    let text = format!("The request holds {count} records and domains; at most {ENTITIES_MAX} are taken at once.");
    Err(Fault::new(ErrorCode::TooManyItems, text))
}

/// A missing Content-Type is read as JSON.
fn is_xml(headers: &HeaderMap) -> Result<bool, Fault> {
    let Some(field) = headers.get(CONTENT_TYPE) else { return Ok(false) };
    let essence = field.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/xml" | "text/xml" => Ok(true),
        "application/json" => Ok(false),
        other if other.starts_with("application/") && other.ends_with("+json") => Ok(false),
        other if other.starts_with("application/") && other.ends_with("+xml") => Ok(true),
        _ => {
            let text = "The body must be JSON or XML; send 'Content-Type: application/json' or 'application/xml'.";
            Err(Fault::new(ErrorCode::UnsupportedMediaType, text))
        }
    }
}

/// The members of one object, and what is wrong with them.
pub(super) struct Members<'a, 'w> {
    object: &'a Map<String, Value>,
    /// Where the object stands in the body, for messages: `records[0].`
    place: String,
    wrong: &'w mut Vec<Message>,
}

impl<'a, 'w> Members<'a, 'w> {
    pub(super) fn new(object: &'a Map<String, Value>, place: String, wrong: &'w mut Vec<Message>) -> Members<'a, 'w> {
        Members { object, place, wrong }
    }

    /// Notes that a member is wrong.
    pub(super) fn complain(&mut self, member: &str, what: impl std::fmt::Display) {
        let text = format!("{}{member}: {what}.", self.place);
        self.wrong.push(Message { code: ErrorCode::BadValue, text: text.into() });
    }

    /// A member, if it is there and not null.
    pub(super) fn given(&self, member: &str) -> Option<&'a Value> {
        self.object.get(member).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&mut self, member: &str) -> Option<&'a str> {
        let value = self.given(member)?;
        if value.as_str().is_none() {
            self.complain(member, "must be a string");
        }
        value.as_str()
    }

    /// A text that must be there.
    pub(super) fn demand(&mut self, member: &str) -> Option<&'a str> {
        if self.given(member).is_none() {
            self.complain(member, "is missing");
        }
        self.text(member)
    }

    /// A whole number, or digits in a string.
    pub(super) fn number(&mut self, member: &str, bounds: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let value = self.given(member)?;
        let of_digits = |text: &str| text.parse().ok().filter(|_| text.bytes().all(|c| c.is_ascii_digit()));
        let number = value.as_i64().or_else(|| value.as_str().and_then(of_digits));
        let fits = number.filter(|number| bounds.contains(number));
        if fits.is_none() {
            self.complain(member, format_args!("must be a whole number from {} to {}", bounds.start(), bounds.end()));
        }
        fits
    }

    /// `ttl`.
    pub(super) fn ttl(&mut self) -> Option<u32> {
        self.number("ttl", TTL).and_then(|ttl| u32::try_from(ttl).ok())
    }

    /// `comment`; an empty one is none.
    pub(super) fn comment(&mut self) -> Option<String> {
        let text = self.text("comment")?;
        let chars = text.chars().count();
        if chars > COMMENT_CHARS_MAX {
            self.complain("comment", format_args!("has {chars} characters; at most {COMMENT_CHARS_MAX} are taken"));
        }
        Some(text.to_owned())
    }

    /// An identity: a string, or a number.
    pub(super) fn id(&mut self) -> Option<String> {
        match self.given("id")? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => {
                self.complain("id", "must be a string");
                None
            }
        }
    }
}

/// 400 with everything that is wrong, if anything is.
pub(super) fn check(wrong: Vec<Message>) -> Result<(), Fault> {
    Fault::all(wrong).map_or(Ok(()), Err)
}
