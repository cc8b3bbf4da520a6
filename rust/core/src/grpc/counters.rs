//! The numbers of calls, messages, streams and connections of a channel.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Code;
use crate::transport::Traffic;

/// Counts events of a channel.
///
/// ORDERING: relaxed everywhere; each counter stands alone and readers only want a recent value.
#[derive(Debug, Default)]
pub(super) struct ChannelCounters {
    calls_started: AtomicU64,
    calls_succeeded: AtomicU64,
    calls_failed: AtomicU64,
    messages_sent: AtomicU64,
    messages_received: AtomicU64,
    streams_opened: AtomicU64,
    connections_opened: AtomicU64,
}

fn one_more(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl ChannelCounters {
    pub(super) fn call_started(&self) {
        one_more(&self.calls_started);
    }

    pub(super) fn call_ended(&self, code: Code) {
        one_more(if code == Code::Ok { &self.calls_succeeded } else { &self.calls_failed });
    }

    pub(super) fn message_sent(&self) {
        one_more(&self.messages_sent);
    }

    pub(super) fn message_received(&self) {
        one_more(&self.messages_received);
    }

    pub(super) fn stream_opened(&self) {
        one_more(&self.streams_opened);
    }

    pub(super) fn connection_opened(&self) {
        one_more(&self.connections_opened);
    }

    /// Calls that have begun, ended or not.
    pub(super) fn calls_started(&self) -> u64 {
        self.calls_started.load(Ordering::Relaxed)
    }

    /// Calls that have begun and not ended.
    pub(super) fn calls_active(&self) -> u64 {
        let ended = self.calls_succeeded.load(Ordering::Relaxed) + self.calls_failed.load(Ordering::Relaxed);
        self.calls_started().saturating_sub(ended)
    }

    /// All of it by name, together with the bytes moved.
    #[must_use]
    pub(super) fn snapshot(&self, traffic: &Traffic) -> Vec<(&'static str, u64)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ("calls_started", self.calls_started()),
            ("calls_succeeded", read(&self.calls_succeeded)),
            ("calls_failed", read(&self.calls_failed)),
            ("calls_active", self.calls_active()),
            ("messages_sent", read(&self.messages_sent)),
            ("messages_received", read(&self.messages_received)),
            ("streams_opened", read(&self.streams_opened)),
            ("connections_opened", read(&self.connections_opened)),
            ("wire_bytes_sent", traffic.wire.sent()),
            ("wire_bytes_received", traffic.wire.received()),
            ("content_bytes_sent", traffic.content.sent()),
            ("content_bytes_received", traffic.content.received()),
        ]
    }
}
