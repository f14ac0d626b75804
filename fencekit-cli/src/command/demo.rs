//! `fencekit demo`: a cluster of simulated devices, and what fencing does and refuses to do with it.
//!
//! The devices are simulated and listen on loopback; everything that talks to them is what a real cluster runs. Each
//! step says what must happen, and the demonstration fails when it does not.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use fencekit::cluster::Cluster;
use fencekit::fleet::{self, Supply};
use fencekit::stonith::{self, Configuration};
use fencekit::verify::{self, Report, Verdict};
use fencekit::{Confirmation, Deadline, Error, FenceDeviceExt, Observation, PowerState, Result};
use fencekit_sim::cluster::{Fleet, Simulated, onto_loopback, plan, serve};
use fencekit_sim::{Faults, SimNetwork};
use serde_json::{Value, json};

use super::output::{self, Colour};
use super::{Common, DONE, FAILED};
use crate::agent::logging::clean;

/// The mixed cluster of the original guide.
const CLUSTER: &str = include_str!("../../cluster-example/cluster.yml");
const SOURCE: &str = "examples/cluster/cluster.yml";
/// Instead of the 20 seconds that a device has to take a state.
const PATIENCE: &str = "2";
/// Instead of the 10 seconds that a node is watched.
const WATCH: Duration = Duration::from_secs(1);

/// What is told, and whether it went as it must.
struct Story {
    json: bool,
    coloured: bool,
    steps: Vec<Value>,
    went_wrong: bool,
}

impl Story {
    fn write(&self, text: &str) {
        if !self.json {
            let mut stdout = std::io::stdout().lock();
            let _ = writeln!(stdout, "{text}");
            let _ = stdout.flush();
        }
    }

    fn chapter(&self, title: &str) {
        self.write("");
        self.write(&output::painted(title, Colour::Heading, self.coloured));
    }

    fn say(&self, text: &str) {
        self.write(&format!("  {}", clean(text)));
    }

    /// Something that must hold.
    fn expect(&mut self, what: &str, holds: bool) {
        let (mark, colour) = if holds {
            ("ok", Colour::Good)
        } else {
            ("NOT SO", Colour::Bad)
        };
        self.write(&format!(
            "  {}: {what}",
            output::painted(mark, colour, self.coloured)
        ));
        self.steps.push(json!({"expected": what, "held": holds}));
        self.went_wrong |= !holds;
    }
}

pub(super) fn run(common: &Common) -> Result<u8> {
    let mut story = Story {
        json: common.json,
        coloured: output::coloured(&std::io::stdout()),
        steps: Vec::new(),
        went_wrong: false,
    };
    let started = Instant::now();
    let Some(outcome) = super::block_on(tell(&mut story))? else {
        log::error!("interrupted; the simulated devices are gone");
        return Ok(FAILED);
    };
    outcome?;
    let seconds = started.elapsed().as_secs_f64();
    if story.json {
        output::document(&json!({"ok": !story.went_wrong, "steps": story.steps, "seconds": seconds}));
    }
    story.chapter("What was simulated");
    story.say("The BMC and the plug were simulated, on 127.1.0.1 and 127.1.0.2 of this machine, and so was what they feed.");
    story.say("The networks that storage-b was watched on were simulated too: no packet left this program for them.");
    story.say(
        "The cluster file, the protocols of the devices on the wire and every decision were the real ones.",
    );
    story.say(&format!(
        "{} expectations, {}, {seconds:.1} s",
        story.steps.len(),
        if story.went_wrong {
            "not all held"
        } else {
            "all held"
        }
    ));
    Ok(if story.went_wrong { FAILED } else { DONE })
}

async fn tell(story: &mut Story) -> Result<()> {
    story.write(
        "A demonstration of fencekit on simulated devices: no root, no network, nothing real is switched.",
    );
    let stage = Stage::set(story).await?;
    stage.status(story).await?;
    stage.fence(story).await?;
    stage.lie(story).await?;
    stage.caught_by_the_network(story).await?;
    stage.unreachable(story).await?;
    stage.wrong_device(story).await?;
    script(story)
}

