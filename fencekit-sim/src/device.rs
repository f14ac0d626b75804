//! The device behind every protocol: outlets, identity, faults.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::fault::Faults;

/// One outlet: a relay, what the device says of it, and what hangs on it.
#[derive(Clone, Debug)]
pub struct Outlet {
    /// The owner's name for it.
    pub alias: String,
    /// Whether power really flows.
    pub relay: bool,
    /// What the device reports.
    pub reported: bool,
    /// What the load draws while power flows, in watts.
    pub load: f64,
}

impl Outlet {
    /// An outlet that is on, with a load of 60 W.
    #[must_use]
    pub fn on(alias: &str) -> Self {
        Self {
            alias: alias.to_owned(),
            relay: true,
            reported: true,
            load: 60.0,
        }
    }
}

/// What a simulated device is made as.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Its name or alias.
    pub name: String,
    /// MAC address, as `50:C7:BF:00:00:01`.
    pub mac: String,
    /// The maker's model, where the protocol reports one.
    pub model: String,
    /// Its outlets; one for a plug.
    pub outlets: Vec<Outlet>,
    /// User name that it demands.
    pub username: Option<String>,
    /// Password that it demands.
    pub password: Option<String>,
    /// Whether it has a meter.
    pub metered: bool,
}

impl Spec {
    /// A metered plug with one outlet and no password.
    #[must_use]
    pub fn plug(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            mac: "50:C7:BF:00:00:01".to_owned(),
            model: String::new(),
            outlets: vec![Outlet::on(name)],
            username: None,
            password: None,
            metered: true,
        }
    }

    /// The same with `count` outlets, called `Outlet 1` and so on.
    #[must_use]
    pub fn outlets(mut self, count: usize) -> Self {
        self.outlets = (1..=count)
            .map(|number| Outlet::on(&format!("Outlet {number}")))
            .collect();
        self
    }

    /// The same with credentials.
    #[must_use]
    pub fn credentials(mut self, username: &str, password: &str) -> Self {
        self.username = Some(username.to_owned());
        self.password = Some(password.to_owned());
        self
    }
}

/// Told whenever an outlet's power really changes: outlet index from 0, and whether it is on now.
pub type OnChange = Box<dyn Fn(usize, bool) + Send + Sync>;

struct State {
    spec: Spec,
    faults: Faults,
    started: Instant,
    commands: Vec<(usize, bool)>,
    requests: u64,
    open: usize,
    on_change: Option<OnChange>,
}

/// A handle on a simulated device; clones share it.
#[derive(Clone)]
pub struct Device(Arc<Mutex<State>>);

impl Device {
    /// A device in its initial state. It serves nothing yet.
    #[must_use]
    pub fn new(spec: Spec) -> Self {
        Self(Arc::new(Mutex::new(State {
            spec,
            faults: Faults::default(),
            started: Instant::now(),
            commands: Vec::new(),
            requests: 0,
            open: 0,
            on_change: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `told` on every real change of an outlet's power.
    pub fn on_change(&self, told: OnChange) {
        self.lock().on_change = Some(told);
    }

    /// What it was made as, with the outlets as they are now.
    #[must_use]
    pub fn spec(&self) -> Spec {
        self.lock().spec.clone()
    }

    /// The faults that are on.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.lock().faults.clone()
    }

    /// Replaces all faults.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Changes the password that it demands, as its owner does.
    pub fn set_password(&self, password: &str) {
        self.lock().spec.password = Some(password.to_owned());
    }

    /// The MAC address that it reports, which a fault may falsify.
    #[must_use]
    pub fn reported_mac(&self) -> String {
        let state = self.lock();
        if state.faults.wrong_identity {
            "02:00:00:00:00:99".to_owned()
        } else {
            state.spec.mac.clone()
        }
    }

    /// The name that it reports, which a fault may falsify.
    #[must_use]
    pub fn reported_name(&self) -> String {
        let state = self.lock();
        if state.faults.wrong_identity {
            "somebody else".to_owned()
        } else {
            state.spec.name.clone()
        }
    }

    /// Time since it started.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.lock().started.elapsed()
    }

    /// Starts its uptime anew, as a power cut or a firmware crash does. The relays stay.
    pub fn restart(&self) {
        self.lock().started = Instant::now();
    }

    /// Number of outlets.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().spec.outlets.len()
    }

    /// What the device says of an outlet; `None` past the last one.
    #[must_use]
    pub fn reported(&self, outlet: usize) -> Option<bool> {
        self.lock().spec.outlets.get(outlet).map(|outlet| outlet.reported)
    }

    /// Whether power really flows; `None` past the last outlet.
    #[must_use]
    pub fn relay(&self, outlet: usize) -> Option<bool> {
        self.lock().spec.outlets.get(outlet).map(|outlet| outlet.relay)
    }

    /// What the meter shows for an outlet, in watts; `None` without a meter.
    #[must_use]
    pub fn watts(&self, outlet: usize) -> Option<f64> {
        let state = self.lock();
        let shown = state.spec.outlets.get(outlet).filter(|_| state.spec.metered)?;
        Some(
            state
                .faults
                .meter_stuck
                .unwrap_or(if shown.relay { shown.load } else { 0.0 }),
        )
    }

    /// Every command that reached the device: outlet index from 0, and the state asked for.
    #[must_use]
    pub fn commands(&self) -> Vec<(usize, bool)> {
        self.lock().commands.clone()
    }

    /// How many requests were read.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.lock().requests
    }

    pub(crate) fn count_request(&self) {
        self.lock().requests += 1;
    }

    /// Notes an open connection; false when the device takes only one and that is open already.
    pub(crate) fn enter(&self) -> bool {
        let mut state = self.lock();
        state.open += 1;
        !(state.faults.one_client && state.open > 1)
    }

    pub(crate) fn leave(&self) {
        self.lock().open -= 1;
    }

    /// Obeys a command as the faults allow. False when the device refuses, or has no such outlet: the protocol then
    /// answers with its own words for it. Must be called within a tokio runtime.
    pub fn command(&self, outlet: usize, on: bool) -> bool {
        let faults = self.faults();
        if faults.refuse || outlet >= self.count() {
            return false;
        }
        self.lock().commands.push((outlet, on));
        if faults.stuck {
            return true;
        }
        let later = self.clone();
        match faults.delay {
            Some(delay) => {
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    later.set(outlet, on, !faults.lie);
                });
            }
            None => self.set(outlet, on, !faults.lie),
        }
        if let Some(bounce) = faults.bounce.filter(|_| !on) {
            let later = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(bounce).await;
                later.set(outlet, true, true);
            });
        }
        true
    }

    /// Sets an outlet from outside, as a button or the owner's app does.
    pub fn set(&self, outlet: usize, on: bool, relay_too: bool) {
        let mut state = self.lock();
        let Some(target) = state.spec.outlets.get_mut(outlet) else {
            return;
        };
        target.reported = on;
        let changed = relay_too && target.relay != on;
        if relay_too {
            target.relay = on;
        }
        // Told under the lock, so that two quick changes arrive in their order.
        if let Some(told) = state.on_change.as_ref().filter(|_| changed) {
            told(outlet, on);
        }
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Device")
            .field("name", &state.spec.name)
            .field("outlets", &state.spec.outlets)
            .finish()
    }
}
