//! JSON → model as a Go client reads it: what is missing or `null` is zero, empty or none.
//!
//! The model's types demand what the newest version always sends. Older versions, and other daemons, send less.

use alloc::{format, string::String, vec, vec::Vec};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Error, Map, Value};

/// A value to read.
#[derive(Debug)]
pub(super) struct Lenient(pub(super) Value);

impl<'de> Deserializer<'de> for Lenient {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(list) => visitor.visit_seq(Elements(list.into_iter())),
            Value::Object(map) => visitor.visit_map(Members::new(map, &[])),
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_bool(false))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_str(""))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_seq(Elements(vec![].into_iter())))
    }

    /// A list of fixed length is filled up with zeros, and what is too much is dropped.
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_seq(Elements(vec![Value::Null; len].into_iter())),
            Value::Array(mut list) => {
                list.resize(len, Value::Null);
                visitor.visit_seq(Elements(list.into_iter()))
            }
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_map(Members::new(Map::new(), &[])))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_map(Members::new(Map::new(), fields)),
            Value::Object(map) => visitor.visit_map(Members::new(map, fields)),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_u64(0))
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_u64(0))
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_u64(0))
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_u64(0))
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_u64(0))
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_u64(0))
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_u64(0))
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_u64(0))
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_f64(0.0))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.or(visitor, |visitor| visitor.visit_f64(0.0))
    }

    serde::forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple_struct identifier
    }
}

impl Lenient {
    /// Reads the value, or what stands for `null`.
    fn or<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        zero: impl FnOnce(V) -> Result<V::Value, Error>,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => zero(visitor),
            _ => self.deserialize_any(visitor),
        }
    }
}

struct Elements(vec::IntoIter<Value>);

impl<'de> SeqAccess<'de> for Elements {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.next().map(|value| seed.deserialize(Lenient(value))).transpose()
    }
}

/// The members of an object, and after them the fields that it lacks.
struct Members {
    members: serde_json::map::IntoIter,
    missing: Vec<&'static str>,
    /// The key that was told last, and its value.
    told: (String, Value),
}

impl Members {
    fn new(map: Map<String, Value>, fields: &'static [&'static str]) -> Self {
        Self {
            missing: fields
                .iter()
                .filter(|field| !map.contains_key(**field))
                .copied()
                .collect(),
            members: map.into_iter(),
            told: (String::new(), Value::Null),
        }
    }
}

impl<'de> MapAccess<'de> for Members {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let missing = &mut self.missing;
        let next = self
            .members
            .next()
            .or_else(|| Some((missing.pop()?.into(), Value::Null)));
        let Some(told) = next else { return Ok(None) };
        self.told = told;
        seed.deserialize(self.told.0.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = self.told.1.take();
        // The error names the keys on the way to what is wrong.
        seed.deserialize(Lenient(value))
            .map_err(|e| Error::custom(format!("{}: {e}", self.told.0)))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use serde::de::DeserializeOwned;
    use serde_json::{from_value, json};

    use super::*;
    use crate::model::{Container, ContainerSummary, Image, ImageRemoval, Info, Timestamp, Version};

    fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
        T::deserialize(Lenient(value)).map_err(|e| e.to_string())
    }

    #[test]
    fn nothing_is_zero() {
        for value in [json!({}), Value::Null] {
            let container: Container = read(value.clone()).expect("a container");
            assert_eq!(container.state.finished_at, Timestamp::ZERO);
            assert!(container.mounts.is_empty() && container.size_rw.is_none() && !container.config.tty);
            assert_eq!(read::<Version>(value.clone()), Ok(Version::default()));
            assert_eq!(read::<Info>(value.clone()), Ok(Info::default()));
            assert_eq!(read::<Image>(value).map(|image| image.config), Ok(None));
        }
        let info: Info = read(json!({"DriverStatus": [["a"], null, ["b", "c", "d"]]})).expect("info");
        assert_eq!(info.driver_status, [["a", ""], ["", ""], ["b", "c"]]);
        let rows = json!([{"Id": "a", "Ports": null, "Labels": {"x": null}}, null]);
        let list: Vec<ContainerSummary> = read(rows).expect("a list");
        assert_eq!(
            (list[0].id.as_str(), list[0].labels["x"].as_str(), list.len()),
            ("a", "", 2)
        );
    }

    #[test]
    fn what_is_there_is_read_as_ever() {
        let script: Value = serde_json::from_str(include_str!("../../tests/cases/replies.json")).expect("script");
        let strict: Container = from_value(script["container"].clone()).expect("a container");
        assert_eq!(read::<Container>(script["container"].clone()), Ok(strict));
        let strict: Info = from_value(script["info"].clone()).expect("info");
        assert_eq!(read::<Info>(script["info"].clone()), Ok(strict));
        let removed: Vec<ImageRemoval> = from_value(script["removed"].clone()).expect("removals");
        assert_eq!(read::<Vec<ImageRemoval>>(script["removed"].clone()), Ok(removed));
    }

    #[test]
    fn errors_name_the_keys() {
        let rows = [
            (json!({"State": {"Pid": "x"}}), "State: Pid: "),
            (json!({"Args": [{}]}), "Args: "),
            (json!([]), "invalid length"),
            (json!("x"), "invalid type"),
        ];
        for (value, expected) in rows {
            let error = read::<Container>(value).expect_err(expected);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