/// The cluster file and the devices that play it.
struct Stage {
    cluster: Cluster,
    fleet: Fleet,
}

impl Stage {
    async fn set(story: &Story) -> Result<Self> {
        story.chapter("1. A cluster file");
        let written = Cluster::from_text(CLUSTER, SOURCE)?;
        story.say(&format!(
            "{SOURCE}: storage-a is fenced through its BMC, storage-b through a Kasa plug with a meter."
        ));
        let mut planned = plan(&written)?;
        onto_loopback(&mut planned);
        let mut fleet = Fleet::default();
        for device in planned {
            let device = serve(device)
                .await
                .map_err(|cause| Error::unreachable(cause.to_string()).caused_by(cause))?;
            for feed in device.feeds() {
                story.say(&format!(
                    "{}: its simulated device listens on {}",
                    feed.node,
                    device.address()
                ));
            }
            fleet.add(device);
        }
        let mut cluster = fleet.rewritten(&written)?;
        for entry in cluster.nodes.iter_mut().flat_map(|node| &mut node.devices) {
            entry.settings.set("power_timeout", PATIENCE)?;
        }
        story.say(&format!(
            "(Patience is cut to {PATIENCE} s here; a real device gets 20.)"
        ));
        Ok(Self { cluster, fleet })
    }

    /// The simulated device of a node, to look behind the scenes.
    fn behind(&self, node: &str) -> Result<&Simulated> {
        let of_node = self.fleet.of_node(node);
        let first = of_node.first().map(|(simulated, _)| *simulated);
        first.ok_or_else(|| Error::unsupported(format!("{SOURCE} has no device for {node}")))
    }

    fn make(&self, node: &str, faults: &str) -> Result<()> {
        let faults: Faults = faults
            .parse()
            .map_err(|cause| Error::unsupported(format!("{cause}")))?;
        self.behind(node)?.device().set_faults(faults);
        Ok(())
    }

    fn supplies(&self, node: &str) -> Result<Vec<Supply>> {
        self.cluster.node(node)?.supplies()
    }

    /// Off or on, as `fencekit off` and `on` do it: all devices of the node.
    async fn switch(&self, node: &str, state: PowerState) -> Result<Vec<Confirmation>> {
        self.switch_in(&self.cluster, node, state).await
    }

    async fn switch_in(&self, cluster: &Cluster, node: &str, state: PowerState) -> Result<Vec<Confirmation>> {
        let supplies = cluster.node(node)?.supplies()?;
        let all: Vec<&Supply> = supplies.iter().collect();
        let deadline = Deadline::after(Duration::from_millis(2500));
        let outcomes = fleet::each(&all, |_, supply| async move {
            match state {
                PowerState::Off => supply.device.off_confirmed(&supply.policy, deadline, &()).await,
                PowerState::On => supply.device.on_confirmed(&supply.policy, deadline, &()).await,
            }
        })
        .await;
        outcomes.into_iter().collect()
    }

    async fn look(&self, node: &str) -> Result<Observation> {
        let supplies = self.supplies(node)?;
        let all: Vec<&Supply> = supplies.iter().collect();
        let looks = fleet::statuses(&all, Duration::from_millis(1500), |_, _| {}).await;
        let states = looks.into_iter().map(|look| match look.outcome {
            Ok(seen) => seen.observation,
            Err(error) => Observation::unknown(error.to_string()),
        });
        Ok(Observation::combined(states))
    }

    async fn status(&self, story: &mut Story) -> Result<()> {
        story.chapter("2. fencekit status");
        for node in ["storage-a", "storage-b"] {
            let seen = self.look(node).await?;
            story.say(&format!("{node}: {seen}"));
            story.expect(&format!("{node} is on"), seen == Observation::On);
        }
        Ok(())
    }

