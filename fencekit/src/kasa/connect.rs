//! The way in: which port answers, and what is spoken there. Found anew on every connection, since a firmware update
//! or a power cycle may change it; what worked last is only tried first.

use std::time::Duration;

use super::aes::{AesLink, LazyKeyPair, LoginVersion};
use super::carrier::Carrier;
use super::credentials::Account;
use super::dialect::{Dialect, is_not_spoken};
use super::discovery::{Advert, knock};
use super::klap::{KlapLink, Version};
use super::link::{Greeting, Link};
use super::outlets::Report;
use super::tpap::TpapLink;
use super::xor::XorLink;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::transport::http::Scheme;
use crate::transport::{Endpoint, Steps};

/// Where XOR is spoken.
pub(super) const XOR_PORT: u16 = 9999;
/// Where the others are.
pub(super) const HTTP_PORT: u16 = 80;
/// How long a first try of a port may take to connect while another one is left. Enough for one lost packet.
const FIRST_TRY: Duration = Duration::from_millis(1500);

/// A woken device opens its port after this long.
const AFTER_WAKING: Duration = Duration::from_millis(250);

/// What carries the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Xor,
    Klap,
    Aes,
    Tpap,
}

impl Transport {
    /// As the `transport` option has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Xor => "xor",
            Self::Klap => "klap",
            Self::Aes => "aes",
            Self::Tpap => "tpap",
        }
    }
}

/// How to reach a device.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// `None` for auto.
    pub(super) transport: Option<Transport>,
    /// Host, and the port where one is given.
    pub(super) endpoint: Endpoint,
    pub(super) port_given: bool,
    pub(super) steps: Steps,
    pub(super) account: Option<Account>,
    /// Whether a wrong signature of a KLAP reply is a failure.
    pub(super) strict_signature: bool,
    /// For AES.
    pub(super) keys: LazyKeyPair,
}

/// What worked last: tried first, and nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hint {
    transport: Transport,
    dialect: Dialect,
    /// For AES.
    login: LoginVersion,
}

/// An open way to a device that has reported.
pub(super) struct Opened {
    pub(super) link: Box<dyn Link>,
    pub(super) transport: Transport,
    pub(super) dialect: Dialect,
    pub(super) report: Report,
    login: LoginVersion,
}

impl Opened {
    pub(super) fn hint(&self) -> Hint {
        Hint {
            transport: self.transport,
            dialect: self.dialect,
            login: self.login,
        }
    }
}

/// A port and what to try there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Xor(u16),
    Http(u16),
}

