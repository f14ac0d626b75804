//! The nodes of a cluster file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fencekit::cluster::{Cluster as File, Password};
use fencekit::doctor::{self, Scope};
use fencekit::fleet::Supply;
use fencekit::generate::{self, Generated, Kind};
use fencekit::operate::{Budget, Nodes, Subject, Switched};
use fencekit::verify::HostProber;
use fencekit::{Deadline, Error, PowerState, Result};
use pyo3::prelude::*;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::options;
use crate::work::{Outcome, Work};

/// The name of a text that is no file, in errors.
const TEXT: &str = "<dict>";
/// Where a cluster's nodes have their file, unless somebody says otherwise.
const USUAL_PLACE: &str = "/etc/fencekit/cluster.yml";
/// How long a node's devices may take to be switched, as on the command line.
const SWITCH: Duration = Duration::from_secs(60);
/// How long a device may take to be asked, as on the command line.
const ASK: Duration = Duration::from_secs(10);

/// A cluster file. It holds credentials, so it shows and gives away nothing but names.
#[pyclass(frozen, module = "fencekit._fencekit")]
pub(crate) struct Cluster {
    file: Arc<File>,
    path: Option<PathBuf>,
}

/// Work that blocks, such as a program that prints a password, on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|cause| Error::unsupported("the passwords could not be fetched").caused_by(cause))
}

/// The devices of this node and no other, with their passwords.
async fn supplies(file: &Arc<File>, node: &str, deadline: Deadline) -> Result<Vec<Supply>> {
    let fetches = |password: &Password| matches!(password, Password::File(_) | Password::Script(_));
    if !file.node(node)?.entries().any(|entry| fetches(&entry.password)) {
        return file.node(node)?.supplies_within(deadline);
    }
    let (file, node) = (Arc::clone(file), node.to_owned());
    let fetching = blocking(move || file.node(&node)?.supplies_within(deadline));
    deadline.run("fetching the passwords", fetching).await?
}

