//! The head of a call's request.

use std::sync::Arc;
use std::time::Instant;

use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request as HttpRequest};

use super::call::Request;
use super::compression::{self, Encoding};
use super::profile::{GRPC_ENCODING, Profile};
use super::raw_path::{self, RawPath, RawPaths};
use super::{Code, Status, metadata};
use crate::error::excerpt;

const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The head, and what keeps its method's name known until it is sent.
pub(super) fn head(
    request: &Request,
    profile: &Profile,
    raw_paths: &Arc<RawPaths>,
) -> Result<(HttpRequest<()>, Option<RawPath>), Status> {
    let (path, raw_path) = raw_path::path(&request.path, raw_paths).ok_or_else(|| {
        let (shown, longest) = (excerpt(&request.path), raw_path::LONGEST_NAME);
        let expected = format!("expected at most {longest} bytes, without NUL or line breaks");
        Status::new(Code::Internal, format!("no header can hold the method {shown}, {expected}"))
    })?;
    Ok((profile.head(path, headers(request, profile)?)?, raw_path))
}

fn headers(request: &Request, profile: &Profile) -> Result<HeaderMap, Status> {
    let too_many = |_| Status::new(Code::Internal, metadata::too_many());
    let mut headers = HeaderMap::try_with_capacity(8 + request.metadata.keys_len()).map_err(too_many)?;
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if request.encoding != Encoding::Identity {
        headers.insert(GRPC_ENCODING, HeaderValue::from_static(request.encoding.name()));
    }
    headers.insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static(compression::ACCEPTED));
    if let Some(deadline) = request.deadline {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let timeout = HeaderValue::try_from(timeout_header(remaining.as_nanos()));
        headers.insert(GRPC_TIMEOUT, timeout.map_err(|error| Status::new(Code::Internal, error))?);
    }
    headers.insert(USER_AGENT, profile.user_agent.clone());
    for (name, value) in &request.metadata {
        headers.try_append(name, value.clone()).map_err(too_many)?;
    }
    Ok(headers)
}

/// At most eight digits and a unit, as precise as they allow, and never zero.
fn timeout_header(nanoseconds: u128) -> String {
    const LARGEST: u128 = 99_999_999;
    let units = [(1, 'n'), (1000, 'u'), (1_000_000, 'm'), (1_000_000_000, 'S'), (60_000_000_000, 'M')];
    let (size, unit) =
        units.into_iter().find(|(size, _)| nanoseconds / size < LARGEST).unwrap_or((3_600_000_000_000, 'H'));
    format!("{}{unit}", nanoseconds.div_ceil(size).clamp(1, LARGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_legal_and_precise() {
        for (nanoseconds, header) in [
            (0, "1n"),
            (100, "100n"),
            (500_000_000, "500000u"),
            (10_000_000_000, "10000000u"),
            (1_000_000_000_000, "1000000m"),
            (1_000_000_000_000_000, "1000000S"),
            (u128::MAX, "99999999H"),
        ] {
            assert_eq!(timeout_header(nanoseconds), header);
        }
    }
}
