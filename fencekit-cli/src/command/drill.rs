//! `fencekit drill`: cuts a live node's power to prove that its outlets are its own, and brings it back.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fencekit::fleet::{self, Supply};
use fencekit::operate::Subject;
use fencekit::verify::{self, Heard, HostProber, Prober, Report, Verdict};
use fencekit::{Deadline, Error, FenceDeviceExt, Level, PowerState, Result};
use serde_json::json;

use super::audit::{self, Audit};
use super::drills::{self, Drill, Outlet};
use super::power;
use super::progress;
use super::verify as verify_command;
use super::{Common, DONE, FAILED, output};
use crate::agent::logging::{clean, utc};
use crate::verification::{self, Reach};

/// How long one round of echo requests waits.
const ROUND: Duration = Duration::from_millis(500);
/// So many rounds without an answer are silence; the verification that follows is the proof.
const QUIET_ROUNDS: u32 = 3;
/// How long a meter may take.
const METER: Duration = Duration::from_secs(3);

#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// The node, as in the cluster file. It must be alive, and nothing must depend on it: its power is cut
    node: String,
    /// Says that this is meant; the node's name once more. Without it, the name is asked for at the terminal
    #[arg(long, value_name = "NODE")]
    yes_cut_power_of: Option<String>,
    /// How long the node may take to come back, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = super::seconds)]
    patience: Duration,
    /// How long the node may go on answering once its power is cut, in seconds; longer, and it is fed by another outlet
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = super::seconds)]
    silent_within: Duration,
    /// How long each switch may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = super::seconds)]
    timeout: Duration,
    /// Where the findings of drills are kept
    #[arg(long, value_name = "FILE", default_value = drills::PATH)]
    state: PathBuf,
    /// Where the record of this is appended, one line of JSON
    #[arg(long, value_name = "FILE", env = "FENCEKIT_AUDIT", default_value = audit::PATH)]
    audit: PathBuf,
}

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.cluster()?;
    let subject = Subject::of(&cluster, &options.node)?;
    // Before the power is cut: a proof that cannot be kept would have to be made again.
    drills::ready(&options.state).map_err(|cause| {
        let problem = format!("{} cannot keep a drill: {cause}", options.state.display());
        Error::config("state", problem, "mend the file, or name another")
    })?;
    confirm(&subject.node.name, options.yes_cut_power_of.as_deref())?;
    let audit = Audit::begin("drill", &subject.node.name);
    power::announce(common, "drill", &subject);
    let outcome = super::block_on(drill(&subject, options))?;
    let Some(outcome) = outcome else {
        log::error!(
            "interrupted: {0} may be without power; see fencekit status {0}, then fencekit on {0}",
            subject.node.name
        );
        audit.end(&options.audit, json!({"interrupted": true}));
        return Ok(FAILED);
    };
    let record = match &outcome {
        Ok(drill) => match disproof(drill) {
            Some(error) => json!({"error": error.to_string(), "drill": drill}),
            None => json!({"drill": drill}),
        },
        Err(error) => json!({"error": error.to_string()}),
    };
    audit.end(&options.audit, record);
    let drill = outcome?;
    // What was disproven replaces an older proof: nobody may go on relying on that.
    let kept = drills::keep(&options.state, &subject.node.name, drill.clone());
    if let Err(cause) = &kept {
        log::error!(
            "what the drill found could not be kept: {}: {cause}",
            options.state.display()
        );
    }
    if let Some(error) = disproof(&drill) {
        return Err(error);
    }
    tell(common, &subject.node.name, &drill);
    let is_back = drill.back_after_ms.is_some();
    Ok(if is_back && kept.is_ok() { DONE } else { FAILED })
}

/// The error of a drill that found the node alive although its outlets were off.
fn disproof(drill: &Drill) -> Option<Error> {
    let failure = drill.failure.as_ref()?;
    Some(Error::NotConfirmed {
        wanted: "off".to_owned(),
        detail: failure.clone(),
        source: None,
    })
}

