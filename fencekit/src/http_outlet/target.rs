//! Where a request goes, from one of the URL options.

use std::fmt;

use crate::error::{Error, Result};
use crate::options::Settings;
use crate::secret::Secret;
use crate::transport::Endpoint;
use crate::transport::http::Scheme;

/// A device's address with its scheme: everything of a URL that decides which connection is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) endpoint: Endpoint,
    pub(super) scheme: Scheme,
}

impl Origin {
    /// From `ip`, `ipport`, `ssl`, `ssl_secure` and `ssl_insecure`; `None` without `ip`.
    pub(super) fn from_settings(settings: &Settings) -> Result<Option<Self>> {
        let scheme = Scheme::from_settings(settings)?;
        if settings.text("ip").is_none() {
            return Ok(None);
        }
        let endpoint = Endpoint::from_settings(settings, scheme.standard_port())?;
        Ok(Some(Self { endpoint, scheme }))
    }
}

/// Where one of the requests goes. Path and query may hold a token and are not shown.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) origin: Origin,
    path_and_query: Secret,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Target {
    pub(super) fn path_and_query(&self) -> &str {
        self.path_and_query.expose()
    }

    /// From a URL option: a whole URL, or a path at `ip`; `None` when the option is left out.
    ///
    /// # Errors
    /// [`Error::Config`] for what is neither, for credentials or a fragment within, for a path without `ip`, and for
    /// `http://` where TLS was asked for.
    pub(super) fn from_settings(
        settings: &Settings,
        option: &str,
        base: Option<&Origin>,
    ) -> Result<Option<Self>> {
        let Some(text) = settings.text(option).map(str::trim) else {
            return Ok(None);
        };
        if text.starts_with('/') && !text.starts_with("//") {
            return Self::of_path(option, text, base).map(Some);
        }
        Self::of_url(settings, option, text).map(Some)
    }

    fn of_path(option: &str, path: &str, base: Option<&Origin>) -> Result<Self> {
        let origin = base.ok_or_else(|| {
            Error::config(
                option,
                "is a path, but ip is missing",
                "give ip, or write a whole URL as http://plug-b/off",
            )
        })?;
        // Any host will do: only the path is read, with everything encoded that has to be.
        let url = url::Url::parse("http://localhost")
            .and_then(|url| url.join(path))
            .map_err(|cause| not_a_url(option).caused_by(cause))?;
        Self::new(option, origin.clone(), &url)
    }

    fn of_url(settings: &Settings, option: &str, text: &str) -> Result<Self> {
        let url = url::Url::parse(text).map_err(|cause| not_a_url(option).caused_by(cause))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::config(
                option,
                "holds a user name or password",
                "leave them out of the URL, and give them as username and password",
            ));
        }
        // Read in octal, or with numbers left out, an address is another one than it seems to be.
        if let Some(url::Host::Ipv4(read)) = url.host()
            && host_as_written(text) != read.to_string()
        {
            return Err(Error::config(
                option,
                format!("holds an address that is read as {read}, and is not written so"),
                "write all four numbers, in decimal and without zeros before them, as http://10.20.20.202/off",
            ));
        }
        let insecure = settings.boolean("ssl_insecure");
        let wants_tls = insecure || settings.boolean("ssl") || settings.boolean("ssl_secure");
        let scheme = match url.scheme() {
            "http" if wants_tls => {
                return Err(Error::config(
                    option,
                    "begins with http://, but ssl is on",
                    "write https://, or leave ssl out",
                ));
            }
            "http" => Scheme::Http,
            "https" if insecure => Scheme::HttpsUnverified.available(option)?,
            "https" => Scheme::HttpsVerified.available(option)?,
            _ => return Err(not_a_url(option)),
        };
        let host = url.host_str().ok_or_else(|| not_a_url(option))?;
        let port = url.port().unwrap_or(scheme.standard_port());
        let endpoint = Endpoint::new(settings, host, port).map_err(|error| match error {
            Error::Config { option: of, .. } if of == "ip" => not_a_url(option),
            other => other,
        })?;
        Self::new(option, Origin { endpoint, scheme }, &url)
    }

    fn new(option: &str, origin: Origin, url: &url::Url) -> Result<Self> {
        // It is never sent: of "/outlet/#2", the device would see "/outlet/", and may switch another outlet.
        if url.fragment().is_some() {
            return Err(Error::config(
                option,
                "has a #, and what follows one is not sent",
                "write %23 for a #",
            ));
        }
        let path_and_query = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self {
            origin,
            path_and_query: Secret::from(path_and_query),
        })
    }
}

/// The host of a URL whose host is no IPv6 address.
fn host_as_written(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    authority.split(':').next().unwrap_or_default()
}

