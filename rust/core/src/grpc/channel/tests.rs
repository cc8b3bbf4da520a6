#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::grpc::Framed;
use crate::grpc::call::event;
use crate::grpc::compression::Encoding;
use crate::grpc::target::{Target, TargetConnector};
use crate::transport::Traffic;

/// How long a call of these tests may take at most.
const LIMIT: Duration = Duration::from_secs(10);
const HEADERS: u8 = 1;
const SETTINGS_FRAME: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// GOAWAY with NO_ERROR, after which no stream was processed.
const GOAWAY_BEFORE_ALL: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// GOAWAY with NO_ERROR, after which stream 1 may have been processed.
const GOAWAY_AFTER_FIRST: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
const RESET_REFUSED: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
const RESET_CANCEL: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
const SILENCE: &[u8] = &[];

fn request(message: Option<Framed>) -> Request {
    Request {
        path: Bytes::from_static(b"/test.Test/Call"),
        metadata: http::HeaderMap::new(),
        encoding: Encoding::Identity,
        deadline: None,
        wait_for_ready: false,
        single_response: true,
        message,
        max_send: 1 << 20,
    }
}

fn unary() -> Request {
    request(Some(Framed::from(Bytes::from_static(&[0, 0, 0, 0, 0]))))
}

fn channel_to(target: &str) -> Channel {
    let target = Target::parse(target);
    let settings = ChannelSettings {
        secure: false,
        authority: target.authority(),
        user_agent: HeaderValue::from_static("test"),
        max_receive: 1 << 20,
        max_metadata: 1 << 14,
        keepalive: None,
        initial_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(1),
        idle_timeout: None,
    };
    Channel::new(Box::new(TargetConnector::new(target, None, Traffic::default(), LIMIT)), settings)
}

/// A peer that answers the first request of each connection by these bytes and then closes it, or, by no bytes, leaves
/// it open. Further connections are refused.
async fn peer(answers: &'static [&'static [u8]]) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut listener = Some(listener);
        let mut sockets = Vec::new();
        for (index, answer) in answers.iter().enumerate() {
            let (mut socket, _) = listener.as_ref().unwrap().accept().await.unwrap();
            if index + 1 == answers.len() {
                listener = None;
            }
            answer_first(&mut socket, answer).await;
            sockets.push(socket);
        }
        std::future::pending::<()>().await;
    });
    channel_to(&target)
}

async fn answer_first(socket: &mut TcpStream, answer: &[u8]) {
    socket.write_all(SETTINGS_FRAME).await.unwrap();
    let mut preface = [0; 24];
    socket.read_exact(&mut preface).await.unwrap();
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        socket.read_exact(&mut payload).await.unwrap();
        if head[3] == HEADERS {
            break;
        }
    }
    if !answer.is_empty() {
        socket.write_all(answer).await.unwrap();
        socket.shutdown().await.unwrap();
    }
}

/// Runs a call to its end.
async fn ended(channel: &Channel, request: Request) -> Call {
    assert!(!channel.admit());
    let call = Call::new(&request, None);
    timeout(LIMIT, channel.clone().run(call.clone(), request)).await.unwrap();
    assert!(call.code().is_some());
    call
}

async fn until(holds: impl Fn() -> bool) {
    timeout(LIMIT, async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn panic_ends_the_call() {
    let call = Call::new(&request(None), None);
    let broken = call.clone();
    let task = tokio::spawn(async move {
        let counters = ChannelCounters::default();
        let _running = RunningCall { call: &broken, counters: &counters };
        std::panic::resume_unwind(Box::new("as a bug would"));
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!((call.code(), call.begun()), (Some(Code::Internal), false));
}

#[tokio::test]
async fn call_without_a_connection_has_not_begun() {
    let call = ended(&channel_to("127.0.0.1:1"), unary()).await;
    assert_eq!((call.code(), call.begun()), (Some(Code::Unavailable), false));
    let late = Request { deadline: Some(Instant::now() + Duration::from_millis(20)), wait_for_ready: true, ..unary() };
    let call = ended(&channel_to("127.0.0.1:1"), late).await;
    assert_eq!((call.code(), call.begun()), (Some(Code::DeadlineExceeded), false));
    let channel = channel_to("127.0.0.1:1");
    channel.close(Status::new(Code::Cancelled, "closed"));
    assert!(!ended(&channel, unary()).await.begun());
}

#[tokio::test]
async fn call_whose_connection_dies_has_begun() {
    for answer in [&[GOAWAY_AFTER_FIRST] as &[&[u8]], &[RESET_CANCEL]] {
        let call = ended(&peer(answer).await, unary()).await;
        assert!(call.begun(), "{:?}", call.end());
    }
}

#[tokio::test]
async fn call_that_ends_at_its_deadline_without_a_response_has_begun() {
    let late = Request { deadline: Some(Instant::now() + Duration::from_millis(300)), ..unary() };
    let call = ended(&peer(&[SILENCE]).await, late).await;
    assert_eq!((call.code(), call.begun()), (Some(Code::DeadlineExceeded), true));
}

#[tokio::test]
async fn refused_stream_has_not_begun() {
    let call = ended(&peer(&[RESET_REFUSED]).await, unary()).await;
    assert_eq!((call.code(), call.begun()), (Some(Code::Unavailable), false));
}

#[tokio::test]
async fn call_beyond_the_last_stream_of_a_goaway_has_not_begun_until_its_next_attempt() {
    let call = ended(&peer(&[GOAWAY_BEFORE_ALL]).await, unary()).await;
    assert_eq!((call.code(), call.begun()), (Some(Code::Unavailable), false), "{:?}", call.end());
    let call = ended(&peer(&[GOAWAY_BEFORE_ALL, RESET_CANCEL]).await, unary()).await;
    assert_eq!((call.code(), call.begun()), (Some(Code::Cancelled), true));
}

#[tokio::test]
async fn call_that_was_never_processed_and_cannot_be_sent_again_has_not_begun() {
    let (channel, request) = (peer(&[GOAWAY_BEFORE_ALL]).await, request(None));
    let call = Call::new(&request, None);
    // More than is kept for another attempt.
    assert!(!call.send(&vec![0; 300 << 10]));
    assert!(!channel.admit());
    timeout(LIMIT, channel.run(call.clone(), request)).await.unwrap();
    assert_eq!((call.code(), call.begun()), (Some(Code::Unavailable), false), "{:?}", call.end());
}

#[tokio::test]
async fn call_says_that_it_has_begun_while_it_runs() {
    let (channel, request) = (peer(&[SILENCE]).await, unary());
    let call = Call::new(&request, None);
    assert!(!call.begun());
    assert!(!channel.admit());
    let running = tokio::spawn(channel.run(call.clone(), request));
    until(|| call.begun()).await;
    assert!(call.wait(event::BEGUN, Duration::ZERO));
    assert!(call.cancel(Status::new(Code::Cancelled, "by the caller")));
    timeout(LIMIT, running).await.unwrap().unwrap();
    assert!(call.begun());
}

#[test]
fn call_that_its_caller_has_ended_is_not_begun() {
    let call = Call::new(&request(None), None);
    assert!(call.cancel(Status::new(Code::Cancelled, "by the caller")));
    assert!(!call.begin());
    assert!(!call.begun());
}

#[test]
fn what_was_told_of_an_ended_call_stays() {
    let call = Call::new(&request(None), None);
    assert!(call.begin());
    call.finish(Status::unavailable("the end").into());
    call.withdraw();
    assert!(call.begun());
}