/// Nobody cuts a node's power by a slip of the history.
fn confirm(node: &str, given: Option<&str>) -> Result<()> {
    let refused = |problem: String| {
        Error::config(
            "--yes-cut-power-of",
            problem,
            format!("write --yes-cut-power-of {node}, once nothing depends on {node}"),
        )
    };
    match given {
        Some(name) if name == node => return Ok(()),
        Some(name) => return Err(refused(format!("names {name}, and the drill is of {node}"))),
        None if !std::io::stdin().is_terminal() => return Err(refused("is missing".to_owned())),
        None => {}
    }
    let _ = write!(
        std::io::stderr(),
        "This cuts the power of {0} at once, without a shutdown. Type its name to go on: ",
        clean(node)
    );
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if read.is_ok() && line.trim() == node {
        Ok(())
    } else {
        Err(refused("was not confirmed".to_owned()))
    }
}

async fn drill(subject: &Subject<'_>, options: &Options) -> Result<Drill> {
    let prober = HostProber::new();
    let survey = verify::survey(&subject.plan, &subject.supplies, &prober);
    let before = progress::waiting(format!("asking whether {} is alive", subject.node.name), survey).await?;
    must_be_alive(subject, &before)?;
    let watts_on = meters(&subject.supplies).await;

    let cut = cut_and_watch(subject, options, &prober).await;
    let watts_off = meters(&subject.supplies).await;
    // Whatever was found: the node gets its power back.
    let on = power::take_first(subject, PowerState::On, Deadline::after(options.timeout)).await;
    let on_since = Instant::now();
    if !on.is_confirmed() {
        log::error!(
            "{0} is not confirmed on again: see fencekit status {0}",
            subject.node.name
        );
    }
    let (silent_after, failure) = match cut? {
        Found::Dead(silent_after) => (Some(silent_after), None),
        Found::Alive(failure) => (None, Some(failure)),
    };
    // A node that never went is not waited for.
    let back_after = match silent_after {
        Some(_) => came_back(subject, options.patience, on_since).await,
        None => None,
    };
    let now = SystemTime::now();
    Ok(Drill {
        time: utc(now),
        epoch: now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        host: fencekit::operate::host(),
        outlets: first(&subject.supplies)
            .zip(watts_on.into_iter().zip(watts_off))
            .map(|(supply, (watts_on, watts_off))| Outlet {
                device: supply.device.label().to_string(),
                watts_on,
                watts_off,
            })
            .collect(),
        failure,
        silent_after_ms: silent_after.map(millis),
        back_after_ms: back_after.map(millis),
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A node that does not answer proves nothing by not answering: each of its networks must be heard first.
fn must_be_alive(subject: &Subject<'_>, before: &Report) -> Result<()> {
    if subject.plan.networks.is_empty() {
        return Err(Error::config(
            "mgmt_ip",
            format!(
                "is missing for {}, as are storage_ip and client_ips",
                subject.node.name
            ),
            "give the addresses on which it answers while it is alive",
        ));
    }
    for network in &subject.plan.networks {
        if verification::reach(before, &network.name) != Reach::Reachable {
            return Err(Error::unsupported(format!(
                "{} does not answer on {} {} now, so its silence would prove nothing; its power was not cut",
                subject.node.name, network.name, network.address
            )));
        }
    }
    Ok(())
}

/// The devices that the drill is of: the fallback is not switched.
fn first(supplies: &[Supply]) -> impl Iterator<Item = &Supply> {
    supplies.iter().filter(|supply| supply.level == Level::First)
}

/// What each device's meter reads, where it has one.
async fn meters(supplies: &[Supply]) -> Vec<Option<f64>> {
    let all: Vec<&Supply> = first(supplies).collect();
    let read = fleet::each(&all, |_, supply| async move {
        let deadline = Deadline::after(METER);
        match supply.device.power_reading(&supply.policy, deadline).await {
            Ok(reading) => Some(reading.watts),
            Err(error) => {
                log::debug!("{}: its draw is not known: {error}", supply.device.label());
                None
            }
        }
    });
    progress::waiting("reading the meters", read).await
}

/// What was found of a node whose outlets are off.
enum Found {
    /// It is proven dead, and gave its last answer so long after.
    Dead(Duration),
    /// It lives on; what showed it.
    Alive(String),
}

/// Off, then the time until the node fell silent, then the proof of it. What shows neither that it is dead nor that
/// it lives is an error: it says nothing about the wiring.
async fn cut_and_watch(subject: &Subject<'_>, options: &Options, prober: &HostProber) -> Result<Found> {
    let off = power::take_first(subject, PowerState::Off, Deadline::after(options.timeout)).await;
    if !off.is_confirmed() {
        return Err(Error::NotConfirmed {
            wanted: "off".to_owned(),
            detail: format!("the devices of {} did not all switch off", subject.node.name),
            source: None,
        });
    }
    let silence = fell_silent(subject, options.silent_within, prober);
    let what = format!("waiting for {} to fall silent", subject.node.name);
    let last_answer = progress::waiting(what, silence).await;
    if last_answer > options.silent_within {
        return Ok(Found::Alive(format!(
            "{} still answers {} s after its outlets went off: they feed something else, or it has a battery",
            subject.node.name,
            last_answer.as_secs()
        )));
    }
    let report = verify_command::watch(subject).await?;
    match report.verdict {
        Verdict::ConfirmedOff => Ok(Found::Dead(last_answer)),
        Verdict::StillAlive => Ok(Found::Alive(report.line())),
        Verdict::Inconclusive => Err(Error::NotConfirmed {
            wanted: "off".to_owned(),
            detail: report.line(),
            source: None,
        }),
    }
}

/// When the last answer came, from now on; it is waited for no longer than it may come.
async fn fell_silent(subject: &Subject<'_>, within: Duration, prober: &HostProber) -> Duration {
    let cut = Instant::now();
    let mut last_answer = Duration::ZERO;
    let mut quiet = 0;
    while quiet < QUIET_ROUNDS && last_answer <= within {
        if answers(subject, prober).await {
            last_answer = cut.elapsed();
            quiet = 0;
        } else {
            quiet += 1;
        }
    }
    last_answer
}

/// One round: whether any address answered.
async fn answers(subject: &Subject<'_>, prober: &HostProber) -> bool {
    let deadline = Deadline::after(ROUND);
    let pings = subject
        .plan
        .networks
        .iter()
        .map(|network| prober.ping(network.address, deadline));
    let heard = futures_util::future::join_all(pings).await;
    // A probe that fails comes back at once.
    tokio::time::sleep_until(deadline.instant()).await;
    heard.iter().any(|heard| matches!(heard, Heard::Answered(_)))
}

/// Watches until every network answers again; `None` when patience ends first.
async fn came_back(subject: &Subject<'_>, patience: Duration, since: Instant) -> Option<Duration> {
    let waiting = format!("waiting for {} to come back", subject.node.name);
    let watch = async {
        loop {
            let report = verify::survey(&subject.plan, &subject.supplies, &HostProber::new())
                .await
                .ok()?;
            let mut networks = subject.plan.networks.iter();
            if networks.all(|network| verification::reach(&report, &network.name) == Reach::Reachable) {
                return Some(since.elapsed());
            }
            tokio::time::sleep(ROUND).await;
        }
    };
    let watch = progress::waiting(waiting, tokio::time::timeout(patience, watch));
    watch.await.ok().flatten()
}

fn tell(common: &Common, node: &str, drill: &Drill) {
    if common.json {
        output::document(&json!({"node": node, "drill": drill}));
        return;
    }
    let seconds = |milliseconds| format!("{:.1} s", verification::seconds(milliseconds));
    output::line(&clean(&format!(
        "{node}: silent {} after its power was cut, proven dead by the verification",
        seconds(drill.silent_after_ms.unwrap_or_default())
    )));
    for outlet in &drill.outlets {
        let draw = match (outlet.watts_on, outlet.watts_off) {
            (Some(on), Some(off)) => format!(", {on:.1} W before and {off:.1} W while off"),
            _ => String::new(),
        };
        output::line(&clean(&format!("  fed by {}{draw}", outlet.device)));
    }
    if drill.outlets.len() > 1 {
        output::line(
            "  they were cut together: that each of them feeds it, and nothing else, is not shown; look at their meters, or pull one plug",
        );
    }
    output::line(&match drill.back_after_ms {
        Some(time) => format!("  back on every network after {}", seconds(time)),
        None => "  NOT back yet: look at its console, and at its BIOS setting for power loss".to_owned(),
    });
}
