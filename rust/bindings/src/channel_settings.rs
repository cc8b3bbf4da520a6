//! Settings of a channel.

use std::time::Duration;

use ferrule_core::grpc::channel::ChannelSettings;
use ferrule_core::grpc::compression::Encoding;
use ferrule_core::grpc::connection::Keepalive;
use ferrule_core::grpc::target::{Target, local_authority};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::convert::duration;

/// Settings as the Python face passes them: a dict of plain values, already checked.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct PassedChannelSettings {
    authority: Option<String>,
    user_agent: String,
    max_receive_bytes: Option<usize>,
    max_send_bytes: Option<usize>,
    max_metadata_bytes: usize,
    compression: u32,
    keepalive_time: Option<f64>,
    keepalive_timeout: f64,
    keepalive_without_calls: bool,
    initial_backoff: f64,
    max_backoff: f64,
    connect_timeout: f64,
    idle_timeout: Option<f64>,
}

/// The limit where none is set; gRPC's. Without any, a few megabytes could be decompressed to all of the memory.
const MAX_MESSAGE_BYTES: usize = (1 << 31) - 1;

/// Settings that are applied before a message reaches the core's channel.
#[derive(Clone, Copy)]
pub(crate) struct SendOptions {
    pub(crate) encoding: Encoding,
    /// Largest message that may be sent, in bytes.
    pub(crate) max_send: usize,
    pub(crate) connect_timeout: Duration,
}

impl PassedChannelSettings {
    /// For a target, or for a plugin whose connection is there already.
    pub(crate) fn read(self, target: Option<(&Target, bool)>) -> PyResult<(ChannelSettings, SendOptions)> {
        let authority = match (&self.authority, target) {
            (Some(authority), _) => authority.parse().map_err(|error| {
                PyValueError::new_err(format!("authority {authority:?}: {error}, expected HOST:PORT"))
            })?,
            (None, Some((target, _))) => target.authority(),
            (None, None) => local_authority(),
        };
        let user_agent = self.user_agent.parse().map_err(|error| {
            PyValueError::new_err(format!("user agent {:?}: {error}, expected printable ASCII", self.user_agent))
        })?;
        let keepalive = self.keepalive_time.map(|time| {
            let (time, timeout) = (duration(time)?, duration(self.keepalive_timeout)?);
            PyResult::Ok(Keepalive { time, timeout, without_calls: self.keepalive_without_calls })
        });
        let settings = ChannelSettings {
            secure: target.is_some_and(|(_, secure)| secure),
            authority,
            user_agent,
            max_receive: self.max_receive_bytes.unwrap_or(MAX_MESSAGE_BYTES),
            max_metadata: self.max_metadata_bytes,
            keepalive: keepalive.transpose()?,
            initial_backoff: duration(self.initial_backoff)?,
            max_backoff: duration(self.max_backoff)?,
            idle_timeout: self.idle_timeout.map(duration).transpose()?,
        };
        let send_options = SendOptions {
            encoding: Encoding::from_number(self.compression).unwrap_or_default(),
            max_send: self.max_send_bytes.unwrap_or(usize::MAX),
            connect_timeout: duration(self.connect_timeout)?,
        };
        Ok((settings, send_options))
    }
}