impl Route {
    /// Connects, logs in where there is a login, and asks for the first report. Where every door is closed, the device is
    /// woken and tried once more.
    ///
    /// # Errors
    /// That of the most telling door.
    pub(super) async fn open(&self, hint: Option<Hint>, deadline: Deadline) -> Result<Opened> {
        let error = match self.try_doors(&self.doors(hint), hint, deadline).await {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        let closed = matches!(error, Error::Unreachable { .. } | Error::Timeout { .. });
        if !closed || self.transport == Some(Transport::Xor) {
            return Err(error);
        }
        let Some(advert) = self.advert(deadline).await else {
            return Err(error);
        };
        log::debug!(
            "{}: the ports are closed, but the device answers; trying again",
            self.endpoint.host
        );
        if !deadline.sleep(AFTER_WAKING).await {
            return Err(error);
        }
        let advertised = advert.port.filter(|_| !self.port_is_fixed());
        let port = advertised.unwrap_or_else(|| self.port(HTTP_PORT));
        self.enter_http(port, self.steps, hint, deadline).await
    }

    async fn try_doors(&self, doors: &[Door], hint: Option<Hint>, deadline: Deadline) -> Result<Opened> {
        let mut worst: Option<Error> = None;
        for (at, door) in doors.iter().enumerate() {
            let mut steps = self.steps;
            if at + 1 < doors.len() {
                steps.connect = steps.connect.min(FIRST_TRY);
            }
            match self.enter(*door, steps, hint, deadline).await {
                Ok(opened) => return Ok(opened),
                // Wrong credentials, a refusal: another door cannot lead further.
                Err(error) if !error.is_transient() => return Err(error),
                Err(error) => worst = Some(more_telling(worst, error)),
            }
        }
        Err(worst.unwrap_or_else(|| Error::unreachable("nothing was tried")))
    }

    /// What the device says of itself over UDP, which it does without a login.
    async fn advert(&self, deadline: Deadline) -> Option<Advert> {
        let addresses = self.endpoint.resolve(deadline).await.ok()?;
        knock(addresses.first()?.ip(), deadline).await
    }

    fn port(&self, standard: u16) -> u16 {
        if self.port_is_fixed() {
            self.endpoint.port
        } else {
            standard
        }
    }

    /// Whether nothing but the port that was given is tried. While the transport is to be found, a standard port says
    /// no more than which transport was found there once: a firmware update moves the device to the other one.
    fn port_is_fixed(&self) -> bool {
        let standard = [XOR_PORT, HTTP_PORT].contains(&self.endpoint.port);
        self.port_given && !(self.transport.is_none() && standard)
    }

    /// The doors to try, the likeliest first: a plug with a login most probably speaks HTTP.
    fn doors(&self, hint: Option<Hint>) -> Vec<Door> {
        let (xor, http) = (Door::Xor(self.port(XOR_PORT)), Door::Http(self.port(HTTP_PORT)));
        let xor_first = match (self.transport, hint) {
            (Some(Transport::Xor), _) => return vec![xor],
            (Some(_), _) => return vec![http],
            (None, Some(hint)) => hint.transport == Transport::Xor,
            (None, None) if self.port_given && self.endpoint.port == XOR_PORT => true,
            (None, None) if self.port_given && self.endpoint.port == HTTP_PORT => false,
            (None, None) => self.account.is_none(),
        };
        if xor_first {
            vec![xor, http]
        } else {
            vec![http, xor]
        }
    }

    async fn enter(
        &self,
        door: Door,
        steps: Steps,
        hint: Option<Hint>,
        deadline: Deadline,
    ) -> Result<Opened> {
        match door {
            Door::Xor(port) => {
                let link = XorLink::connect(&self.endpoint.at_port(port), steps, deadline).await?;
                match first_report(Box::new(link), Transport::Xor, &[Dialect::Iot], deadline).await? {
                    Tried::Opened(opened) => Ok(opened),
                    Tried::Other(_) => Err(self.not_spoken()),
                }
            }
            Door::Http(port) => self.enter_http(port, steps, hint, deadline).await,
        }
    }

    /// What is spoken over HTTP: what worked last, then the likeliest first. Most plugs speak KLAP, and one that does not
    /// has said so after a single request.
    async fn enter_http(
        &self,
        port: u16,
        steps: Steps,
        hint: Option<Hint>,
        deadline: Deadline,
    ) -> Result<Opened> {
        let endpoint = self.endpoint.at_port(port);
        let mut carrier = Carrier::new(&endpoint, Scheme::Http, steps, deadline).await?;
        let mut order = vec![Transport::Klap, Transport::Tpap, Transport::Aes];
        order.retain(|transport| self.transport.is_none_or(|only| only == *transport));
        order.sort_by_key(|transport| hint.is_none_or(|hint| hint.transport != *transport));
        for transport in order {
            let tried = match transport {
                Transport::Klap => self.try_klap(carrier, hint, deadline).await?,
                Transport::Tpap => self.try_tpap(carrier, &endpoint, steps, deadline).await?,
                Transport::Aes | Transport::Xor => self.try_aes(carrier, hint, deadline).await?,
            };
            match tried {
                Tried::Opened(opened) => return Ok(opened),
                Tried::Other(back) => carrier = back,
            }
        }
        Err(self.not_spoken())
    }

    async fn try_klap(&self, carrier: Carrier, hint: Option<Hint>, deadline: Deadline) -> Result<Tried> {
        match KlapLink::greet(carrier, self.account.clone(), self.strict_signature, deadline).await? {
            Greeting::Spoken(link) => {
                let likely = match (hint, link.version()) {
                    (Some(hint), _) => hint.dialect,
                    (None, Version::V1) => Dialect::Iot,
                    (None, Version::V2) => Dialect::Smart,
                };
                first_report(link, Transport::Klap, &[likely, likely.other()], deadline).await
            }
            Greeting::Other(back) => Ok(Tried::Other(back)),
        }
    }

    async fn try_tpap(
        &self,
        carrier: Carrier,
        endpoint: &Endpoint,
        steps: Steps,
        deadline: Deadline,
    ) -> Result<Tried> {
        match TpapLink::greet(carrier, self.account.clone(), endpoint, steps, deadline).await? {
            Greeting::Spoken(link) => {
                first_report(link, Transport::Tpap, &[Dialect::Smart, Dialect::Iot], deadline).await
            }
            Greeting::Other(back) => Ok(Tried::Other(back)),
        }
    }

    async fn try_aes(&self, carrier: Carrier, hint: Option<Hint>, deadline: Deadline) -> Result<Tried> {
        let mut link = match AesLink::greet(carrier, self.keys.clone(), deadline).await? {
            Greeting::Spoken(link) => link,
            Greeting::Other(back) => return Ok(Tried::Other(back)),
        };
        // The device counts wrong logins, so the right form of the password is asked for, not tried out.
        let (login, told) = match hint.filter(|hint| hint.transport == Transport::Aes) {
            Some(hint) => (hint.login, true),
            None => {
                let told = self
                    .advert(deadline)
                    .await
                    .and_then(|advert| advert.login_version);
                (login_form(self.transport, told)?, told.is_some())
            }
        };
        link.log_in(self.account.clone(), login, deadline)
            .await
            .map_err(|error| if told { error } else { of_a_guess(error) })?;
        let tried = first_report(link, Transport::Aes, &[Dialect::Smart], deadline).await?;
        Ok(match tried {
            Tried::Opened(opened) => Tried::Opened(Opened { login, ..opened }),
            other => other,
        })
    }

    fn not_spoken(&self) -> Error {
        Error::protocol(match self.transport {
            Some(only) => format!(
                "the device answers, but does not speak {}; leave transport out to have it found",
                only.name()
            ),
            None => "the device answers HTTP, but not as a Kasa or Tapo plug; is the address right, or does another \
                     client use the plug just now?"
                .to_owned(),
        })
    }
}

/// The form of the login over AES, from what the device told of it.
///
/// The older form has the password itself in it, under a key of whoever answers at the address; the newer one only its
/// digest. So the older one is sent to a device that asks for it, or when the transport is set to AES, never on a guess.
///
/// # Errors
/// [`Error::Protocol`] when nobody knows the form, or the device names one that is not known.
fn login_form(set: Option<Transport>, told: Option<u64>) -> Result<LoginVersion> {
    match (told, set) {
        (Some(1), _) | (None, Some(Transport::Aes)) => Ok(LoginVersion::One),
        (Some(2), _) => Ok(LoginVersion::Two),
        (Some(other), _) => Err(Error::protocol(format!(
            "the plug wants version {other} of the login over AES, which is not known; update fencekit or the plug"
        ))),
        (None, _) => Err(Error::protocol(
            "the plug speaks AES, but does not say which login it wants; let UDP ports 20002 and 20004 through to it \
             (with transport=aes the oldest form is tried, which shows the password to whoever is at the address)",
        )),
    }
}

/// A login that was refused may have had the wrong form, where that was not told by the device.
fn of_a_guess(error: Error) -> Error {
    match error {
        Error::Authentication { .. } => Error::authentication(
            "the plug refuses the login; either username and password are wrong, or it wants the newer form of the \
             login, which it would say over UDP ports 20002 and 20004: let these through, and leave transport out. Tried \
             once only, since it locks out",
        )
        .caused_by(error),
        other => other,
    }
}

/// What came of trying one transport on a connection.
enum Tried {
    /// It is spoken.
    Opened(Opened),
    /// It is not; the connection can serve to try another.
    Other(Carrier),
}

/// Asks for the first report in the first dialect that the device speaks.
async fn first_report(
    mut link: Box<dyn Link>,
    transport: Transport,
    dialects: &[Dialect],
    deadline: Deadline,
) -> Result<Tried> {
    let mut last = Error::protocol("the device speaks no known dialect");
    for dialect in dialects {
        match dialect.report(link.as_mut(), deadline).await {
            Ok(report) => {
                return Ok(Tried::Opened(Opened {
                    link,
                    transport,
                    dialect: *dialect,
                    report,
                    login: LoginVersion::default(),
                }));
            }
            Err(error) if is_not_spoken(&error) => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Of two failures the one that says more: a device that answered something over one that was slow, over none.
fn more_telling(one: Option<Error>, other: Error) -> Error {
    let weight = |error: &Error| match error {
        Error::Unreachable { .. } => 0,
        Error::Timeout { .. } => 1,
        _ => 2,
    };
    match one {
        Some(one) if weight(&one) >= weight(&other) => one,
        _ => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(transport: Option<Transport>, port: Option<u16>) -> Route {
        let mut settings = crate::options::Settings::new(crate::method::Method::Kasa);
        settings.set("ip", "192.0.2.1").unwrap();
        if let Some(port) = port {
            settings.set("ipport", &port.to_string()).unwrap();
        }
        Route {
            transport,
            endpoint: Endpoint::from_settings(&settings, XOR_PORT).unwrap(),
            port_given: port.is_some(),
            steps: Steps::from_settings(&settings),
            account: None,
            strict_signature: false,
            keys: LazyKeyPair::default(),
        }
    }

    #[test]
    fn a_standard_port_bars_no_transport_unless_one_is_set() {
        let doors = |transport, port| route(transport, port).doors(None);
        let (xor, http) = (Door::Xor(9999), Door::Http(80));
        assert_eq!(doors(None, None), [xor, http]);
        assert_eq!(doors(None, Some(9999)), [xor, http]);
        assert_eq!(doors(None, Some(80)), [http, xor]);
        assert_eq!(doors(None, Some(8080)), [Door::Xor(8080), Door::Http(8080)]);
        assert_eq!(doors(Some(Transport::Xor), Some(80)), [Door::Xor(80)]);
        assert_eq!(doors(Some(Transport::Klap), Some(9999)), [Door::Http(9999)]);
        // What worked last comes first.
        let hint = Hint {
            transport: Transport::Klap,
            dialect: Dialect::Iot,
            login: LoginVersion::default(),
        };
        assert_eq!(route(None, Some(9999)).doors(Some(hint)), [http, xor]);
    }

    #[test]
    fn the_password_itself_is_sent_only_when_asked_for_or_set() {
        let form = |set, told| login_form(set, told).ok();
        for set in [None, Some(Transport::Aes)] {
            assert_eq!(form(set, Some(1)), Some(LoginVersion::One));
            assert_eq!(form(set, Some(2)), Some(LoginVersion::Two));
            assert_eq!(form(set, Some(3)), None);
        }
        assert_eq!(form(Some(Transport::Aes), None), Some(LoginVersion::One));
        let unknown = login_form(None, None).unwrap_err();
        assert!(unknown.is_transient(), "{unknown:?}");
        let said = unknown.to_string();
        assert!(said.contains("20002") && said.contains("20004"), "{said}");
    }
}
