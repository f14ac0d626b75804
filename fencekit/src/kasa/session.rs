//! A conversation with a device about one of its outlets, in either dialect.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::connect::Opened;
use super::findings;
use super::outlets::{Chosen, Report};
use crate::deadline::Deadline;
use crate::device::{Finding, Inspection, Outlet, Session};
use crate::error::Result;
use crate::identity::Identity;
use crate::options::Plug;
use crate::power::{PowerReading, PowerState};
use crate::transport::DeviceLock;

/// A report that was read while connecting serves the first look only for this long.
const FRESH: Duration = Duration::from_millis(500);

/// An open session. The lock goes when it does.
pub(super) struct KasaSession {
    way: Opened,
    plug: Plug,
    /// When the report came that was read while connecting, until it has served.
    first: Option<Instant>,
    chosen: Option<Chosen>,
    _lock: DeviceLock,
}

impl KasaSession {
    pub(super) fn new(way: Opened, plug: Plug, lock: DeviceLock) -> Self {
        Self {
            way,
            plug,
            first: Some(Instant::now()),
            chosen: None,
            _lock: lock,
        }
    }

    async fn report(&mut self, deadline: Deadline) -> Result<&Report> {
        let served = self.first.take().is_some_and(|at| at.elapsed() < FRESH);
        if !served {
            self.way.report = self.way.dialect.report(self.way.link.as_mut(), deadline).await?;
        }
        Ok(&self.way.report)
    }

    /// The child to address, from an earlier look or a new one.
    async fn child(&mut self, deadline: Deadline) -> Result<Option<String>> {
        let chosen = match self.chosen.take() {
            Some(chosen) => chosen,
            None => {
                let plug = self.plug.clone();
                self.report(deadline).await?.choose(&plug)?
            }
        };
        Ok(self.chosen.insert(chosen).child.clone())
    }
}

#[async_trait]
impl Session for KasaSession {
    async fn inspect(&mut self, deadline: Deadline) -> Result<Inspection> {
        let plug = self.plug.clone();
        let report = self.report(deadline).await?;
        let chosen = report.choose(&plug)?;
        let inspection = Inspection {
            identity: Some(report.identity.clone()),
            ..Inspection::of(chosen.observation.clone())
        };
        self.chosen = Some(chosen);
        Ok(inspection)
    }

    async fn switch(&mut self, state: PowerState, deadline: Deadline) -> Result<()> {
        let child = self.child(deadline).await?;
        // Whatever was read before says nothing about what comes after.
        self.first = None;
        let way = &mut self.way;
        way.dialect
            .switch(way.link.as_mut(), child.as_deref(), state, deadline)
            .await
    }

    async fn identity(&mut self, deadline: Deadline) -> Result<Identity> {
        Ok(self.report(deadline).await?.identity.clone())
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
        let way = &mut self.way;
        way.dialect
            .power(way.link.as_mut(), child.as_deref(), deadline)
            .await
    }

    async fn findings(&mut self, deadline: Deadline) -> Result<Vec<Finding>> {
        let child = self.child(deadline).await?;
        findings::ask(&mut self.way, child.as_deref(), deadline).await
    }
}
