#![allow(clippy::unwrap_used)]

use super::*;
use crate::grpc::compression::Encoding;

#[tokio::test]
async fn panic_ends_the_call() {
    let request = Request {
        path: bytes::Bytes::new(),
        metadata: http::HeaderMap::new(),
        encoding: Encoding::Identity,
        deadline: None,
        wait_for_ready: false,
        single_response: true,
        message: None,
        max_send: 0,
    };
    let call = Call::new(&request, None);
    let broken = call.clone();
    let task = tokio::spawn(async move {
        let counters = ChannelCounters::default();
        let _running = RunningCall { call: &broken, counters: &counters };
        std::panic::resume_unwind(Box::new("as a bug would"));
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(call.code(), Some(Code::Internal));
}
