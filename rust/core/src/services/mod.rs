//! The services of go-plugin that the host itself calls.

pub mod broker;
pub mod controller;
pub mod health;
pub mod stdio;

/// A message without fields.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Empty {}
