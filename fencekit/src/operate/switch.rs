//! A node's devices switched: level by level, each device to a confirmed state or an error.

use std::time::Duration;

use tokio::time::Instant;

use super::contradiction::kept;
use super::{Subject, Watch};
use crate::deadline::Deadline;
use crate::device::Label;
use crate::error::{Error, Result};
use crate::fence::confirm::on_again;
use crate::fence::{Confirmation, Event, FenceDeviceExt, MIN_OFF};
use crate::fleet::{self, Supply};
use crate::level::Level;
use crate::power::PowerState;

/// Pause before a device is asked again that had no power of its own a moment ago. A BMC takes a minute to start.
const STARTING: Duration = Duration::from_secs(2);

/// What is done to each device of a level.
#[derive(Clone, Copy)]
enum Step {
    Off,
    On,
    /// The on of a reboot, which may take several tries.
    OnAgain,
}

/// What became of switching one device.
#[derive(Debug)]
pub struct Switch {
    /// The device.
    pub label: Label,
    /// The level that it belongs to.
    pub level: Level,
    /// How its state was confirmed, or what kept it from being so.
    pub outcome: Result<Confirmation>,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it said on, or its meter showed a load, after the other level was confirmed off, and was not confirmed off
    /// itself since. The node is not off then, whatever the others say.
    pub contradicts: bool,
}

/// What became of switching a node one way.
#[derive(Debug)]
pub struct Switched {
    /// The state that was asked for.
    pub wanted: PowerState,
    /// The devices that were asked, in the node's order. The fallback is among them only where it was needed, or where it
    /// [contradicts](Switch::contradicts) the first level.
    pub devices: Vec<Switch>,
}

impl Switched {
    /// Whether the node has the wanted state: off as [`off_by`](Self::off_by) a level; on when there is a device, and
    /// every one that was asked is confirmed.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        match self.wanted {
            PowerState::Off => self.off_by().is_some(),
            PowerState::On => !self.devices.is_empty() && self.devices.iter().all(|one| one.outcome.is_ok()),
        }
    }

    /// The level that the node is off by: the first when all of its devices are confirmed off, else the fallback when
    /// that is; none where a device [contradicts](Switch::contradicts) it.
    #[must_use]
    pub fn off_by(&self) -> Option<Level> {
        if self.devices.iter().any(|one| one.contradicts) {
            return None;
        }
        let is_off = |level: &Level| {
            let mut own = self.devices.iter().filter(|one| one.level == *level).peekable();
            own.peek().is_some() && own.all(|one| one.outcome.is_ok())
        };
        let wanted = self.wanted == PowerState::Off;
        let mut levels = [Level::First, Level::Fallback].into_iter().filter(|_| wanted);
        levels.find(is_off)
    }

    /// The first device that contradicts the off, else the first that was not confirmed, and why; none when the whole is
    /// confirmed all the same.
    #[must_use]
    pub fn failure(&self) -> Option<(&Label, &Error)> {
        if self.is_confirmed() {
            return None;
        }
        let against = self.devices.iter().filter(|one| one.contradicts);
        against
            .chain(&self.devices)
            .find_map(|device| Some((&device.label, device.outcome.as_ref().err()?)))
    }

    /// Takes what became of a device in the place of what it said before. One that contradicted the off goes on doing so
    /// until it is confirmed off itself.
    pub(super) fn replace(&mut self, mut now: Switch) {
        let same = |one: &&mut Switch| one.level == now.level && one.label == now.label;
        match self.devices.iter_mut().find(same) {
            Some(before) => {
                now.contradicts |= before.contradicts && now.outcome.is_err();
                *before = now;
            }
            None => self.devices.push(now),
        }
    }

    /// Whether every failure may pass by itself.
    fn may_come(&self) -> bool {
        let mut errors = self
            .devices
            .iter()
            .filter_map(|device| device.outcome.as_ref().err());
        errors.all(|error| matches!(error, Error::Unreachable { .. } | Error::Timeout { .. }))
    }
}

/// A node that was switched off and on again.
#[derive(Debug)]
pub struct Rebooted {
    /// The off.
    pub off: Switched,
    /// The on after it; none when the off was not confirmed.
    pub on: Option<Switched>,
}

impl Rebooted {
    /// Whether both the off and the on are confirmed.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.off.is_confirmed() && self.on.as_ref().is_some_and(Switched::is_confirmed)
    }

    /// The steps that were taken, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Switched> {
        std::iter::once(&self.off).chain(&self.on)
    }
}

