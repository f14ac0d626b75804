//! HTTP POSTs to a plug, which closes connections as it likes.

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
    /// new one: everything that is sent here may be repeated.
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
}
