//! `filters` of any request that has them: both forms of JSON say the same, and nothing else is taken.
#![no_main]

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use gantry_core::{
    Call, Connection, Event, Instant, Limits,
    driver::{Output, Protocol},
};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// The filters that events are asked for with, or `None` if the request is refused.
fn asked(json: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let mut request = String::from("GET /v1.24/events?filters=");
    for byte in json.bytes() {
        write!(request, "%{byte:02x}").expect("a string takes all");
    }
    request += " HTTP/1.1\r\nHost: docker\r\n\r\n";
    let now = Instant(Duration::ZERO);
    let mut connection = Connection::new(Limits::default(), now);
    assert_eq!(connection.handle_input(now, request.as_bytes()), request.len());
    match connection.poll_output(now, &mut [0; 1024]) {
        Output::Event(Event::Call { call: Call::Events(query), .. }) => Some(query.filters.0),
        Output::Transmit(_) => None,
        other => panic!("{other:?}"),
    }
}

/// What a text means, read by the rules of the documents: a map of lists (v1.8 on), or a map of maps to anything (v1.22 on).
fn expected(text: &str) -> Option<BTreeMap<String, Vec<String>>> {
    if text.is_empty() {
        return Some(BTreeMap::new());
    }
    // As the daemons did, only the first value is read.
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let value: Value = values.next()?.ok()?;
    let mut filters = BTreeMap::new();
    for (name, values) in value.as_object()? {
        let values = match values {
            Value::Array(list) => list.iter().map(|value| Some(value.as_str()?.to_owned())).collect::<Option<Vec<_>>>()?,
            Value::Object(map) => map.keys().cloned().collect(),
            _ => return None,
        };
        filters.insert(name.clone(), values);
    }
    Some(filters)
}

fuzz_target!(|text: &str| {
    // A request line has a bound, which is not what is tried here.
    if text.len() > 2000 {
        return;
    }
    let sorted = |filters: BTreeMap<String, Vec<String>>| -> BTreeMap<String, Vec<String>> {
        let sort = |mut values: Vec<String>| {
            values.sort();
            values.dedup();
            values
        };
        filters.into_iter().map(|(name, values)| (name, sort(values))).collect()
    };
    let (asked_for, wanted) = (asked(text).map(sorted), expected(text).map(sorted));
    assert_eq!(asked_for, wanted, "{text:?}");
    if let Some(filters) = asked_for {
        let lists = json!(filters).to_string();
        let maps: BTreeMap<_, BTreeMap<_, _>> =
            filters.iter().map(|(name, values)| (name, values.iter().map(|value| (value, true)).collect())).collect();
        if lists.len() <= 2000 {
            assert_eq!(asked(&lists).map(sorted).as_ref(), Some(&filters));
        }
        let maps = json!(maps).to_string();
        if maps.len() <= 2000 {
            assert_eq!(asked(&maps).map(sorted).as_ref(), Some(&filters));
        }
    }
});
