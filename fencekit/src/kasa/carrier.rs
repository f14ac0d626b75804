//! HTTP POSTs to a plug, which closes connections as it likes.

use std::io::ErrorKind;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::transport::http::{Exchange, HttpClient, HttpOptions, Reply, Request, Scheme};
use crate::transport::{Endpoint, Steps};

/// A plug that closed a connection takes the next one only after this long.
const REST: Duration = Duration::from_millis(250);

/// An HTTP client for one session.
pub(super) struct Carrier {
    http: HttpClient,
    /// Whether the device has answered on this port.
    answered: bool,
}

impl Carrier {
    pub(super) async fn new(
        endpoint: &Endpoint,
        scheme: Scheme,
        steps: Steps,
        deadline: Deadline,
    ) -> Result<Self> {
        let options = HttpOptions {
            scheme,
            keep_alive: true,
            title_case: true,
        };
        Ok(Self {
            http: HttpClient::new(endpoint, options, steps, deadline).await?,
            answered: false,
        })
    }

    /// Sends a request. One that met a closed connection, after earlier ones went well, is sent a second time on a
    /// new one: everything that is sent here may be repeated. [`post_once`](Self::post_once) is for what may not.
    pub(super) async fn post(&mut self, request: Request, deadline: Deadline) -> Result<Reply> {
        let first = self.http.exchange(request.clone(), deadline).await;
        let outcome = match first {
            Err(Error::Unreachable { .. } | Error::Protocol { .. }) if self.answered => {
                if !deadline.sleep(REST).await {
                    return first;
                }
                self.http.exchange(request, deadline).await
            }
            other => other,
        };
        self.answered |= outcome.is_ok();
        outcome
    }
    /// Sends a request that must not reach the device twice. It is tried again only when there was no connection to
    /// send it on.
    pub(super) async fn post_once(&mut self, request: Request, deadline: Deadline) -> Result<Reply> {
        let first = self.http.exchange(request.clone(), deadline).await;
        let outcome = match first {
            Err(error) if self.answered && was_refused(&error) && deadline.sleep(REST).await => {
                self.http.exchange(request, deadline).await
            }
            other => other,
        };
        self.answered |= outcome.is_ok();
        outcome
    }
}

/// Whether nobody took the connection, so that nothing was sent.
fn was_refused(error: &Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some_and(|cause| cause.kind() == ErrorKind::ConnectionRefused)
}

#[cfg(test)]
pub(super) use tests::hangs_up;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::method::Method;
    use crate::options::Settings;

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    /// A device that answers one request, and hangs up on each one after it, once it has it.
    pub(in crate::kasa) async fn hangs_up() -> (u16, Arc<AtomicU32>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 1024];
                while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    if counted.fetch_add(1, Ordering::Relaxed) > 0 {
                        break;
                    }
                    stream.write_all(OK).await.unwrap();
                }
            }
        });
        (port, requests)
    }

    #[tokio::test]
    async fn what_must_not_come_twice_is_sent_once() {
        for (once, seen) in [(true, 2), (false, 3)] {
            let (port, requests) = hangs_up().await;
            let mut settings = Settings::new(Method::Kasa);
            settings.set("ip", "127.0.0.1").unwrap();
            settings.set("ipport", &port.to_string()).unwrap();
            let endpoint = Endpoint::from_settings(&settings, port).unwrap();
            let deadline = Deadline::after(Duration::from_secs(10));
            let steps = Steps::from_settings(&settings);
            let mut carrier = Carrier::new(&endpoint, Scheme::Http, steps, deadline)
                .await
                .unwrap();
            let request = Request::post("/", "{}".to_owned());
            carrier.post_once(request.clone(), deadline).await.unwrap();
            let outcome = match once {
                true => carrier.post_once(request, deadline).await,
                false => carrier.post(request, deadline).await,
            };
            assert!(outcome.unwrap_err().is_transient());
            assert_eq!(requests.load(Ordering::Relaxed), seen);
        }
    }
}
