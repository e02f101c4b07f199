//! Calls that reach a registry, and the logins that come with them.

use alloc::{boxed::Box, string::String};

use crate::Secret;

/// `POST /auth`: try a login at its registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthCheck {
    /// What to try.
    pub login: Login,
    /// Keep it, if it is good, for [`RegistryAuth::Stored`] and `GET /auth`. True in v1.0 and v1.1 only.
    pub store: bool,
}

/// `POST /images/{name}/insert` (below v1.12): an image of another one and a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageInsert {
    /// Image reference, id or id prefix.
    pub image: String,
    /// Where the file comes from.
    pub url: String,
    /// Where it is put in the image.
    pub path: String,
}

/// `POST /images/create` with `fromImage`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImagePull {
    /// Repository, as the client wrote it; it may hold a tag or digest.
    pub repository: String,
    /// Tag or digest; empty when none was given.
    pub tag: String,
    /// Who pulls.
    pub auth: RegistryAuth,
}

/// `POST /images/{name}/push`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImagePush {
    /// Repository, as the client wrote it.
    pub image: String,
    /// Tag; empty means all tags of the repository.
    pub tag: String,
    /// A registry to push to instead of the one that the repository names (v1.0 only); empty when none was given.
    pub registry: String,
    /// Who pushes.
    pub auth: RegistryAuth,
}

/// `GET /images/search`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageSearch {
    /// What to search for; it may begin with a registry.
    pub term: String,
    /// Only images that are built by themselves, or only others.
    pub is_automated: Option<bool>,
    /// Only official images, or only others.
    pub is_official: Option<bool>,
    /// Only images with at least so many stars.
    pub stars_min: u64,
    /// At most so many, from 1 to 100; `None` leaves it to the daemon (dockerd asks for 25).
    pub limit: Option<u8>,
    /// Who searches.
    pub auth: RegistryAuth,
}

/// Who talks to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RegistryAuth {
    /// The client: `X-Registry-Auth`, or the body of a push.
    Login(Box<Login>),
    /// Nobody in particular.
    #[default]
    None,
    /// The daemon, with the last login that an [`AuthCheck`] had it store; nobody when there is none (v1.0 and v1.1).
    Stored,
}

/// A name and what proves it, as clients send them: JSON with the keys `username`, `password`, `email`, `serveraddress`,
/// `identitytoken` and `registrytoken`, all of them text. What a client leaves out is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// Name of the account.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// Its mail address, which the first registries asked for.
    pub email: String,
    /// The registry, with or without scheme and path; empty means the daemon's default.
    pub server_address: String,
    /// Stands for the password at the token server (v1.23).
    pub identity_token: Secret,
    /// Goes to the registry as it is, as bearer token (v1.22).
    pub registry_token: Secret,
}

impl Login {
    /// There is neither a name nor a token.
    pub fn is_empty(&self) -> bool {
        self.username.is_empty()
            && self.password.is_empty()
            && self.identity_token.is_empty()
            && self.registry_token.is_empty()
    }
}
