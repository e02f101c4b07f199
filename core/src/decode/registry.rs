//! What calls that reach a registry ask for.

use alloc::{borrow::ToOwned, boxed::Box, format, string::String};

use serde_json::{Map, Value};

use super::filters;
use crate::{
    ImagePush, ImageSearch, Login, Refusal, RegistryAuth, base64,
    dialect::{Failure, Manner},
    json::{self, JsonError},
    query::Query,
};

/// Gives the keys of a login their proper case.
pub(super) fn spell(body: &mut Map<String, Value>) {
    json::spell(body, LOGIN_KEYS);
}

/// The login in `X-Registry-Auth`. As every genuine daemon, this takes one that cannot be read for none.
pub(crate) fn header(text: &str) -> Map<String, Value> {
    let decoded = base64::decode(text).map(|bytes| json::parse(&bytes));
    let Some(Ok(Value::Object(mut map))) = decoded else {
        return Map::new();
    };
    spell(&mut map);
    login(&map).map_or_else(|_| Map::new(), |_| map)
}

/// The login of a body. The errors name the key and never show the value.
pub(super) fn login(body: &Map<String, Value>) -> Result<Login, JsonError> {
    let text = |key: &str| match body.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(JsonError::WrongType {
            key: key.to_owned(),
            why: format!("expected a string, got {}", json::kind(other)),
        }),
    };
    Ok(Login {
        username: text("username")?,
        password: text("password")?.into(),
        email: text("email")?,
        server_address: text("serveraddress")?,
        identity_token: text("identitytoken")?.into(),
        registry_token: text("registrytoken")?.into(),
    })
}

/// Who a request comes from, by the login in its header or body.
pub(super) fn auth(manner: &Manner, body: &Map<String, Value>) -> Result<RegistryAuth, JsonError> {
    let login = login(body)?;
    Ok(match manner.login_stored {
        _ if !login.is_empty() => RegistryAuth::Login(Box::new(login)),
        true => RegistryAuth::Stored,
        false => RegistryAuth::None,
    })
}

/// The call of a push.
pub(super) fn push(
    image: String,
    query: &Query,
    manner: &Manner,
    body: &Map<String, Value>,
) -> Result<ImagePush, Failure> {
    let registry = query.text("registry").filter(|_| manner.push_names_registry);
    Ok(ImagePush {
        image,
        tag: query.text("tag").unwrap_or_default(),
        registry: registry.unwrap_or_default(),
        auth: auth(manner, body).map_err(Failure::BadLogin)?,
    })
}

/// The call of a search.
pub(super) fn search(query: &Query, auth: RegistryAuth) -> Result<ImageSearch, Failure> {
    let filters = filters(query, SEARCH_FILTERS)?;
    let invalid = |name: &str, value: &str| Failure::UnknownFilter(format!("{name}={value}"));
    let flag = |name: &str| match filters.values(name) {
        [] => Ok(None),
        [value] if value == "true" => Ok(Some(true)),
        [value] if value == "false" => Ok(Some(false)),
        values => Err(invalid(name, &format!("[{}]", values.join(" ")))),
    };
    let mut stars_min = 0;
    for value in filters.values("stars") {
        let stars: i64 = value.parse().map_err(|_| invalid("stars", value))?;
        stars_min = stars_min.max(u64::try_from(stars).unwrap_or(0));
    }
    let limit = query.number("limit")?.map(|limit| {
        let fits = u8::try_from(limit).ok().filter(|limit| (1..=100).contains(limit));
        fits.ok_or_else(|| Refusal::BadParameter(format!("Limit {limit} is outside the range of [1, 100]")))
    });
    Ok(ImageSearch {
        term: query.text("term").unwrap_or_default(),
        is_automated: flag("is-automated")?,
        is_official: flag("is-official")?,
        stars_min,
        limit: limit.transpose()?,
        auth,
    })
}

/// Keys of [`Login`].
const LOGIN_KEYS: &[&str] = &[
    "email",
    "identitytoken",
    "password",
    "registrytoken",
    "serveraddress",
    "username",
];

/// Filters of the search (v1.24).
const SEARCH_FILTERS: &[&str] = &["is-automated", "is-official", "stars"];
