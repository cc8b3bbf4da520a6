//! Properties that all calls of one client have in common: the heads of requests, and the limits of responses.

use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use super::metadata::{self, Metadata};
use super::{Code, Status};

/// The encoding of a call's messages.
pub(super) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Properties of every call of a client.
#[derive(Clone)]
pub(super) struct Profile {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    pub(super) user_agent: HeaderValue,
    /// Largest message accepted, in bytes.
    pub(super) max_receive: usize,
    /// Largest metadata accepted, in bytes as HTTP/2 counts them.
    pub(super) max_metadata: usize,
}

impl Profile {
    /// The head of a request.
    pub(super) fn head(&self, path: PathAndQuery, headers: HeaderMap) -> Result<Request<()>, Status> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        let uri = Uri::from_parts(parts).map_err(|error| Status::new(Code::Internal, error))?;
        let mut head = Request::new(());
        *head.method_mut() = Method::POST;
        *head.version_mut() = Version::HTTP_2;
        *head.uri_mut() = uri;
        *head.headers_mut() = headers;
        Ok(head)
    }

    /// Refuses oversize metadata, with the metadata itself if it is not much too large: it often tells what is wrong.
    pub(super) fn check_metadata(&self, headers: &HeaderMap) -> Result<(), (Status, Metadata)> {
        let (size, limit) = (metadata::size(headers), self.max_metadata);
        if size <= limit {
            return Ok(());
        }
        let text = format!("received metadata size exceeds hard limit ({size} vs. {limit})");
        let shown = if size <= 2 * limit { metadata::decode(headers).0 } else { Vec::new() };
        Err((Status::new(Code::ResourceExhausted, text), shown))
    }
}
