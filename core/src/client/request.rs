//! A [`Call`] as the bytes of a request of some version.

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

use super::{
    Options, Unspeakable,
    answer::{Answering, Expects},
    ask::{Ask, ask},
};
use crate::{
    Call, base64,
    decode::{self, Body, REGISTRY_AUTH, REGISTRY_CONFIG},
    dialect::{self, ApiVersion, Manner},
    exchange::clean,
    http::{BodyLength, Outgoing, OutgoingBody},
    limits::Limits,
    query,
    route::{self, Route},
};

/// The request that makes `call`: head, and the body unless it is streamed.
///
/// # Errors
/// The version has no such endpoint, or cannot express a part of the call.
pub fn encode(call: &Call, options: &Options) -> Result<Outgoing, Unspeakable> {
    prepare(call, options).map(|(outgoing, _)| outgoing)
}

/// What was asked, for reading the answer.
#[derive(Debug)]
pub(super) struct Asked {
    version: ApiVersion,
    manner: Manner,
    route: Route,
    expects: Expects,
    tty: bool,
}

impl Asked {
    pub(super) fn answering(&self, limits: &Limits) -> Answering {
        let &Self {
            version,
            manner,
            route,
            expects,
            tty,
        } = self;
        Answering::new(version, manner, route, expects, tty, limits)
    }
}

pub(super) fn prepare(call: &Call, options: &Options) -> Result<(Outgoing, Asked), Unspeakable> {
    let version = options.version;
    let unspeakable = |what| Unspeakable { what, version };
    let Ask {
        route,
        name,
        mut asked,
        tty,
        hijacks,
        expects,
    } = ask(call, version).map_err(unspeakable)?;
    if !dialect::has_route(version, route) {
        return Err(unspeakable(call.endpoint().to_owned()));
    }
    if route == Route::ContainerAttach
        && let Some(keys) = &options.detach_keys
    {
        asked.query.set("detachKeys", keys);
    }
    dialect::lower_call(version, route, &mut asked).map_err(unspeakable)?;

    let Some((method, path)) = route::path(route, &name).filter(|(_, path)| clean(path).is_none()) else {
        return Err(unspeakable(format!("the name {name:?} in a path")));
    };
    let mut target = format!("/v{version}");
    query::encode(&path, "/:@", &mut target);
    let parameters = asked.query.encode();
    if !parameters.is_empty() {
        target.push('?');
        target.push_str(&parameters);
    }
    let mut headers: Vec<(&'static str, String)> = [("Host", options.host.clone())].into();
    for name in [REGISTRY_AUTH, REGISTRY_CONFIG] {
        if let Some(login) = asked.body.remove(name) {
            let login = serde_json::to_vec(&login).map_err(|e| unspeakable(format!("the login: {e}")))?;
            headers.push((name, base64::encode(&login, base64::URL_SAFE)));
        }
    }
    let body = match decode::body(route, &asked.query) {
        Body::None => OutgoingBody::None,
        Body::Optional if asked.body.is_empty() => OutgoingBody::None,
        Body::Optional | Body::Required => {
            headers.push(("Content-Type", "application/json".into()));
            let body = serde_json::to_vec(&asked.body).map_err(|e| unspeakable(format!("the body: {e}")))?;
            OutgoingBody::Full(body.into())
        }
        Body::Stream => {
            headers.push(("Content-Type", "application/x-tar".into()));
            OutgoingBody::Stream(match options.body_len {
                None => BodyLength::Chunked,
                Some(0) => BodyLength::None,
                Some(len) => BodyLength::Known(len),
            })
        }
    };
    let outgoing = Outgoing {
        method,
        target,
        headers,
        body,
        hijacks,
        upgrade: hijacks && options.upgrade,
    };
    let asked = Asked {
        version,
        manner: dialect::manner(version, route),
        route,
        expects,
        tty: tty.unwrap_or(options.tty),
    };
    Ok((outgoing, asked))
}
