//! The client against raw sockets that break the rules one by one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;
use crate::Method;

/// A server of raw bytes. Every connection is handed to `serve`; what it read of each request is noted.
struct Raw {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Raw {
    /// Answers every request on every connection with the same bytes, then closes it.
    async fn saying(reply: impl Into<Vec<u8>>) -> Self {
        let reply: Vec<u8> = reply.into();
        Self::serving(move |mut stream, requests| {
            let reply = reply.clone();
            async move {
                if let Some(request) = read_request(&mut stream).await {
                    requests.lock().unwrap().push(request);
                    let _ = stream.write_all(&reply).await;
                    let _ = stream.shutdown().await;
                }
            }
        })
        .await
    }

    async fn serving<F, Fut>(serve: F) -> Self
    where
        F: Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::listening(TcpListener::bind("127.0.0.1:0").await.unwrap(), serve)
    }

    fn listening<F, Fut>(listener: TcpListener, serve: F) -> Self
    where
        F: Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (noted, counted) = (Arc::clone(&requests), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&noted)));
            }
        });
        Self {
            address,
            requests,
            connections,
            task,
        }
    }

    /// Stops listening, once that has come to pass.
    async fn close(&self) {
        self.task.abort();
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    async fn client(&self, keep_alive: bool) -> HttpClient {
        client(self.address, keep_alive).await
    }

    async fn get(&self) -> Result<Reply> {
        self.client(false)
            .await
            .exchange(Request::get("/x"), long())
            .await
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

const OPTIONS: HttpOptions = HttpOptions {
    scheme: Scheme::Http,
    keep_alive: false,
    title_case: true,
};

const STEPS: Steps = Steps {
    connect: Duration::from_secs(2),
    exchange: Duration::from_secs(8),
};

async fn client(address: SocketAddr, keep_alive: bool) -> HttpClient {
    let settings = crate::Settings::new(Method::Http);
    let endpoint = Endpoint::new(&settings, "127.0.0.1", address.port()).unwrap();
    let options = HttpOptions {
        keep_alive,
        ..OPTIONS
    };
    HttpClient::new(&endpoint, options, STEPS, long()).await.unwrap()
}

/// A client for a name with these addresses, which have one port.
async fn client_of_name(addresses: &[SocketAddr]) -> HttpClient {
    let settings = crate::Settings::new(Method::Http);
    let endpoint = Endpoint::new(&settings, "Plug.Test", addresses[0].port()).unwrap();
    HttpClient::with_one_of(addresses, &endpoint, OPTIONS, STEPS, long())
        .await
        .unwrap()
}

fn long() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

/// One request with its body; `None` when the client is gone.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 1024];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            if body.len() >= length {
                return Some(text);
            }
        }
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
    }
}

fn is_protocol(outcome: &Result<Reply>) -> bool {
    matches!(outcome, Err(Error::Protocol { .. }))
}

#[tokio::test]
async fn whole_replies_in_every_framing_are_read() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOFF",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nO\r\n2;ext=1\r\nFF\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\nOFF",
        "HTTP/1.1 200\r\n\r\nOFF",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOFF",
        "HTTP/1.1 200 OK\ncontent-length: 3\n\nOFF",
    ] {
        let raw = Raw::saying(reply).await;
        let got = raw.get().await.unwrap();
        assert_eq!((got.status, got.text().as_str()), (200, "OFF"), "{reply}");
    }
}

#[tokio::test]
async fn cut_and_broken_replies_are_errors() {
    for reply in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Len",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nOFF",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nOFF\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nOFF",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nOFF\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nOFF",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nOFF",
        "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nOFF",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\nOFF",
        "HTTP/9.9 200 OK\r\n\r\nOFF",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\0\0\0\0\r\n\r\n",
        "OFF",
    ] {
        let raw = Raw::saying(reply).await;
        let got = raw.get().await;
        assert!(is_protocol(&got), "{reply:?}: {got:?}");
        assert_eq!(raw.requests().len(), 1, "{reply:?} was asked for again");
    }
}