/// Without the value: it may hold a token.
fn not_a_url(option: &str) -> Error {
    Error::config(
        option,
        "is no URL",
        "write it as http://plug-b/off or https://plug-b/off, or give ip and begin it with a slash",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Method;

    fn target(options: &[(&str, &str)]) -> Result<Target> {
        let mut settings = Settings::new(Method::Http);
        for (name, value) in options {
            settings.set(name, value).unwrap();
        }
        let base = Origin::from_settings(&settings)?;
        Ok(Target::from_settings(&settings, "status_url", base.as_ref())?.unwrap())
    }

    #[test]
    fn whole_urls_and_paths_are_understood() {
        let whole = target(&[("status_url", "http://plug-b:8080/relay?turn=off")]).unwrap();
        assert_eq!(
            (whole.origin.endpoint.host.as_str(), whole.origin.endpoint.port),
            ("plug-b", 8080)
        );
        assert_eq!(whole.path_and_query(), "/relay?turn=off");
        let path = target(&[("ip", "10.0.0.1"), ("ipport", "81"), ("status_url", "/a b?x=ü")]).unwrap();
        assert_eq!(
            (path.origin.endpoint.host.as_str(), path.origin.endpoint.port),
            ("10.0.0.1", 81)
        );
        assert_eq!(path.path_and_query(), "/a%20b?x=%C3%BC");
        // A whole URL goes where it says, whatever ip is.
        let both = target(&[("ip", "10.0.0.1"), ("status_url", "http://[::1]/s")]).unwrap();
        assert_eq!(
            (both.origin.endpoint.host.as_str(), both.origin.endpoint.port),
            ("::1", 80)
        );
        assert_eq!(
            target(&[("status_url", "http://plug-b")])
                .unwrap()
                .path_and_query(),
            "/"
        );
    }

    #[test]
    fn what_is_no_url_is_refused_without_showing_it() {
        for wrong in [
            "10.0.0.1/off?token=hunter2",
            "ftp://plug-b/hunter2",
            "//plug-b/hunter2",
            "http://",
            "http://pl ug/hunter2",
            "http://admin:hunter2@plug-b/off",
            "http://hunter2@plug-b/off",
            "/off?hunter2",
        ] {
            let error = target(&[("status_url", wrong)]).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(
                text.starts_with("status_url: ") && !text.contains("hunter2"),
                "{text}"
            );
        }
    }

    fn is_told_of_the_fragment(options: &[(&str, &str)]) {
        let error = target(options).unwrap_err().to_string();
        assert!(
            error.starts_with("status_url: ") && error.ends_with("write %23 for a #"),
            "{error}"
        );
    }

    #[test]
    fn a_path_with_a_fragment_is_refused() {
        is_told_of_the_fragment(&[("ip", "::1"), ("status_url", "/outlet/#2")]);
        is_told_of_the_fragment(&[("ip", "::1"), ("status_url", "/outlet#")]);
        let encoded = target(&[("ip", "::1"), ("status_url", "/outlet/%232")]).unwrap();
        assert_eq!(encoded.path_and_query(), "/outlet/%232");
    }

    #[test]
    fn a_whole_url_with_a_fragment_is_refused() {
        is_told_of_the_fragment(&[("status_url", "http://plug-b/outlet/#2")]);
        is_told_of_the_fragment(&[("status_url", "http://plug-b/?outlet=#2")]);
        let encoded = target(&[("status_url", "http://plug-b/?outlet=%232")]).unwrap();
        assert_eq!(encoded.path_and_query(), "/?outlet=%232");
    }

    #[test]
    fn an_address_that_is_another_one_than_it_seems_is_refused() {
        for host in [
            "10.20.20.010",
            "10.20.202",
            "0x0a.20.20.8",
            "169090600",
            "10.20.20.010:80",
            "10.20.20.%38",
        ] {
            let url = format!("http://{host}/s?token=hunter2");
            let text = target(&[("status_url", &url)]).unwrap_err().to_string();
            assert!(
                text.starts_with("status_url: holds an address that is read as 10.")
                    && !text.contains("hunter2"),
                "{text}"
            );
        }
        for host in [
            "10.20.20.8",
            "10.20.20.8:81",
            "plug-1",
            "plug.lan",
            "node2.example:80",
        ] {
            assert!(
                target(&[("status_url", &format!("http://{host}/s"))]).is_ok(),
                "{host}"
            );
        }
        assert!(target(&[("status_url", "http://10.20.20.8")]).is_ok());
    }

    #[test]
    fn a_token_is_not_shown() {
        let target = target(&[("status_url", "http://plug-b/s?token=hunter2")]).unwrap();
        assert!(!format!("{target:?}").contains("hunter2"));
    }

    #[test]
    fn plain_http_contradicts_ssl() {
        let error = target(&[("ssl_insecure", "1"), ("status_url", "http://plug-b/s")]);
        assert!(error.is_err());
    }

    #[cfg(feature = "tls")]
    #[test]
    fn https_is_verified_unless_told_otherwise() {
        let scheme = |options: &[(&str, &str)]| target(options).unwrap().origin.scheme;
        assert_eq!(
            scheme(&[("status_url", "https://plug-b/s")]),
            Scheme::HttpsVerified
        );
        let insecure = [("status_url", "https://plug-b/s"), ("ssl_insecure", "1")];
        assert_eq!(scheme(&insecure), Scheme::HttpsUnverified);
        assert_eq!(
            scheme(&[("ip", "::1"), ("ssl", "1"), ("status_url", "/s")]),
            Scheme::HttpsVerified
        );
    }
}
