//! Calls about networks.

use alloc::{boxed::Box, string::String};

use crate::model::Endpoint;

/// `POST /networks/{id}/connect`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkConnect {
    /// Network id, unambiguous id prefix, or name.
    pub network: String,
    /// Container id, unambiguous id prefix, or name; never empty.
    pub container: String,
    /// What the container wishes there (v1.22).
    pub endpoint: Option<Box<Endpoint>>,
}

/// `POST /networks/{id}/disconnect`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkDisconnect {
    /// Network id, unambiguous id prefix, or name.
    pub network: String,
    /// Container id, unambiguous id prefix, or name; never empty.
    pub container: String,
    /// Also when the container is gone or its endpoint in disorder (v1.22).
    pub force: bool,
}
