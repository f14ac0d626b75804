//! One device by its options.

use std::sync::Arc;
use std::time::Duration;

use fencekit::fence::MIN_OFF;
use fencekit::{
    Deadline, Error, FenceDeviceExt, Label, Method, Observation, PowerState, Result, Settings, Supply,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::json;

use crate::failure::Failure;
use crate::options;
use crate::value;
use crate::work::{Outcome, Work};

/// A device and its options. It holds credentials, so it shows and gives away nothing but its label.
#[pyclass(frozen, module = "fencekit._fencekit")]
pub(crate) struct Device {
    settings: Settings,
    /// The device itself, unless its password has to be fetched for each call.
    supply: Arc<Supply>,
}

impl Device {
    fn label(&self) -> &Label {
        self.supply.device.label()
    }

    /// Whether the password comes from a file or a program, which may change or take its time.
    fn fetches_password(&self) -> bool {
        ["password_file", "password_script"]
            .iter()
            .any(|option| self.settings.text(option).is_some())
    }

    /// How long one action may take by the options, as an agent has it.
    fn usual(&self, switches: u32) -> Duration {
        let seconds = |name| self.settings.seconds(name);
        let login = seconds("login_timeout").saturating_add(seconds("shell_timeout"));
        let switch = seconds("power_wait").saturating_add(seconds("power_timeout"));
        let one = match switches {
            0 => login,
            _ => login.saturating_add(switch).saturating_mul(switches),
        };
        one.max(Duration::from_secs(1))
    }

    /// An operation on the device: `ask` gets it with its password in place and the end of its time.
    fn operation<F, R>(&self, limit: Duration, ask: F) -> impl Future<Output = Outcome> + Send + use<F, R>
    where
        F: FnOnce(Arc<Supply>, Deadline) -> R + Send + 'static,
        R: Future<Output = Result<serde_json::Value>> + Send,
    {
        let ready = Arc::clone(&self.supply);
        let unready = self.fetches_password().then(|| self.settings.clone());
        async move {
            let label = ready.device.label().clone();
            let deadline = Deadline::after(limit);
            let outcome = async {
                let supply = match unready {
                    None => ready,
                    Some(settings) => {
                        deadline
                            .run("fetching the password", with_password(settings))
                            .await?
                    }
                };
                ask(supply, deadline).await
            };
            outcome.await.map_err(|error| Failure::of(&label, error))
        }
    }

    fn switch(&self, state: PowerState, timeout: Option<f64>) -> PyResult<Work> {
        let limit = options::timeout("timeout", timeout)?.unwrap_or_else(|| self.usual(1));
        let work = self.operation(limit, move |supply, deadline| async move {
            let (device, policy) = (supply.device.as_ref(), &supply.policy);
            let done = match state {
                PowerState::Off => device.off_confirmed(policy, deadline, &()).await,
                PowerState::On => device.on_confirmed(policy, deadline, &()).await,
            }?;
            Ok(value::confirmation(&done))
        });
        Ok(Work::switching(format!("{} {state}", self.label()), work))
    }
}

/// The device with its password. Files and programs block, so they have a thread for the moment.
async fn with_password(mut settings: Settings) -> Result<Arc<Supply>> {
    let fetched = tokio::task::spawn_blocking(move || {
        settings.load_password()?;
        Supply::from_settings(&settings).map(Arc::new)
    });
    fetched
        .await
        .unwrap_or_else(|cause| Err(Error::unsupported("the password could not be fetched").caused_by(cause)))
}

#[pymethods]
impl Device {
    /// Checks the options; nothing is sent, and no password is fetched.
    #[new]
    fn new(method: &str, given: &Bound<'_, PyDict>) -> PyResult<Self> {
        let method: Method = method.parse().map_err(Failure::from)?;
        let settings = options::settings(method, given)?;
        let supply = Supply::from_settings(&settings)
            .map(Arc::new)
            .map_err(Failure::from)?;
        Ok(Self { settings, supply })
    }

    #[getter]
    fn method(&self) -> &'static str {
        self.label().method.name()
    }

    #[getter]
    fn address(&self) -> &str {
        &self.label().address
    }

    #[getter]
    fn plug(&self) -> Option<&str> {
        self.label().plug.as_deref()
    }

    fn __str__(&self) -> String {
        self.label().to_string()
    }

    fn status(&self, timeout: Option<f64>) -> PyResult<Work> {
        let limit = options::timeout("timeout", timeout)?.unwrap_or_else(|| self.usual(0));
        Ok(Work::asking(self.operation(
            limit,
            |supply, deadline| async move {
                let seen = supply.device.status(&supply.policy, deadline).await?;
                match seen.observation {
                    Observation::Unknown(reason) => {
                        Err(Error::protocol(format!("the state cannot be told: {reason}")))
                    }
                    known => Ok(json!(known.word())),
                }
            },
        )))
    }

    fn on(&self, timeout: Option<f64>) -> PyResult<Work> {
        self.switch(PowerState::On, timeout)
    }

    fn off(&self, timeout: Option<f64>) -> PyResult<Work> {
        self.switch(PowerState::Off, timeout)
    }

    fn reboot(&self, timeout: Option<f64>) -> PyResult<Work> {
        let tries = self.supply.policy.on_attempts.max(1).saturating_add(1);
        let usual = || self.usual(tries).saturating_add(MIN_OFF);
        let limit = options::timeout("timeout", timeout)?.unwrap_or_else(usual);
        let work = self.operation(limit, |supply, deadline| async move {
            let (device, policy) = (supply.device.as_ref(), &supply.policy);
            let done = device.reboot(policy, deadline, &()).await?;
            if let Err(error) = &done.on {
                let label = device.label();
                log::error!("{label}: {error}; it was powered off, but is not on again");
            }
            Ok(value::rebooted(device.label(), done))
        });
        Ok(Work::switching(format!("{} off and on", self.label()), work))
    }

    fn outlets(&self, timeout: Option<f64>) -> PyResult<Work> {
        let limit = options::timeout("timeout", timeout)?.unwrap_or_else(|| self.usual(0));
        Ok(Work::asking(self.operation(
            limit,
            |supply, deadline| async move {
                let outlets = supply.device.outlets(&supply.policy, deadline).await?;
                Ok(outlets.iter().map(value::outlet).collect())
            },
        )))
    }

    fn power_reading(&self, timeout: Option<f64>) -> PyResult<Work> {
        let limit = options::timeout("timeout", timeout)?.unwrap_or_else(|| self.usual(0));
        Ok(Work::asking(self.operation(
            limit,
            |supply, deadline| async move {
                let reading = supply.device.power_reading(&supply.policy, deadline).await?;
                Ok(json!(reading))
            },
        )))
    }

    fn identity(&self, timeout: Option<f64>) -> PyResult<Work> {
        let limit = options::timeout("timeout", timeout)?.unwrap_or_else(|| self.usual(0));
        Ok(Work::asking(self.operation(
            limit,
            |supply, deadline| async move {
                let identity = supply.device.identity(&supply.policy, deadline).await?;
                Ok(json!(identity))
            },
        )))
    }
}
