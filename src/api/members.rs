//! A JSON object whose members are looked up by name, for bodies that are checked member by member.
//!
//! Unlike `serde_json`'s own map it refuses a name that stands twice in one object, at any depth: of two values the one that a
//! proxy or a person saw need not be the one that counts (RFC 8259 §4).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The members of a body.
#[derive(Clone, Debug, PartialEq)]
pub struct Members(pub Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Members, D::Error> {
        match Unique::deserialize(d)?.0 {
            Value::Object(members) => Ok(Members(members)),
            _ => Err(D::Error::custom("it must be an object")),
        }
    }
}

/// A value without objects that name a member twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Unique, D::Error> {
        d.deserialize_any(UniqueVisitor).map(Unique)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format_args!("duplicate field `{}`", name.escape_default())));
            }
            let Unique(value) = members.next_value()?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Members, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_name_that_stands_twice_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":[{"b":1,"c":{},"b":2}]}"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(read(text).is_err_and(|error| error.to_string().contains("duplicate field")), "{text}");
        }
        assert!(read(r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#).is_ok());
        assert!(read("[]").is_err() && read("null").is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}{}", r#"{"a":"#.repeat(200), "[".repeat(200));
        assert!(read(&deep).is_err_and(|error| error.to_string().contains("recursion limit")));
    }

    proptest! {
        /// Everything else reads as serde_json's own map does.
        #[test]
        fn what_is_unique_reads_as_it_is(names in prop::collection::btree_map("[a-z]{1,3}", any::<(i64, bool, f64)>(), 0..5)) {
            let value = serde_json::json!(names);
            let text = value.to_string();
            let wanted: Map<String, Value> = serde_json::from_str(&text).expect("an object");
            prop_assert_eq!(read(&text).expect("an object").0, wanted);
        }
    }
}
