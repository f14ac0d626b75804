//! What Pacemaker on this host says of a node.

use crate::pacemaker::ask::{Silent, ask};
use crate::pacemaker::cib::Cib;
use crate::pacemaker::monitor::{FenceEvent, Monitor};

/// What could be learnt of the cluster; everything may be missing.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Why nothing, or not everything, is known.
    pub(super) silent: Option<String>,
    pub(super) monitor: Option<Monitor>,
    /// Fencing of the node, newest first.
    pub(super) history: Vec<FenceEvent>,
    pub(super) cib: Option<Cib>,
}

/// Asks Pacemaker's tools, all at once.
pub(super) async fn view(node: &str) -> View {
    let arguments = ["--history", node, "--verbose", "--output-as=xml"];
    let (cib, state, history) = futures_util::join!(
        ask("cibadmin", &["--query"]),
        ask("crm_mon", &["-1", "--output-as=xml"]),
        ask("stonith_admin", &arguments),
    );
    let mut view = View::default();
    match cib {
        Ok(said) if said.success => match Cib::parse(&said.stdout) {
            Ok(cib) => view.cib = Some(cib),
            Err(why) => view.silent = Some(format!("its configuration {why}")),
        },
        Ok(_) => view.silent = Some("Pacemaker does not run on this host".to_owned()),
        Err(Silent::Absent) => view.silent = Some("Pacemaker is not installed on this host".to_owned()),
        Err(Silent::Failed(why)) => view.silent = Some(why),
    }
    // A configuration in a file has no state.
    if std::env::var_os("CIB_file").is_none()
        && let Ok(said) = state
        && let Ok(monitor) = Monitor::parse(&said.stdout)
    {
        view.history.clone_from(&monitor.history);
        view.monitor = Some(monitor);
    }
    // The fencer itself knows best, and answers without a cluster too.
    if let Ok(said) = history
        && let Ok(monitor) = Monitor::parse(&said.stdout)
    {
        view.history = monitor.history;
    }
    view.history.retain(|event| event.target == node);
    view
}