/// A look at the nodes that switches nothing, on a thread where it may block. It is not awaited for longer than `deadline`.
async fn look<R>(deadline: Deadline, doing: &str, look: impl FnOnce() -> R + Send + 'static) -> Outcome
where
    R: Future<Output = Outcome>,
{
    let runtime = tokio::runtime::Handle::current();
    let looking = blocking(move || runtime.block_on(look()));
    deadline.run(doing, looking).await?
}

impl Cluster {
    fn switch(&self, node: String, states: &'static [PowerState], timeout: Option<f64>) -> PyResult<Work> {
        let limit = options::timeout("timeout", timeout)?.unwrap_or(SWITCH);
        self.check(&node)?;
        let name = node.clone();
        let file = Arc::clone(&self.file);
        let work = async move {
            let deadline = Deadline::after(limit);
            let supplies = supplies(&file, &name, deadline).await?;
            let subject = Subject::with(&file, &name, supplies)?;
            if let [state] = states {
                let done = subject.switch(*state, deadline, &()).await;
                confirmed(&done)?;
                return Ok(json!(done));
            }
            let done = subject.reboot(deadline, &()).await;
            confirmed(&done.off)?;
            if let Some((label, error)) = done.on.as_ref().and_then(Switched::failure) {
                log::error!("{label}: {error}; {name} was powered off, but is not on again");
            }
            Ok(json!(done))
        };
        Ok(Work::switching(node, work))
    }

    /// # Errors
    /// A node that is not in the file, before anything else.
    fn check(&self, node: &str) -> Result<(), Failure> {
        self.file.node(node).map(drop).map_err(Failure::from)
    }
}

/// # Errors
/// That of the first device that was not confirmed; and when there is none at all.
fn confirmed(switched: &Switched) -> Result<(), Failure> {
    match switched.failure() {
        Some((label, error)) => Err(Failure::of_other(label, error)),
        None if switched.is_confirmed() => Ok(()),
        None => Err(Failure::from(Error::config(
            "devices",
            "the node has no device",
            "write one into the cluster file",
        ))),
    }
}

#[pymethods]
impl Cluster {
    #[staticmethod]
    fn load(path: PathBuf, host_vars: Option<PathBuf>) -> PyResult<Self> {
        let file = match host_vars {
            Some(directory) => File::load_with_host_vars(&path, directory),
            None => File::load(&path),
        };
        Ok(Self {
            file: Arc::new(file.map_err(Failure::from)?),
            path: Some(std::path::absolute(&path).unwrap_or(path)),
        })
    }

    /// Of a JSON text that was a dictionary: places in it mean nothing to anybody.
    #[staticmethod]
    fn from_json(text: &str) -> PyResult<Self> {
        let file = File::from_text(text, TEXT).map_err(|error| Failure::from(without_place(error)))?;
        Ok(Self {
            file: Arc::new(file),
            path: None,
        })
    }

    #[getter]
    fn path(&self) -> Option<String> {
        self.path.as_ref().map(|path| path.display().to_string())
    }

    #[getter]
    fn nodes(&self) -> Vec<&str> {
        self.file.nodes.iter().map(|node| node.name.as_str()).collect()
    }

    #[getter]
    fn warnings(&self) -> Vec<&str> {
        self.file.warnings.iter().map(String::as_str).collect()
    }

    fn status(&self, nodes: Vec<String>, timeout: Option<f64>) -> PyResult<Work> {
        let patience = options::timeout("timeout", timeout)?.unwrap_or(ASK);
        nodes.iter().try_for_each(|node| self.check(node))?;
        let file = Arc::clone(&self.file);
        let ask = move || async move {
            // The devices are given their time when the passwords have had theirs.
            let nodes = Nodes::within(&file, &nodes, Deadline::after(patience))?;
            Ok(json!(nodes.statuses(patience, |_, _| ()).await))
        };
        Ok(Work::asking(look(Deadline::far(), "asking", ask)))
    }

    fn on(&self, node: String, timeout: Option<f64>) -> PyResult<Work> {
        self.switch(node, &[PowerState::On], timeout)
    }

    fn off(&self, node: String, timeout: Option<f64>) -> PyResult<Work> {
        self.switch(node, &[PowerState::Off], timeout)
    }

    fn reboot(&self, node: String, timeout: Option<f64>) -> PyResult<Work> {
        self.switch(node, &[PowerState::Off, PowerState::On], timeout)
    }

    /// The report of the verification, with the off under `off`. Whether it is a success is for the verdict to say.
    fn fence(&self, node: String, wait: Option<f64>, timeout: Option<f64>) -> PyResult<Work> {
        let wait = options::timeout("wait", wait)?;
        let limit = options::timeout("timeout", timeout)?;
        self.check(&node)?;
        let name = node.clone();
        let file = Arc::clone(&self.file);
        let doing = format!("fencing {node}");
        let work = async move {
            let deadline = limit.map_or_else(Deadline::far, Deadline::after);
            let fence = async {
                let supplies = supplies(&file, &name, deadline).await?;
                let mut subject = Subject::with(&file, &name, supplies)?;
                set_wait(&mut subject, wait);
                let off = match limit {
                    Some(limit) => Budget::of(&subject.plan, "timeout", limit, deadline)?.off,
                    None => Deadline::after(SWITCH),
                };
                let done = subject.fence(off, &HostProber::new(), &()).await?;
                log::info!("verdict on {}", done.report.line());
                Ok(json!({"report": done, "line": done.report.line(), "exit_code": done.report.exit_code()}))
            };
            within(deadline, &doing, fence).await
        };
        Ok(Work::switching(node, work))
    }

    fn verify(&self, node: String, wait: Option<f64>, timeout: Option<f64>) -> PyResult<Work> {
        let wait = options::timeout("wait", wait)?;
        let limit = options::timeout("timeout", timeout)?;
        self.check(&node)?;
        let doing = format!("verifying {node}");
        let file = Arc::clone(&self.file);
        Ok(Work::asking(async move {
            let deadline = limit.map_or_else(Deadline::far, Deadline::after);
            let verify = async {
                let supplies = supplies(&file, &node, deadline).await?;
                let mut subject = Subject::with(&file, &node, supplies)?;
                set_wait(&mut subject, wait);
                let report = subject.verify(&HostProber::new()).await?;
                log::info!("verdict on {}", report.line());
                Ok(json!({"report": report, "line": report.line(), "exit_code": report.exit_code()}))
            };
            within(deadline, &doing, verify).await
        }))
    }

    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn generate(
        &self,
        kind: &str,
        file: Option<PathBuf>,
        node: Option<String>,
        ntp_server: Option<String>,
        secrets_file: Option<String>,
        resolve: bool,
        timeout: Option<f64>,
    ) -> PyResult<Work> {
        let limit = options::timeout("timeout", timeout)?;
        let kind: Kind = kind.parse().map_err(Failure::from)?;
        let mut wanted = generate::Options::default();
        wanted.secrets_file = secrets_file;
        wanted.node = node;
        if let Some(text) = ntp_server {
            let wrong = || {
                Error::config(
                    "ntp_server",
                    format!("\"{text}\" is no address"),
                    "write an IP address",
                )
            };
            wanted.ntp_server = Some(text.parse().map_err(|_| Failure::from(wrong()))?);
        }
        let place = file.or_else(|| self.path.clone());
        let place = place.unwrap_or_else(|| PathBuf::from(USUAL_PLACE));
        let doing = format!("generating {kind}");
        let file = Arc::clone(&self.file);
        Ok(Work::asking(async move {
            let deadline = limit.map_or_else(Deadline::far, Deadline::after);
            if resolve {
                wanted.resolved = generate::resolve(&file, deadline).await?;
            }
            wanted.deadline = Some(deadline);
            let made = blocking(move || generate::produce(kind, &file, &place, &wanted));
            Ok(whole(&deadline.run(&doing, made).await??))
        }))
    }

    fn doctor(&self, nodes: Vec<String>, networks: bool, timeout: Option<f64>) -> PyResult<Work> {
        let patience = options::timeout("timeout", timeout)?.unwrap_or(ASK);
        nodes.iter().try_for_each(|node| self.check(node))?;
        let scope = Scope {
            nodes,
            file: self.path.clone(),
            networks,
            ..Scope::default()
        };
        let file = Arc::clone(&self.file);
        let examine = move || async move { Ok(json!(doctor::examine(&file, &scope, patience).await?)) };
        Ok(Work::asking(look(Deadline::far(), "examining", examine)))
    }
}

/// What does not end by itself before the deadline is given up.
async fn within(deadline: Deadline, doing: &str, work: impl Future<Output = Outcome>) -> Outcome {
    deadline.run(doing, async { Ok(work.await) }).await?
}

fn set_wait(subject: &mut Subject<'_>, wait: Option<Duration>) {
    if let Some(wait) = wait {
        subject.plan.timing.wait = wait;
    }
}

/// All of it, secret files too: whoever asks for them by name gets them, and nothing shows them.
fn whole(made: &Generated) -> Value {
    let files: Vec<Value> = made
        .files
        .iter()
        .map(|file| json!({"name": file.name, "text": file.text, "secret": file.secret}))
        .collect();
    json!({
        "kind": made.kind.name(),
        "text": made.text,
        "notes": made.notes,
        "holds_secrets": made.holds_secrets,
        "files": files,
    })
}

/// The same error without the line and column of a text that the user never saw.
fn without_place(error: Error) -> Error {
    let Error::Config {
        option,
        problem,
        mend,
        source,
    } = error
    else {
        return error;
    };
    let bare = option
        .strip_prefix(TEXT)
        .and_then(|rest| rest.split_once(", column "))
        .map(|(_, rest)| {
            rest.trim_start_matches(|c: char| c.is_ascii_digit())
                .trim_start_matches([':', ' '])
        });
    let option = match bare {
        Some("") => "cluster".to_owned(),
        Some(path) => path.to_owned(),
        None => option,
    };
    Error::Config {
        option,
        problem,
        mend,
        source,
    }
}

/// Searches a network for fence devices.
#[pyfunction]
pub(crate) fn discover(
    targets: Vec<String>,
    range: Option<String>,
    wait: Option<f64>,
    timeout: Option<f64>,
) -> PyResult<Work> {
    let limit = options::timeout("timeout", timeout)?;
    let targets = targets.iter().map(|text| text.parse()).collect::<Result<_>>();
    let mut search = fencekit::discover::Search {
        targets: targets.map_err(Failure::from)?,
        ..fencekit::discover::Search::default()
    };
    if let Some(range) = range {
        search.range = Some(range.parse().map_err(Failure::from)?);
    }
    if let Some(wait) = options::timeout("wait", wait)? {
        search.wait = wait;
    }
    Ok(Work::asking(async move {
        let deadline = limit.map_or_else(Deadline::far, Deadline::after);
        let found = deadline
            .run("searching", fencekit::discover::search(&search))
            .await?;
        Ok(json!(found))
    }))
}