    async fn fence(&self, story: &mut Story) -> Result<()> {
        story.chapter("3. Fencing storage-b");
        story.say("storage-b has stopped answering. Before storage-a may take over its disks, it must be certainly off.");
        let outcome = self.switch("storage-b", PowerState::Off).await;
        if let Some(done) = outcome.as_ref().ok().and_then(|done| done.first()) {
            let meter = done.power.map_or_else(String::new, |power| {
                format!(", and its meter reads {:.1} W", power.watts)
            });
            story.say(&format!(
                "The right plug answered, it was {}, it accepted the command, and asked again on a new connection it says off{meter}.",
                done.before
            ));
        }
        tell_failure(story, &outcome);
        story.expect("storage-b is confirmed off", outcome.is_ok());
        let relay = self.behind("storage-b")?.device().relay(0);
        story.expect(
            "behind the scenes, no power flows to storage-b",
            relay == Some(false),
        );
        story.say(&format!(
            "Now storage-b is watched on its (simulated) networks for {} s; a real one for 10 s.",
            WATCH.as_secs()
        ));
        let report = self.verify("storage-b", &self.cluster).await?;
        tell_report(story, &report);
        story.expect(
            "the verdict is confirmed-off: silent on every network, while witnesses answered",
            report.verdict == Verdict::ConfirmedOff,
        );
        let on = self.switch("storage-b", PowerState::On).await;
        story.expect("storage-b can be switched on again", on.is_ok());
        Ok(())
    }

    async fn lie(&self, story: &mut Story) -> Result<()> {
        story.chapter("4. A plug that lies");
        story.say("The plug's relay is now welded: it accepts \"off\" and says \"off\", but power flows on.");
        self.make("storage-b", "lie")?;
        let outcome = self.switch("storage-b", PowerState::Off).await;
        let says = self.look("storage-b").await?;
        story.say(&format!(
            "Asked for its state, the plug says: {says}. Its word alone would be taken for a success."
        ));
        tell_failure(story, &outcome);
        story.expect("the plug itself claims to be off", says == Observation::Off);
        story.expect(
            "the fence fails all the same: off_max_watts does not let the meter pass",
            outcome.is_err(),
        );
        let relay = self.behind("storage-b")?.device().relay(0);
        story.expect(
            "behind the scenes, storage-b is still powered, and would have kept writing",
            relay == Some(true),
        );
        self.make("storage-b", "none")?;
        let on = self.switch("storage-b", PowerState::On).await;
        story.expect("with the plug replaced, storage-b is on", on.is_ok());
        Ok(())
    }

    async fn caught_by_the_network(&self, story: &mut Story) -> Result<()> {
        story.chapter("5. The same lie, and no meter to catch it");
        story.say(
            "Now the cluster file has no off_max_watts: nothing but the plug's own word, which is a lie.",
        );
        self.make("storage-b", "lie")?;
        let mut cluster = self.cluster.clone();
        for entry in cluster.nodes.iter_mut().flat_map(|node| &mut node.devices) {
            entry.settings.unset("off_max_watts");
        }
        let off = self.switch_in(&cluster, "storage-b", PowerState::Off).await;
        story.expect("the plug alone would have been believed", off.is_ok());
        let report = self.verify("storage-b", &cluster).await?;
        tell_report(story, &report);
        story.expect(
            "the verdict is still-alive: the node itself answered, and fencekit fence fails",
            report.verdict == Verdict::StillAlive,
        );
        let relay = self.behind("storage-b")?.device().relay(0);
        story.expect(
            "behind the scenes, storage-b is still powered",
            relay == Some(true),
        );
        self.make("storage-b", "none")?;
        let on = self.switch("storage-b", PowerState::On).await;
        story.expect("with the plug replaced, storage-b is on", on.is_ok());
        Ok(())
    }

