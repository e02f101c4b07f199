//! What happened lately: a ring of events with strictly increasing times.

use std::collections::{BTreeMap, VecDeque};

use gantry_core::{
    EventsQuery,
    model::{Actor, Event, Timestamp},
};

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Events {
    ring: VecDeque<Event>,
    last_nano: i64,
}

impl Events {
    /// Adds an event that happened at `now`. Its time is moved forward when the clock has not advanced since the last
    /// one, so that "since" never skips or repeats.
    pub(crate) fn record(&mut self, now: Timestamp, kind: &str, action: &str, actor: Actor) -> Event {
        let nano = i64::try_from(now.as_nanos())
            .unwrap_or(i64::MAX)
            .max(self.last_nano + 1);
        self.last_nano = nano;
        let repeated = matches!(kind, "container" | "image");
        let event = Event {
            status: if repeated { action.to_owned() } else { String::new() },
            id: if repeated { actor.id.clone() } else { String::new() },
            from: match kind {
                "container" => actor.attributes.get("image").cloned().unwrap_or_default(),
                _ => String::new(),
            },
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor,
            time: nano.div_euclid(1_000_000_000),
            time_nano: nano,
        };
        if self.ring.len() == EVENTS_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back(event.clone());
        event
    }

    /// Those that are kept and that the query asks for, oldest first. None without `since`.
    pub(crate) fn past(&self, query: &EventsQuery) -> Vec<Event> {
        if query.since.is_none() && query.until.is_none() {
            return Vec::new();
        }
        self.ring
            .iter()
            .filter(|event| in_time(query, event) && matches(query, event))
            .cloned()
            .collect()
    }
}

fn in_time(query: &EventsQuery, event: &Event) -> bool {
    let nano = i128::from(event.time_nano);
    query.since.is_none_or(|since| nano >= since.as_nanos()) && query.until.is_none_or(|until| nano <= until.as_nanos())
}

/// Whether the event passes the query's filters.
pub(crate) fn matches(query: &EventsQuery, event: &Event) -> bool {
    let filters = &query.filters;
    let actor = &event.actor;
    let attribute = |name: &str| actor.attributes.get(name).map(String::as_str).unwrap_or_default();
    let names = |filter: &str, kind: &str, extra: &str| {
        let values = filters.values(filter);
        let is = |value: &String| actor.id == *value || attribute("name") == value || attribute(extra) == value;
        let prefix = |value: &String| kind == "container" && value.len() >= 3 && actor.id.starts_with(value.as_str());
        values.is_empty() || (event.kind == kind && values.iter().any(|value| is(value) || prefix(value)))
    };
    let image = || {
        let values = filters.values("image");
        let base = |name: &str| name.rsplit_once(':').map_or(name, |(base, _)| base).to_owned();
        let named = if event.kind == "image" {
            actor.id.as_str()
        } else {
            attribute("image")
        };
        let alias = attribute("name");
        values.is_empty()
            || values.iter().any(|v| {
                named == v || base(named) == *v || (event.kind == "image" && (alias == v || base(alias) == *v))
            })
    };
    let label = || {
        filters
            .values("label")
            .iter()
            .all(|wanted| match wanted.split_once('=') {
                Some((name, value)) => actor.attributes.get(name).is_some_and(|have| have == value),
                None => actor.attributes.contains_key(wanted.as_str()),
            })
    };
    let action = || {
        let values = filters.values("event");
        let first = event.action.split(':').next().unwrap_or_default();
        values.is_empty() || values.iter().any(|v| *v == event.action || v == first)
    };
    filters.allows("type", &event.kind)
        && action()
        && label()
        && image()
        && names("container", "container", "name")
        && names("network", "network", "name")
        && names("volume", "volume", "name")
}

/// The filters that `GET /events` knows.
pub(crate) const FILTERS: &[&str] = &[
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "type",
    "volume",
    "scope",
];

/// An actor from its parts.
pub(crate) fn actor<'a>(id: &str, attributes: impl IntoIterator<Item = (&'a str, String)>) -> Actor {
    let attributes: BTreeMap<_, _> = attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Actor {
        id: id.to_owned(),
        attributes,
    }
}

/// How many events are kept for `since`. Roughly 400 bytes each.
const EVENTS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use gantry_core::model::Filters;

    use super::*;

    fn query(filters: &[(&str, &str)]) -> EventsQuery {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in filters {
            map.entry((*name).to_owned()).or_default().push((*value).to_owned());
        }
        EventsQuery {
            filters: Filters(map),
            ..EventsQuery::default()
        }
    }

    fn die() -> Event {
        let attributes = [
            ("image", "bb:latest".to_owned()),
            ("name", "web".to_owned()),
            ("tier", "x".to_owned()),
        ];
        Events::default().record(
            Timestamp { secs: 7, nanos: 0 },
            "container",
            "die",
            actor(&"ab".repeat(32), attributes),
        )
    }

    #[test]
    fn filters() {
        let rows: &[(&[(&str, &str)], bool)] = &[
            (&[], true),
            (&[("type", "container")], true),
            (&[("type", "image")], false),
            (&[("container", "web")], true),
            (&[("container", "abab")], true),
            (&[("container", "other"), ("container", "web")], true),
            (&[("container", "other")], false),
            (&[("image", "bb")], true),
            (&[("image", "bb:latest")], true),
            (&[("image", "b")], false),
            (&[("event", "die"), ("event", "start")], true),
            (&[("event", "start")], false),
            (&[("label", "tier")], true),
            (&[("label", "tier=x")], true),
            (&[("label", "tier=y")], false),
            (&[("type", "container"), ("container", "web"), ("event", "die")], true),
        ];
        for (filters, wanted) in rows {
            assert_eq!(matches(&query(filters), &die()), *wanted, "{filters:?}");
        }
    }

    #[test]
    fn times_strictly_increase_and_the_ring_is_bounded() {
        let mut events = Events::default();
        let now = Timestamp { secs: 1, nanos: 0 };
        let times: Vec<_> = (0..EVENTS_MAX + 10)
            .map(|_| events.record(now, "container", "x", Actor::default()).time_nano)
            .collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        let query = EventsQuery {
            since: Some(Timestamp::from_nanos(i128::from(times[0]))),
            ..EventsQuery::default()
        };
        assert_eq!(events.past(&query).len(), EVENTS_MAX);
    }
}