#[tokio::test]
async fn what_stands_after_a_whole_reply_is_not_read() {
    let raw = Raw::saying(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nONHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOFF",
    )
    .await;
    assert_eq!(raw.get().await.unwrap().text(), "ON");
    assert_eq!(raw.get().await.unwrap().text(), "ON");
}

#[tokio::test]
async fn an_empty_body_carries_its_length() {
    let raw = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let client = raw.client(false).await;
    let _ = client.exchange(Request::post("/off", ""), long()).await.unwrap();
    let _ = client
        .exchange(Request::post("/off", "a=1"), long())
        .await
        .unwrap();
    let _ = client.exchange(Request::get("/s"), long()).await.unwrap();
    let requests = raw.requests();
    assert!(requests[0].contains("\r\nContent-Length: 0\r\n"), "{requests:?}");
    assert!(requests[1].contains("\r\nContent-Length: 3\r\n") && requests[1].ends_with("a=1"));
    assert!(!requests[2].to_ascii_lowercase().contains("content-length"));
    assert!(
        requests
            .iter()
            .all(|request| !request.contains("Origin") && !request.contains("Cookie"))
    );
}

#[tokio::test]
async fn caches_are_told_to_ask_the_device_itself() {
    let raw = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let client = raw.client(false).await;
    let own = Request::get("/s").header("cache-control", "no-store");
    for request in [Request::get("/s"), Request::post("/off", ""), own] {
        let _ = client.exchange(request, long()).await.unwrap();
    }
    let lines = |request: &String| {
        let names = ["cache-control", "pragma"];
        let lines = request.lines().map(str::to_ascii_lowercase);
        lines
            .filter(|line| names.iter().any(|name| line.starts_with(name)))
            .collect::<Vec<_>>()
    };
    let usual = vec![
        "cache-control: no-cache".to_owned(),
        "pragma: no-cache".to_owned(),
    ];
    let requests = raw.requests();
    assert_eq!(lines(&requests[0]), usual);
    assert_eq!(lines(&requests[1]), usual);
    let mut replaced = lines(&requests[2]);
    replaced.sort();
    assert_eq!(replaced, ["cache-control: no-store", "pragma: no-cache"]);
}

#[tokio::test]
async fn absurd_limits_of_steps_do_not_overflow() {
    let raw = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nON").await;
    let mut settings = crate::Settings::new(Method::Http);
    for option in ["login_timeout", "shell_timeout"] {
        settings.set(option, "1.8e19").unwrap();
    }
    let endpoint = Endpoint::new(&settings, "127.0.0.1", raw.address.port()).unwrap();
    let steps = Steps::from_settings(&settings);
    let client = HttpClient::new(&endpoint, OPTIONS, steps, long()).await.unwrap();
    let reply = client.exchange(Request::get("/x"), long()).await.unwrap();
    assert_eq!(reply.text(), "ON");
}

#[tokio::test]
async fn a_redirect_is_handed_back_and_not_followed() {
    let elsewhere = Raw::saying("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOFF").await;
    for status in [301, 302, 303, 307, 308] {
        let place = format!("http://u:pw@{}/off?token=hunter2", elsewhere.address);
        let raw = Raw::saying(format!(
            "HTTP/1.1 {status} Moved\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
        let reply = raw.get().await.unwrap();
        assert_eq!(reply.status, status);
        let shown = reply.redirect().unwrap();
        assert_eq!(shown, format!("\"http://{}\"", elsewhere.address));
    }
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_endless_body_is_left_at_the_cap() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3B9ACA00\r\n",
    ] {
        let written = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&written);
        let raw = Raw::serving(move |mut stream, _| {
            let count = Arc::clone(&count);
            async move {
                let _ = read_request(&mut stream).await;
                let _ = stream.write_all(head.as_bytes()).await;
                let block = vec![b' '; 64 * 1024];
                while count.load(Ordering::SeqCst) < 1_000_000_000 && stream.write_all(&block).await.is_ok() {
                    count.fetch_add(block.len(), Ordering::SeqCst);
                }
            }
        })
        .await;
        let got = raw.get().await;
        assert!(is_protocol(&got), "{got:?}");
        assert!(got.unwrap_err().to_string().contains("larger than 256 KiB"));
        tokio::time::sleep(Duration::from_millis(50)).await;
        // The cap, and what the two socket buffers hold.
        assert!(written.load(Ordering::SeqCst) < 32_000_000, "{written:?}");
    }
}

