//! A conversation with a device about one of its outlets, in either dialect.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::iot;
use super::link::Link;
use super::outlets::{Chosen, Report};
use crate::deadline::Deadline;
use crate::device::{Inspection, Outlet, Session};
use crate::error::Result;
use crate::identity::Identity;
use crate::options::Plug;
use crate::power::{PowerReading, PowerState};
use crate::transport::DeviceLock;

/// A report that was read while connecting serves the first look only for this long.
const FRESH: Duration = Duration::from_millis(500);

/// An open session. The lock goes when it does.
pub(super) struct KasaSession {
    link: Box<dyn Link>,
    plug: Plug,
    /// What the device reported while the transport was being found, for the first look.
    first: Option<(Report, Instant)>,
    chosen: Option<Chosen>,
    _lock: DeviceLock,
}

impl KasaSession {
    pub(super) fn new(link: Box<dyn Link>, plug: Plug, first: Option<Report>, lock: DeviceLock) -> Self {
        Self {
            link,
            plug,
            first: first.map(|report| (report, Instant::now())),
            chosen: None,
            _lock: lock,
        }
    }

    async fn report(&mut self, deadline: Deadline) -> Result<Report> {
        if let Some((report, at)) = self.first.take()
            && at.elapsed() < FRESH
        {
            return Ok(report);
        }
        let reply = self.link.ask(&iot::ask_sysinfo(), deadline).await?;
        iot::report(&reply)
    }

    /// The child to address, from an earlier look or a new one.
    async fn child(&mut self, deadline: Deadline) -> Result<Option<String>> {
        if self.chosen.is_none() {
            self.chosen = Some(self.report(deadline).await?.choose(&self.plug)?);
        }
        Ok(self.chosen.as_ref().and_then(|chosen| chosen.child.clone()))
    }
}

#[async_trait]
impl Session for KasaSession {
    async fn inspect(&mut self, deadline: Deadline) -> Result<Inspection> {
        let report = self.report(deadline).await?;
        let chosen = report.choose(&self.plug)?;
        let inspection = Inspection {
            identity: Some(report.identity),
            ..Inspection::of(chosen.observation.clone())
        };
        self.chosen = Some(chosen);
        Ok(inspection)
    }

    async fn switch(&mut self, state: PowerState, deadline: Deadline) -> Result<()> {
        let child = self.child(deadline).await?;
        // Whatever was read before says nothing about what comes after.
        self.first = None;
        let request = iot::set_relay(child.as_deref(), state);
        iot::relay_accepted(&self.link.ask(&request, deadline).await?)
    }

    async fn identity(&mut self, deadline: Deadline) -> Result<Identity> {
        Ok(self.report(deadline).await?.identity)
    }

    async fn outlets(&mut self, deadline: Deadline) -> Result<Vec<Outlet>> {
        let report = self.report(deadline).await?;
        Ok(report
            .numbered()
            .map(|(number, outlet)| Outlet {
                plug: number.to_string(),
                alias: outlet.alias.clone().unwrap_or_default(),
                observation: outlet.observation.clone(),
            })
            .collect())
    }

    async fn power_reading(&mut self, deadline: Deadline) -> Result<PowerReading> {
        let child = self.child(deadline).await?;
        let reply = self.link.ask(&iot::ask_meter(child.as_deref()), deadline).await?;
        iot::meter(&reply)
    }
}
