//! HTTP/1.1 for the backends: one small trait over `reqwest`, so that nothing else knows of it.
//!
//! Never through a proxy (the environment of a cluster daemon must not decide where a fence goes), never after a
//! redirect (another device would answer), never more than a capped body, and nothing is repeated behind our back.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::transport::endpoint::connect_to_any;
use crate::transport::{Endpoint, Steps};

/// Largest body that any device's reply may have, in bytes. Real ones stay below 16 KiB.
pub(crate) const BODY_LIMIT: usize = 256 * 1024;

/// In the error for a connection that ends before the first whole line of a reply.
pub(crate) const NO_ANSWER: &str = "the device closed the connection without a whole answer";

/// How an HTTPS server's certificate is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTPS with a certificate that the system's authorities vouch for.
    HttpsVerified,
    /// HTTPS with whatever certificate: confidential against listeners only.
    HttpsUnverified,
}

impl Scheme {
    /// From `ssl`, `ssl_secure` and `ssl_insecure`.
    ///
    /// # Errors
    /// [`Error::Config`] when both of the latter are asked for, or this build has no TLS.
    pub(crate) fn from_settings(settings: &crate::Settings) -> Result<Self> {
        match (
            settings.boolean("ssl_secure"),
            settings.boolean("ssl_insecure"),
            settings.boolean("ssl"),
        ) {
            (true, true, _) => Err(Error::config(
                "ssl_insecure",
                "contradicts ssl_secure",
                "leave one of the two out",
            )),
            (_, true, _) => Self::HttpsUnverified.available("ssl_insecure"),
            (true, ..) => Self::HttpsVerified.available("ssl_secure"),
            (.., true) => Self::HttpsVerified.available("ssl"),
            _ => Ok(Self::Http),
        }
    }

    /// Itself, unless it is HTTPS and this build lacks it.
    pub(crate) fn available(self, option: &str) -> Result<Self> {
        if cfg!(feature = "tls") || self == Self::Http {
            return Ok(self);
        }
        Err(Error::config(
            option,
            "needs HTTPS, which this build lacks",
            "build with --features tls",
        ))
    }

    pub(crate) fn name(self) -> &'static str {
        if self == Self::Http { "http" } else { "https" }
    }

    pub(crate) fn standard_port(self) -> u16 {
        if self == Self::Http { 80 } else { 443 }
    }
}

/// Verbs that devices use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Patch,
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

/// One request. `target` is path and query as they go over the wire, percent-encoded already.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) verb: Verb,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// `Some` sends a Content-Length, of 0 for an empty body.
    pub(crate) body: Option<Vec<u8>>,
    /// Reading ends once this holds of the body so far; for a stream that never ends by itself.
    pub(crate) until: Option<fn(&[u8]) -> bool>,
}

impl Request {
    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self {
            verb: Verb::Get,
            target: target.into(),
            headers: Vec::new(),
            body: None,
            until: None,
        }
    }

    pub(crate) fn post(target: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            verb: Verb::Post,
            target: target.into(),
            headers: Vec::new(),
            body: Some(body.into()),
            until: None,
        }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A whole reply: a cut one is an error.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    #[cfg(test)]
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let headers = headers
            .iter()
            .map(|(n, v)| (n.to_ascii_lowercase(), (*v).to_owned()))
            .collect();
        Self {
            status,
            headers,
            body: body.to_vec(),
        }
    }

    /// All values of a header, in order; the name in lower case.
    pub(crate) fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Where the device wants to send us, as scheme and host alone, since a path may hold a key (`/api/KEY/off`); `None`
    /// when that is no redirect.
    pub(crate) fn redirect(&self) -> Option<String> {
        let place = self
            .header("location")
            .next()
            .filter(|_| (300..400).contains(&self.status))?;
        let is_scheme = |text: &str| {
            ["", "http:", "https:"]
                .iter()
                .any(|s| text.eq_ignore_ascii_case(s))
        };
        let Some((scheme, rest)) = place.split_once("//").filter(|(scheme, _)| is_scheme(scheme)) else {
            return Some("another path of its own".to_owned());
        };
        let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        Some(excerpt(&format!("{scheme}//{host}")))
    }

    /// The body as text, with what is not UTF-8 replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Start of the body for an error message: one short printable line.
    pub(crate) fn excerpt(&self) -> String {
        excerpt(&self.text())
    }
}

/// One short printable line of what a device sent.
pub(crate) fn excerpt(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().filter(|c| !c.is_control()).take(80).collect();
    if short.len() < line.len() {
        short.push_str("...");
    }
    if short.is_empty() {
        "an empty body".to_owned()
    } else {
        format!("\"{short}\"")
    }
}

/// Whoever carries a request to a device and its reply back.
#[async_trait]
pub(crate) trait Exchange: Send + Sync {
    /// Sends one request on a connection and reads the whole reply, whatever its status.
    async fn exchange(&self, request: Request, deadline: Deadline) -> Result<Reply>;
}

/// `reqwest` to one endpoint.
pub(crate) struct HttpClient {
    client: reqwest::Client,
    base: String,
    steps: Steps,
}

/// What differs from device to device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpOptions {
    pub(crate) scheme: Scheme,
    /// Keep the connection open between requests of one session.
    pub(crate) keep_alive: bool,
    /// Send `Content-Length` rather than `content-length`: some firmware rejects lower case.
    pub(crate) title_case: bool,
}