#[tokio::test]
async fn header_bombs_are_errors() {
    let many = format!(
        "HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n",
        "X-A: b\r\n".repeat(10_000)
    );
    let long_one = format!(
        "HTTP/1.1 200 OK\r\nX-A: {}\r\nContent-Length: 0\r\n\r\n",
        "b".repeat(2_000_000)
    );
    let long_line = format!("HTTP/1.1 200 {}\r\n\r\n", "b".repeat(2_000_000));
    for bomb in [many, long_one, long_line] {
        let raw = Raw::saying(bomb).await;
        let got = raw.get().await;
        assert!(got.is_err(), "{got:?}");
    }
}

#[tokio::test]
async fn an_endless_head_and_a_silent_server_end_in_time() {
    let endless: fn(usize) -> &'static [u8] = |sent| {
        if sent == 0 {
            b"HTTP/1.1 200 OK\r\n"
        } else {
            b"X: y\r\n"
        }
    };
    let continues: fn(usize) -> &'static [u8] = |_| b"HTTP/1.1 100 Continue\r\n\r\n";
    let silent: fn(usize) -> &'static [u8] = |_| b"";
    for say in [endless, continues, silent] {
        let raw = Raw::serving(move |mut stream, requests| async move {
            if let Some(request) = read_request(&mut stream).await {
                requests.lock().unwrap().push(request);
            }
            for sent in 0..10_000 {
                if stream.write_all(say(sent)).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let started = Instant::now();
        let client = raw.client(false).await;
        let got = client
            .exchange(Request::get("/x"), Deadline::after(Duration::from_millis(700)))
            .await;
        assert!(
            got.is_err() && started.elapsed() < Duration::from_secs(5),
            "{got:?}"
        );
        assert_eq!(raw.requests().len(), 1);
    }
}

/// A reset after the request may hide that it was obeyed: it is an error, and nothing is sent again.
#[tokio::test]
async fn nothing_is_sent_again_behind_our_back() {
    for keep_alive in [false, true] {
        let raw = Raw::serving(|mut stream, requests| async move {
            if let Some(request) = read_request(&mut stream).await {
                requests.lock().unwrap().push(request);
            }
            let _ = stream.set_zero_linger();
        })
        .await;
        let client = raw.client(keep_alive).await;
        for request in [Request::get("/off"), Request::post("/off", "")] {
            let got = client.exchange(request, long()).await;
            assert!(
                matches!(got, Err(Error::Unreachable { .. } | Error::Protocol { .. })),
                "{got:?}"
            );
        }
        assert_eq!(raw.requests().len(), 2);
    }
}

/// The server promises to keep the connection and closes it: every request still arrives once.
#[tokio::test]
async fn a_broken_promise_to_keep_the_connection_loses_and_doubles_nothing() {
    let raw = Raw::saying("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nON").await;
    let client = raw.client(true).await;
    for number in 0..20 {
        let got = client.exchange(Request::get(format!("/{number}")), long()).await;
        assert!(got.is_ok() || raw.requests().len() == number, "{got:?}");
    }
    let requests = raw.requests();
    let mut unique = requests.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), requests.len());
}

