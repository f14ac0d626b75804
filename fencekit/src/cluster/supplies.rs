//! The devices of nodes made ready, with their passwords fetched side by side.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::model::{Entry, Node, Password};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::fleet::Supply;
use crate::level::Level;

/// How many password programs run at once.
const AT_ONCE: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// A device of a node, to be made ready.
type Wanted<'n> = (&'n Node, &'n Entry, Level);

/// The devices of every node, as [`Node::supplies`], in the nodes' order. The programs that print passwords run side by
/// side, each for at most ten seconds and none beyond `deadline`. It blocks.
#[must_use]
pub fn supplies(nodes: &[&Node], deadline: Deadline) -> Vec<Result<Vec<Supply>>> {
    let wanted: Vec<Wanted<'_>> = nodes.iter().flat_map(|node| of(node)).collect();
    let mut made = each(&wanted, deadline).into_iter();
    nodes
        .iter()
        .map(|node| {
            // All of the node's own are taken, so that the next node gets its own though this one fails.
            let own: Vec<Result<Supply>> = made.by_ref().take(node.entries().count()).collect();
            own.into_iter().collect()
        })
        .collect()
}

fn of(node: &Node) -> impl Iterator<Item = Wanted<'_>> {
    let first = node.devices.iter().map(move |entry| (node, entry, Level::First));
    let fallback = node
        .fallback
        .iter()
        .map(move |entry| (node, entry, Level::Fallback));
    first.chain(fallback)
}

fn each(wanted: &[Wanted<'_>], deadline: Deadline) -> Vec<Result<Supply>> {
    let scripts = wanted
        .iter()
        .filter(|(_, entry, _)| matches!(entry.password, Password::Script(_)))
        .count();
    // A thread is worth it only where there is something to wait for, and this one works, too.
    let more = scripts.min(AT_ONCE.get()).saturating_sub(1);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = wanted.get(index) else { return done };
            done.push((index, supply(one, deadline)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        // Where there is no thread to be had, this one does it all.
        let threads: Vec<_> = (0..more)
            .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut done = work();
        for thread in threads {
            done.extend(thread.join().unwrap_or_default());
        }
        done
    });
    done.sort_by_key(|(index, _)| *index);
    let mut done = done.into_iter().peekable();
    (0..wanted.len())
        .map(|index| match done.next_if(|(at, _)| *at == index) {
            Some((_, supply)) => supply,
            None => Err(Error::unsupported(
                "the password was not fetched; the program has a mistake",
            )),
        })
        .collect()
}

fn supply((node, entry, level): &Wanted<'_>, deadline: Deadline) -> Result<Supply> {
    let supply = entry.supply_within(&node.name, deadline)?;
    Ok(Supply {
        level: *level,
        ..supply
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::cluster::Cluster;

    fn cluster(scripts: &[&str]) -> Cluster {
        let mut text = "stonith_nodes:\n".to_owned();
        for (index, script) in scripts.iter().enumerate() {
            text += &format!(
                "  node{index}: {{method: kasa, ip: 10.20.20.{}, user: me, password_script: \"{script}\"}}\n",
                index + 1
            );
        }
        Cluster::from_text(&text, "cluster.yml").unwrap()
    }

    #[test]
    fn programs_run_side_by_side() {
        let cluster = cluster(&["sleep 0.5; echo secret"; 8]);
        let nodes: Vec<&Node> = cluster.nodes.iter().collect();
        let began = Instant::now();
        let made = supplies(&nodes, Deadline::far());
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
        let addresses = made
            .iter()
            .flatten()
            .flatten()
            .map(|one| one.device.label().address.as_str());
        assert!(addresses.eq((1..=8).map(|host| format!("10.20.20.{host}")).collect::<Vec<_>>()));
    }

    #[test]
    fn no_program_outlives_the_deadline_and_none_costs_another_node_its_devices() {
        let cluster = cluster(&["sleep 20; echo secret", "echo secret", "exit 3", "sleep 20"]);
        let nodes: Vec<&Node> = cluster.nodes.iter().collect();
        let began = Instant::now();
        let made = supplies(&nodes, Deadline::after(Duration::from_secs(2)));
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        let good: Vec<bool> = made.iter().map(Result::is_ok).collect();
        assert_eq!(good, [false, true, false, false], "{made:?}");
        for late in [&made[0], &made[3]] {
            assert!(matches!(late, Err(Error::Timeout { .. })), "{late:?}");
        }
        let nothing = supplies(&nodes, Deadline::after(Duration::ZERO));
        assert!(matches!(nothing[1], Err(Error::Timeout { .. })), "{nothing:?}");
    }
}