impl HttpClient {
    /// A client whose every request goes to `endpoint`. Resolves the name now, and settles on one address where there
    /// are several, so that all requests of a session reach the same device.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::Timeout`] from the look-up, or from the choice among several addresses.
    pub(crate) async fn new(
        endpoint: &Endpoint,
        options: HttpOptions,
        steps: Steps,
        deadline: Deadline,
    ) -> Result<Self> {
        let deadline = deadline.capped(steps.connect);
        let addresses = endpoint.resolve(deadline).await?;
        Self::with_one_of(&addresses, endpoint, options, steps, deadline).await
    }

    /// As [`new`](Self::new), with the addresses that the name has. Given several, `reqwest` would choose anew for each
    /// connection, and ask one device who it is and switch off another.
    async fn with_one_of(
        addresses: &[SocketAddr],
        endpoint: &Endpoint,
        options: HttpOptions,
        steps: Steps,
        deadline: Deadline,
    ) -> Result<Self> {
        let address = match addresses {
            [only] => *only,
            several => connect_to_any(several, deadline)
                .await?
                .peer_addr()
                .map_err(|cause| Error::io("connecting", cause))?,
        };
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .connect_timeout(steps.connect)
            .pool_max_idle_per_host(usize::from(options.keep_alive))
            .pool_idle_timeout(Duration::from_secs(30))
            .tcp_nodelay(true)
            .resolve(&endpoint.host, address);
        if options.title_case {
            builder = builder.http1_title_case_headers();
        }
        let client = with_tls(builder, options.scheme)?
            .build()
            .map_err(|cause| Error::unsupported("the HTTP client cannot be set up").caused_by(cause))?;
        let base = format!(
            "{}://{}:{}",
            options.scheme.name(),
            endpoint.url_host(),
            endpoint.port
        );
        Ok(Self { client, base, steps })
    }

    async fn send(&self, request: Request) -> Result<Reply> {
        let verb = reqwest::Method::from_bytes(request.verb.name().as_bytes())
            .map_err(|cause| Error::unsupported("unknown HTTP method").caused_by(cause))?;
        let mut builder = self
            .client
            .request(verb, format!("{}{}", self.base, request.target));
        // A reply out of a cache on the way would show a state of some time ago. The second one is for old caches.
        let fresh = [("Cache-Control", "no-cache"), ("Pragma", "no-cache")];
        for (name, value) in fresh {
            if !request
                .headers
                .iter()
                .any(|(own, _)| own.eq_ignore_ascii_case(name))
            {
                builder = builder.header(name, value);
            }
        }
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(body) = request.body {
            // An empty body alone would go out without the header, and ESP32 firmware then answers 411.
            builder = builder
                .header("Content-Length", body.len().to_string())
                .body(body);
        }
        let mut response = builder
            .send()
            .await
            .map_err(|cause| failure("sending the request", cause))?;
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|cause| failure("reading the reply", cause))?
        {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(Error::protocol(format!(
                    "the reply is larger than {} KiB; is this the right device?",
                    BODY_LIMIT / 1024
                )));
            }
            body.extend_from_slice(&chunk);
            if request.until.is_some_and(|enough| enough(&body)) {
                break;
            }
        }
        Ok(Reply {
            status,
            headers,
            body,
        })
    }
}

#[async_trait]
impl Exchange for HttpClient {
    async fn exchange(&self, request: Request, deadline: Deadline) -> Result<Reply> {
        let whole = deadline.capped(self.steps.connect.saturating_add(self.steps.exchange));
        whole
            .run("waiting for the device's reply", self.send(request))
            .await
    }
}

#[cfg(feature = "tls")]
fn with_tls(builder: reqwest::ClientBuilder, scheme: Scheme) -> Result<reqwest::ClientBuilder> {
    Ok(builder.tls_backend_preconfigured(super::tls::client_config(scheme)?))
}

#[cfg(not(feature = "tls"))]
fn with_tls(builder: reqwest::ClientBuilder, scheme: Scheme) -> Result<reqwest::ClientBuilder> {
    scheme.available("ssl").map(|_| builder)
}

/// `reqwest` puts the cause several levels down and names the URL, which may hold a password: keep the innermost
/// text and drop the URL.
fn failure(doing: &str, cause: reqwest::Error) -> Error {
    let cause = cause.without_url();
    let doing = if cause.is_connect() { "connecting" } else { doing };
    let mut innermost: &dyn std::error::Error = &cause;
    while let Some(next) = innermost.source() {
        innermost = next;
        let code = next
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::raw_os_error);
        if let Some(code) = code {
            return Error::io(doing, std::io::Error::from_raw_os_error(code));
        }
    }
    let text = innermost.to_string();
    if cause.is_builder() {
        return Error::config(
            "ip",
            "cannot stand in a URL",
            "write an IP address without zone, or a host name",
        )
        .caused_by(cause);
    }
    if text.contains("certificate") || text.contains("UnknownIssuer") {
        return Error::unreachable(format!(
            "the device's certificate is not trusted ({text}); install its authority on this host, or give ssl_insecure=1"
        ))
        .caused_by(cause);
    }
    if cause.is_connect() {
        let what = if cause.is_timeout() {
            "timed out"
        } else {
            text.as_str()
        };
        return Error::unreachable(format!("connecting: {what}")).caused_by(cause);
    }
    if text.contains("connection closed before message completed") {
        return Error::protocol(NO_ANSWER).caused_by(cause);
    }
    Error::protocol(format!("{doing}: {text}")).caused_by(cause)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