/// A second reply that nobody asked for must not become the answer to the next question.
#[tokio::test]
async fn a_doubled_reply_does_not_answer_the_next_request() {
    for keep_alive in [false, true] {
        let raw = Raw::serving(|mut stream, _| async move {
            let stale = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOFF";
            let fresh = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nON";
            while let Some(request) = read_request(&mut stream).await {
                if request.starts_with("GET /first") {
                    let _ = stream.write_all(&[&stale[..], &stale[..]].concat()).await;
                } else {
                    let _ = stream.write_all(fresh).await;
                }
            }
        })
        .await;
        let client = raw.client(keep_alive).await;
        assert_eq!(
            client
                .exchange(Request::get("/first"), long())
                .await
                .unwrap()
                .text(),
            "OFF"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Ok(reply) = client.exchange(Request::get("/second"), long()).await {
            assert_eq!(reply.text(), "ON");
        }
    }
}

#[tokio::test]
async fn connections_are_closed_at_once_unless_kept() {
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    let raw = Raw::serving(move |mut stream, _| {
        let open = Arc::clone(&count);
        async move {
            open.fetch_add(1, Ordering::SeqCst);
            while read_request(&mut stream).await.is_some() {
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nON")
                    .await;
            }
            open.fetch_sub(1, Ordering::SeqCst);
        }
    })
    .await;
    let (once, kept) = (raw.client(false).await, raw.client(true).await);
    for client in [&once, &once, &kept, &kept] {
        let _ = client.exchange(Request::get("/"), long()).await.unwrap();
    }
    let until = Instant::now() + Duration::from_secs(5);
    while open.load(Ordering::SeqCst) != 1 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(open.load(Ordering::SeqCst), 1);
    assert_eq!(raw.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn refused_connections_read_well() {
    // Bound, so that nobody else gets the port, but not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let error = client(socket.local_addr().unwrap(), false)
        .await
        .exchange(Request::get("/x"), long())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "unreachable: connecting: connection refused");
}

/// Two devices at one port of two addresses. Each answers with its own number.
async fn two_devices() -> (Raw, Raw) {
    let serving = |listener, reply: &'static [u8]| {
        Raw::listening(listener, move |mut stream, requests| async move {
            while let Some(request) = read_request(&mut stream).await {
                requests.lock().unwrap().push(request);
                let _ = stream.write_all(reply).await;
            }
        })
    };
    loop {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        // Somebody else may have the port there.
        if let Ok(second) = TcpListener::bind(("127.0.0.2", port)).await {
            return (
                serving(first, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"),
                serving(second, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"),
            );
        }
    }
}

/// One device says who it is; the command after that must not go to the other one, which has the same name.
#[tokio::test]
async fn a_session_stays_with_one_address_of_a_name() {
    let (first, second) = two_devices().await;
    let client = client_of_name(&[first.address, second.address]).await;
    let reply = client.exchange(Request::get("/who"), long()).await.unwrap();
    assert_eq!(reply.text(), "1");
    first.close().await;
    let gone = client.exchange(Request::post("/off", ""), long()).await;
    assert!(matches!(gone, Err(Error::Unreachable { .. })), "{gone:?}");
    assert_eq!(second.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_passed_over() {
    let (first, second) = two_devices().await;
    first.close().await;
    let client = client_of_name(&[first.address, second.address]).await;
    for _ in 0..2 {
        let reply = client.exchange(Request::get("/who"), long()).await.unwrap();
        assert_eq!(reply.text(), "2");
    }
}

/// Nothing of a request's target, where a password may stand, gets into an error.
#[tokio::test]
async fn errors_do_not_name_the_target() {
    for reply in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "garbage"] {
        let raw = Raw::saying(reply).await;
        let client = raw.client(false).await;
        let error = client
            .exchange(Request::get("/cm?password=hunter2"), long())
            .await
            .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn redirect_targets_are_shown_without_secrets() {
    let shown = |place: &str| Reply::new(302, &[("Location", place)], b"").redirect().unwrap();
    for (place, seen) in [
        ("/login?next=x&token=hunter2", "another path of its own"),
        ("/api/hunter2//off", "another path of its own"),
        ("hunter2", "another path of its own"),
        ("http://a:hunter2@b/c#hunter2", "\"http://b\""),
        ("https://b:81/api/hunter2/off", "\"https://b:81\""),
        ("HTTP://b?hunter2", "\"HTTP://b\""),
        ("http://b\\hunter2", "\"http://b\""),
        ("//hunter2@b", "\"//b\""),
    ] {
        assert_eq!(shown(place), seen, "{place}");
    }
    assert_eq!(Reply::new(200, &[("Location", "/x")], b"").redirect(), None);
}
