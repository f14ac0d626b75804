//! A BMC as a fence device.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::chassis::{self, Control, RestorePolicy};
use super::config::{Config, Privilege};
use super::dcmi;
use super::guid;
use super::lan::{Answer, Request, Verdict, code, code_text};
use super::link::Link;
use super::rmcp::PORT;
use super::suite::Suite;
use crate::deadline::Deadline;
use crate::device::{FenceDevice, Finding, Inspection, Label, Outlet, Readback, Session, Severity};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::method::Method;
use crate::options::Settings;
use crate::power::{Observation, PowerReading, PowerState};
use crate::transport::Endpoint;

/// BMCs answer slowly, and some crash when they are asked too often.
const SHORTEST_POLL: Duration = Duration::from_millis(500);
/// How long a "not possible in the present state" is believed to pass by itself: many BMCs say it to an `on` right
/// after an `off`.
const WRONG_STATE_LIMIT: Duration = Duration::from_secs(10);
const WRONG_STATE_PAUSE: Duration = Duration::from_secs(1);

/// A BMC over IPMI 2.0. It holds no session.
#[derive(Clone, Debug)]
pub struct Bmc {
    label: Label,
    endpoint: Endpoint,
    config: Arc<Config>,
}

impl Bmc {
    /// From the options of method `ipmi`. Nothing is sent.
    ///
    /// # Errors
    /// [`Error::Config`] for an option that is missing, wrong, or weak without being allowed by name.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let endpoint = endpoint(settings)?;
        Ok(Self {
            label: Label {
                method: Method::Ipmi,
                address: endpoint.shown(PORT),
                plug: None,
            },
            endpoint,
            config: Arc::new(Config::from_settings(settings)?),
        })
    }

    /// What lies behind a failure to reach the BMC: one that drops the unknown cipher suite 17 without a word is as silent
    /// as one that is away. It is asked with suite 3, which a fence never does after a silence, since whoever suppresses
    /// packets would choose the suite then. Nothing is switched.
    #[cfg(all(feature = "cluster", feature = "verify"))]
    pub(crate) async fn explained(&self, error: Error, deadline: Deadline) -> Error {
        let unheard =
            std::error::Error::source(&error).is_some_and(|source| source.is::<super::machine::Unheard>());
        if !unheard {
            return error;
        }
        let mut config = Config::clone(&self.config);
        (config.suite, config.fallback) = (Suite::S3, None);
        let older = Self {
            config: Arc::new(config),
            ..self.clone()
        };
        match older.connect(deadline).await {
            Ok(session) => {
                session.close(deadline).await;
                Error::config(
                    "cipher",
                    "the BMC says nothing to cipher suite 17, but opens a session with suite 3",
                    "set cipher=3 for this BMC, or update its firmware to one that has suite 17",
                )
                .caused_by(error)
            }
            // It speaks suite 3; which of the two it will be is to be seen once it can log in.
            Err(heard @ Error::Authentication { .. }) => heard,
            Err(_) => error,
        }
    }

    pub(super) fn config(&self) -> &Arc<Config> {
        &self.config
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

/// The BMC's address. A BMC has one outlet, so `plug` means nothing, except with `port_as_ip`.
fn endpoint(settings: &Settings) -> Result<Endpoint> {
    let plug = settings.plug();
    match plug.text().filter(|_| settings.boolean("port_as_ip")) {
        Some(host) => Endpoint::new(settings, host, settings.integer("ipport").unwrap_or(PORT)),
        None => Endpoint::from_settings(settings, PORT),
    }
}

#[async_trait]
impl FenceDevice for Bmc {
    fn label(&self) -> &Label {
        &self.label
    }

    /// The session is authenticated in both directions, and its sequence numbers keep an old answer from counting.
    fn readback(&self) -> Readback {
        Readback::SameSession
    }

    fn shortest_poll(&self) -> Duration {
        SHORTEST_POLL
    }

    fn as_bmc(&self) -> Option<&Bmc> {
        Some(self)
    }

    async fn connect(&self, deadline: Deadline) -> Result<Box<dyn Session>> {
        let addresses = self.endpoint.resolve(deadline).await?;
        let mut left = addresses.len() as u32;
        let mut last = Error::unreachable("no address was tried");
        for address in addresses {
            let share = deadline.capped(deadline.remaining() / left.max(1));
            left -= 1;
            match Link::open(address, Arc::clone(&self.config), share).await {
                Ok(link) => return Ok(Box::new(Open::new(link))),
                Err(error) if error.is_transient() => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }
}

/// An open session with a BMC.
struct Open {
    link: Link,
    may_switch: bool,
}

impl Open {
    fn new(link: Link) -> Self {
        Self {
            link,
            may_switch: false,
        }
    }

    /// The data of a successful answer.
    async fn data(&mut self, request: Request, deadline: Deadline) -> Result<Vec<u8>> {
        let doing = request.doing;
        let answer = self.link.ask(request, deadline).await?;
        match answer.verdict() {
            Verdict::Success => Ok(answer.data),
            _ => Err(refusal(doing, &answer)),
        }
    }

    /// A session starts at the user level, whatever it was opened for.
    async fn raise_privilege(&mut self, deadline: Deadline) -> Result<()> {
        let privilege = self.link.machine().privilege();
        if self.may_switch || privilege == Privilege::User || self.link.machine().keeps_privilege() {
            return Ok(());
        }
        let request = chassis::set_privilege(privilege);
        let answer = self.link.ask(request, deadline).await?;
        if answer.verdict() != Verdict::Success {
            return Err(Error::authentication(format!(
                "the BMC does not give the user level {privilege} (completion code {:02X}: {}); \
                 raise the user's level on the BMC, or lower privlvl",
                answer.code,
                code_text(answer.code)
            )));
        }
        self.may_switch = true;
        Ok(())
    }

    async fn observe(&mut self, deadline: Deadline) -> Result<Observation> {
        let status = self.data(chassis::status(), deadline).await?;
        Ok(observation(&status))
    }

    fn guid(&self) -> Option<String> {
        self.link.machine().guid().and_then(guid::text)
    }
}

/// What a chassis status, as long as it may be, says of the power.
pub(super) fn observation(status: &[u8]) -> Observation {
    chassis::power(status).unwrap_or_else(|| Observation::unknown("the BMC's chassis status is empty"))
}

/// What one status shows, with the GUID that the session proved.
pub(super) fn inspection(status: &[u8], guid: Option<[u8; 16]>) -> Inspection {
    Inspection {
        identity: guid.and_then(guid::text).map(|guid| Identity {
            guid: Some(guid),
            ..Identity::default()
        }),
        ..Inspection::of(observation(status))
    }
}

/// An explicit no, with what to do about it.
pub(super) fn refusal(doing: &str, answer: &Answer) -> Error {
    let mend = match answer.code {
        code::PRIVILEGE | code::PRIVILEGE_ABOVE_LIMIT => {
            "; set privlvl to operator or administrator, and give the user that level on the BMC"
        }
        _ => "",
    };
    Error::refused(format!(
        "{doing}: completion code {:02X}, {}{mend}",
        answer.code,
        code_text(answer.code)
    ))
}

#[async_trait]
impl Session for Open {
    async fn inspect(&mut self, deadline: Deadline) -> Result<Inspection> {
        let status = self.data(chassis::status(), deadline).await?;
        Ok(inspection(&status, self.link.machine().guid()))
    }

    async fn switch(&mut self, state: PowerState, deadline: Deadline) -> Result<()> {
        self.raise_privilege(deadline).await?;
        let control = match state {
            PowerState::Off => Control::Off,
            PowerState::On => Control::On,
        };
        let while_wrong = deadline.capped(WRONG_STATE_LIMIT);
        loop {
            let request = chassis::control(control);
            let doing = request.doing;
            let answer = self.link.ask(request, deadline).await?;
            match answer.code {
                code::OK => return Ok(()),
                // Some BMCs say this to an off when it is off already. Not taken on trust: looked at.
                code::WRONG_STATE if self.observe(deadline).await?.is(state) => return Ok(()),
                code::WRONG_STATE if while_wrong.sleep(WRONG_STATE_PAUSE).await => {}
                _ => return Err(refusal(doing, &answer)),
            }
        }
    }

    async fn identity(&mut self, deadline: Deadline) -> Result<Identity> {
        let mut identity = Identity {
            guid: self.guid(),
            ..Identity::default()
        };
        for request in [guid::system(), guid::device()] {
            if identity.guid.is_none() {
                let answer = self.link.ask(request, deadline).await?;
                identity.guid = answer.success().and_then(guid::parse).and_then(guid::text);
            }
        }
        let answer = self.link.ask(chassis::device_id(), deadline).await?;
        if let Some(id) = answer.success().and_then(chassis::parse_device_id) {
            identity.model = Some(id.model);
            identity.firmware = Some(id.firmware);
        }
        Ok(identity)
    }

    async fn outlets(&mut self, deadline: Deadline) -> Result<Vec<Outlet>> {
        Ok(vec![Outlet {
            plug: "1".to_owned(),
            alias: "chassis".to_owned(),
            observation: self.observe(deadline).await?,
        }])
    }

    async fn power_reading(&mut self, deadline: Deadline) -> Result<PowerReading> {
        let answer = self.link.ask(dcmi::power_reading(), deadline).await?;
        match answer.success() {
            Some(data) => dcmi::parse_power_reading(data)
                .map(PowerReading::of_watts)
                .map_err(Error::protocol),
            None => Err(Error::unsupported(format!(
                "the BMC has no DCMI power meter (completion code {:02X}, {})",
                answer.code,
                code_text(answer.code)
            ))),
        }
    }

    async fn cycle(&mut self, deadline: Deadline) -> Result<()> {
        self.raise_privilege(deadline).await?;
        self.data(chassis::control(Control::Cycle), deadline)
            .await
            .map(drop)
    }

    async fn findings(&mut self, deadline: Deadline) -> Result<Vec<Finding>> {
        let status = self.data(chassis::status(), deadline).await?;
        let mut findings = status_findings(&status);
        findings.extend(suite_finding(self.link.machine().suite()));
        if let Err(error) = self.raise_privilege(deadline).await {
            findings.push(Finding {
                severity: Severity::Problem,
                topic: "setting",
                detail: error.to_string(),
                mend: "give the user the operator level on the BMC".to_owned(),
            });
        } else if self.link.machine().privilege() == Privilege::User {
            findings.push(Finding {
                severity: Severity::Problem,
                topic: "setting",
                detail: "privlvl=user may read but not switch".to_owned(),
                mend: "set privlvl=operator".to_owned(),
            });
        }
        Ok(findings)
    }

    async fn close(mut self: Box<Self>, deadline: Deadline) {
        self.link.close(deadline).await;
    }
}

fn status_findings(status: &[u8]) -> Vec<Finding> {
    let Some(extras) = chassis::extras(status) else {
        return Vec::new();
    };
    let warnings = [
        (extras.overload, "the BMC reports a power overload"),
        (extras.interlock, "the BMC reports an open chassis interlock"),
        (extras.fault, "the BMC reports a fault of the main power"),
        (
            extras.control_fault,
            "the BMC reports that the power did not follow its last command",
        ),
    ];
    let mut findings: Vec<_> = warnings
        .into_iter()
        .filter(|(found, _)| *found)
        .map(|(_, detail)| Finding {
            severity: Severity::Warning,
            topic: "setting",
            detail: detail.to_owned(),
            mend: "look at the BMC's event log and at the node".to_owned(),
        })
        .collect();
    if extras.restore == Some(RestorePolicy::AlwaysOn) {
        findings.push(Finding {
            severity: Severity::Warning,
            topic: "restore",
            detail:
                "the power restore policy is always-on: a fenced node starts when its mains power returns"
                    .to_owned(),
            mend: "set it to previous or always-off, as with: ipmitool chassis policy previous".to_owned(),
        });
    }
    findings
}

fn suite_finding(suite: Suite) -> Option<Finding> {
    (suite != Suite::S17).then(|| Finding {
        severity: Severity::Info,
        topic: "setting",
        detail: format!("the session uses {suite}; the BMC was not asked for 17, or does not have it"),
        mend: String::new(),
    })
}
