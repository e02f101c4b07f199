//! Names for containers that were given none: an adjective and a port or shipyard word.

/// Whether `name` may name a container: `[a-zA-Z0-9][a-zA-Z0-9_.-]+` (Docker's `RestrictedNamePattern`).
pub(super) fn is_valid(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name.len() >= 2
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// A name from random bits; `attempt` above 3 adds a number, as the names may be running out.
pub(super) fn invent(random: u64, attempt: u32) -> String {
    let pick = |words: &[&'static str], bits: u64| words[usize::try_from(bits % words.len() as u64).unwrap_or(0)];
    let name = format!("{}_{}", pick(ADJECTIVES, random), pick(NOUNS, random >> 20));
    if attempt < 4 {
        name
    } else {
        format!("{name}{}", (random >> 40) % 100_000)
    }
}

const ADJECTIVES: &[&str] = &[
    "able", "amber", "ample", "ashore", "awake", "balmy", "blithe", "bold", "brave", "breezy", "bright", "brisk",
    "broad", "calm", "candid", "careful", "cheery", "chilly", "clear", "clever", "coastal", "copper", "cosy", "crisp",
    "daring", "dapper", "deft", "eager", "early", "earnest", "even", "fair", "fearless", "fleet", "fond", "fresh",
    "frosty", "gentle", "giddy", "glad", "golden", "grand", "hardy", "hasty", "hearty", "honest", "humble", "jaunty",
    "jolly", "keen", "kind", "laden", "lively", "lofty", "loyal", "lucid", "mellow", "merry", "mighty", "modest",
    "neat", "nimble", "noble", "patient", "placid", "plucky", "polite", "prompt", "proud", "quick", "quiet", "ready",
    "robust", "salty", "sandy", "serene", "sharp", "silver", "sleek", "snug", "sober", "solid", "spry", "stable",
    "staunch", "steady", "stoic", "sturdy", "sunny", "swift", "tidal", "tidy", "trim", "trusty", "upbeat", "valiant",
    "vivid", "warm", "wary", "willing", "windy", "wise", "witty", "zesty",
];

const NOUNS: &[&str] = &[
    "anchor",
    "barge",
    "basin",
    "beacon",
    "berth",
    "bollard",
    "boom",
    "bosun",
    "bow",
    "breaker",
    "brig",
    "buoy",
    "cable",
    "canal",
    "capstan",
    "cargo",
    "clipper",
    "cog",
    "compass",
    "coaster",
    "crane",
    "crate",
    "current",
    "cutter",
    "davit",
    "deck",
    "derrick",
    "dhow",
    "dock",
    "dockhand",
    "dory",
    "fathom",
    "ferry",
    "fender",
    "foghorn",
    "galley",
    "gangway",
    "gannet",
    "grapnel",
    "gull",
    "gunwale",
    "halyard",
    "harbour",
    "hatch",
    "hawser",
    "helm",
    "hoist",
    "hold",
    "hull",
    "jetty",
    "jib",
    "keel",
    "ketch",
    "knot",
    "lagoon",
    "lantern",
    "launch",
    "lighter",
    "lock",
    "lugger",
    "manifest",
    "marina",
    "mast",
    "mole",
    "mooring",
    "oar",
    "pallet",
    "packet",
    "pier",
    "pilot",
    "pinnace",
    "port",
    "prow",
    "pulley",
    "punt",
    "quay",
    "raft",
    "reef",
    "rigger",
    "rudder",
    "sail",
    "schooner",
    "sextant",
    "sheave",
    "shoal",
    "skiff",
    "skipper",
    "slipway",
    "sloop",
    "spar",
    "stern",
    "stevedore",
    "tackle",
    "tanker",
    "tender",
    "thwart",
    "tide",
    "tiller",
    "trawler",
    "tug",
    "wharf",
    "winch",
    "windlass",
    "yawl",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        let rows = [
            ("ab", true),
            ("a.b-c_9", true),
            ("9lives", true),
            ("a", false),
            ("", false),
            ("-ab", false),
            ("_ab", false),
            ("a b", false),
            ("a/b", false),
            ("ä-b", false),
            ("../x", false),
            ("ab\n", false),
        ];
        for (name, valid) in rows {
            assert_eq!(is_valid(name), valid, "{name:?}");
        }
    }

    #[test]
    fn invented_names_are_valid() {
        for n in 0..20_000_u64 {
            let random = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            assert!(is_valid(&invent(random, u32::from(n % 7 == 0) * 5)));
        }
    }
}
