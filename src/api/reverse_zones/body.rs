//! Members of a body by name: what is missing or of another type is collected, and answered with 422 as a whole.

use serde_json::{Map, Value};

use super::refused::{Refused, Wrong, unprocessable};

/// An object under inspection.
pub(super) struct Body<'a> {
    members: &'a Map<String, Value>,
    /// The list and the index the object stands at, if it is no body of its own.
    place: Option<(&'a str, usize)>,
    wrong: Vec<Wrong>,
}

impl<'a> Body<'a> {
    pub(super) fn new(members: &'a Map<String, Value>) -> Body<'a> {
        Body { members, place: None, wrong: Vec::new() }
    }

    /// The item `index` of the list `name` of a body.
    pub(super) fn item(members: &'a Map<String, Value>, name: &'a str, index: usize) -> Body<'a> {
        Body { members, place: Some((name, index)), wrong: Vec::new() }
    }

    /// A member that may be missing or null.
    fn optional<T>(&mut self, name: &str, kind: &str, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        let value = self.members.get(name).filter(|value| !value.is_null())?;
        let read = read(value);
        if read.is_none() {
            self.complain(name, &format!("value is not a valid {kind}"), &format!("type_error.{kind}"));
        }
        read
    }

    fn complain(&mut self, name: &str, message: &str, kind: &str) {
        self.wrong.push(match self.place {
            None => Wrong::new(&["body", name], message, kind),
            Some((list, index)) => Wrong::in_item(list, index, name, message, kind),
        });
    }

    pub(super) fn text(&mut self, name: &str) -> Option<&'a str> {
        self.optional(name, "string", Value::as_str)
    }

    pub(super) fn number(&mut self, name: &str) -> Option<i64> {
        self.optional(name, "integer", Value::as_i64)
    }

    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        self.optional(name, "boolean", Value::as_bool)
    }

    pub(super) fn list(&mut self, name: &str) -> Option<&'a [Value]> {
        self.optional(name, "list", |value| value.as_array().map(Vec::as_slice))
    }

    pub(super) fn object(&mut self, name: &str) -> Option<&'a Map<String, Value>> {
        self.optional(name, "dict", Value::as_object)
    }

    /// A text that must be there.
    pub(super) fn demand(&mut self, name: &str) -> &'a str {
        if self.members.get(name).is_none_or(Value::is_null) {
            self.missing(name);
            return "";
        }
        self.text(name).unwrap_or_default()
    }

    pub(super) fn missing(&mut self, name: &str) {
        self.complain(name, "field required", "value_error.missing");
    }

    /// Nothing but these members may be there.
    pub(super) fn only(&mut self, names: &[&str]) {
        let others: Vec<&String> = self.members.keys().filter(|name| !names.contains(&name.as_str())).collect();
        for name in others {
            self.complain(name, "this member cannot be changed here", "value_error.extra");
        }
    }

    /// What was wrong, so far.
    pub(super) fn wrong(self) -> Vec<Wrong> {
        self.wrong
    }

    /// 422 if anything was wrong.
    pub(super) fn done(self) -> Result<(), Refused> {
        if self.wrong.is_empty() { Ok(()) } else { Err(unprocessable(self.wrong)) }
    }
}