    /// The node's networks: it answers on each as long as its relay lets power through, and so do the witnesses.
    fn network(&self, node: &str) -> Result<SimNetwork> {
        let plug = self.behind(node)?.device();
        let mut network = SimNetwork::new();
        for address in &self.cluster.node(node)?.addresses {
            let name = address.network.to_string();
            network = network.with_node(&name, address.ip, plug.clone(), 0);
            for witness in self.cluster.verify.witnesses_of(&address.network) {
                network = network.with_host(&name, witness);
            }
        }
        Ok(network)
    }

    /// What `fencekit verify` does, over the simulated network.
    async fn verify(&self, node: &str, cluster: &Cluster) -> Result<Report> {
        let node = cluster.node(node)?;
        let supplies = node.supplies()?;
        let mut plan = cluster.plan(node, &supplies, None);
        plan.timing.wait = WATCH;
        verify::verify(&plan, &supplies, &self.network(&node.name)?).await
    }

    async fn unreachable(&self, story: &mut Story) -> Result<()> {
        story.chapter("6. A device that does not answer");
        story.say("The network to storage-a's BMC is cut. Perhaps storage-a has lost its power; perhaps it has not.");
        self.make("storage-a", "silent")?;
        let outcome = self.switch("storage-a", PowerState::Off).await;
        tell_failure(story, &outcome);
        story.expect(
            "no answer is no success: storage-a is not confirmed off",
            outcome.is_err(),
        );
        let seen = self.look("storage-a").await?;
        story.expect(
            "its state is unknown, and unknown is never off",
            matches!(seen, Observation::Unknown(_)),
        );
        let relay = self.behind("storage-a")?.device().relay(0);
        story.expect(
            "behind the scenes, storage-a was running all the time",
            relay == Some(true),
        );
        self.make("storage-a", "none")
    }

    async fn wrong_device(&self, story: &mut Story) -> Result<()> {
        story.chapter("7. Another device at the same address");
        story.say("After a power cut the router has given storage-b's address to somebody else's plug.");
        self.make("storage-b", "wrong_identity")?;
        let before = self.behind("storage-b")?.device().commands().len();
        let outcome = self.switch("storage-b", PowerState::Off).await;
        tell_failure(story, &outcome);
        story.expect(
            "the identity in the cluster file does not match, and the fence fails",
            matches!(outcome, Err(Error::WrongDevice { .. })),
        );
        let after = self.behind("storage-b")?.device().commands().len();
        story.expect("nothing was switched on the stranger's plug", before == after);
        self.make("storage-b", "none")
    }
}

/// The script that brings all this into a cluster, without the lines that hold a password.
fn script(story: &mut Story) -> Result<()> {
    story.chapter("8. fencekit generate pcs");
    let written = Cluster::from_text(CLUSTER, SOURCE)?;
    let configuration = Configuration::new(&written, Path::new(SOURCE))?;
    let script = stonith::pcs(&configuration)?;
    let levels: Vec<_> = script
        .lines()
        .map(str::trim)
        .filter(|line| {
            let words: Vec<_> = line.split(' ').collect();
            words.first() == Some(&"level")
                && words.last().is_some_and(|last| last.starts_with("fence-verify-"))
        })
        .collect();
    story.say(&format!(
        "The script has {} lines. Its fence levels name the device first, and the verification after it:",
        script.lines().count()
    ));
    for level in &levels {
        story.say(level);
    }
    story.expect(
        "every node has a level that ends with its verification",
        levels.len() == written.nodes.len(),
    );
    Ok(())
}

fn tell_report(story: &Story, report: &Report) {
    story.say(&format!("fencekit says: {}", report.line()));
}

fn tell_failure(story: &Story, outcome: &Result<Vec<Confirmation>>) {
    if let Err(error) = outcome {
        story.say(&format!("fencekit says: {error}"));
    }
}