impl Subject<'_> {
    /// Switches the node.
    ///
    /// Off: the devices of the first level, all at once. Where they cannot all be confirmed off within half of the time,
    /// or a BMC that is the fallback says on all the same, the fallback has the other half, as Pacemaker would try its
    /// second level. Then every device of the first level is looked at once more: one that says on, or shows a load on
    /// its meter, contradicts the fallback, and the node is not off.
    ///
    /// On: the fallback before the others, which may have no power without it; then those.
    pub async fn switch(&self, wanted: PowerState, deadline: Deadline, watch: &dyn Watch) -> Switched {
        match wanted {
            PowerState::Off => self.off(deadline, watch).await,
            PowerState::On => self.on(Step::On, deadline, watch).await,
        }
    }

    async fn off(&self, deadline: Deadline, watch: &dyn Watch) -> Switched {
        if !self.has_fallback() {
            return self.step(Level::First, Step::Off, deadline, watch).await;
        }
        let share = deadline.capped(deadline.remaining() / 2);
        let mut off = self.step(Level::First, Step::Off, share, watch).await;
        self.ask_the_others(Level::First, &mut off, deadline).await;
        if let Some((label, error)) = off.failure() {
            log::warn!("{label}: {error}; {} is cut by its fallback", self.node.name);
            let share = deadline.capped(deadline.remaining().saturating_sub(kept(deadline)));
            let fallback = self.step(Level::Fallback, Step::Off, share, watch).await;
            for one in fallback.devices {
                off.replace(one);
            }
            self.ask_the_others(Level::Fallback, &mut off, deadline).await;
        }
        off
    }

    async fn on(&self, step: Step, deadline: Deadline, watch: &dyn Watch) -> Switched {
        if !self.has_fallback() {
            return self.step(Level::First, step, deadline, watch).await;
        }
        let share = deadline.capped(deadline.remaining() / 2);
        let fallback = self.step(Level::Fallback, step, share, watch).await;
        let mut outcomes = fallback.devices.iter().map(|one| &one.outcome);
        let restored = outcomes.any(|done| done.as_ref().is_ok_and(|done| done.commands > 0));
        let mut on = self.step(Level::First, step, deadline, watch).await;
        while restored && !on.is_confirmed() && on.may_come() && deadline.remaining() > STARTING {
            tokio::time::sleep(STARTING).await;
            on = self.step(Level::First, step, deadline, watch).await;
        }
        on.devices.extend(fallback.devices);
        on
    }

    /// Switches all devices of one level at once, and no other.
    pub async fn switch_level(
        &self,
        level: Level,
        wanted: PowerState,
        deadline: Deadline,
        watch: &dyn Watch,
    ) -> Switched {
        let step = match wanted {
            PowerState::Off => Step::Off,
            PowerState::On => Step::On,
        };
        self.step(level, step, deadline, watch).await
    }

    async fn step(&self, level: Level, step: Step, deadline: Deadline, watch: &dyn Watch) -> Switched {
        let (indices, own): (Vec<usize>, Vec<&Supply>) = self
            .supplies
            .iter()
            .enumerate()
            .filter(|(_, supply)| supply.level == level)
            .unzip();
        let devices = fleet::each(&own, |at, supply| {
            let index = indices.get(at).copied().unwrap_or_default();
            async move {
                let started = Instant::now();
                let told = |event: Event<'_>| watch.event(index, event);
                let (device, policy) = (supply.device.as_ref(), &supply.policy);
                let outcome = match step {
                    Step::Off => device.off_confirmed(policy, deadline, &told).await,
                    Step::On => device.on_confirmed(policy, deadline, &told).await,
                    Step::OnAgain => on_again(device, policy, deadline, &told).await,
                };
                watch.done(index);
                Switch {
                    label: supply.device.label().clone(),
                    level,
                    outcome,
                    elapsed: started.elapsed(),
                    contradicts: false,
                }
            }
        })
        .await;
        let wanted = match step {
            Step::Off => PowerState::Off,
            Step::On | Step::OnAgain => PowerState::On,
        };
        Switched { wanted, devices }
    }

    /// The node off, a rest of [`MIN_OFF`], then what was switched off on again, each device as often as its `retry_on`
    /// says. Nothing is switched on unless the off was confirmed.
    pub async fn reboot(&self, deadline: Deadline, watch: &dyn Watch) -> Rebooted {
        let off = self.switch(PowerState::Off, deadline, watch).await;
        if !off.is_confirmed() {
            return Rebooted { off, on: None };
        }
        tokio::time::sleep(MIN_OFF.min(deadline.remaining())).await;
        let on = match off.devices.iter().any(|one| one.level == Level::Fallback) {
            false => self.step(Level::First, Step::OnAgain, deadline, watch).await,
            // The first level may be off in part, and its BMC has power only now.
            true => self.on(Step::OnAgain, deadline, watch).await,
        };
        Rebooted { off, on: Some(on) }
    }

    pub(super) fn has_fallback(&self) -> bool {
        self.supplies.iter().any(|supply| supply.level == Level::Fallback)
    }
}
