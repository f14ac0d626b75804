//! The cluster to play with: commands from the terminal.

use std::io::{BufRead, Write};
use std::process::Command;

use fencekit_interop::run as run_program;

use crate::Checked;
use crate::lab::{LIMIT, Lab};
use crate::rack::{NETWORKS, NODES};
use crate::scenarios::CLUSTERS;
use crate::suite::place;

const HELP: &str = "  status                  the cluster as crm_mon shows it, and who writes to the storage
  fence NODE              stonith_admin --reboot NODE, as an administrator does it
  crash NODE              end everything on the node; its power stays on
  pull NODE [NETWORK]     pull its cables, or one: management, storage, client
  plug NODE               put them back
  NODE FAULTS             make its fence devices fail: lie, stuck, silent, refuse, reject_auth, ...; NODE none ends that
  NODE off | on           the button on its fence devices
  run NODE COMMAND...     a command on the node, by its shell: run storage-a pcs status
  log NODE                what Pacemaker logged there about fencing
  reset                   everything in order again
  down                    the end; so are ^D and ^C
";

/// Brings it up and obeys until the end of the input.
pub(crate) fn run_commands(lab: &mut Lab) -> Checked {
    print!("{HELP}");
    let mut lines = std::io::stdin().lock().lines();
    loop {
        print!("cluster> ");
        let _ = std::io::stdout().flush();
        let Some(Ok(line)) = lines.next() else {
            return Ok(());
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        let done = match words.as_slice() {
            [] => Ok(()),
            ["down" | "exit" | "quit"] => return Ok(()),
            words => obey(lab, words),
        };
        if let Err(problem) = done {
            println!("{problem}");
        }
    }
}

/// Brings the cluster up with this cluster file, or that of the first of the tests' clusters.
pub(crate) fn run(file: Option<&str>) -> Checked {
    let text = match file {
        Some(path) => std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?,
        None => CLUSTERS.first().map_or("", |cluster| cluster.file).to_owned(),
    };
    println!("bringing three nodes up; this takes half a minute");
    let mut lab = Lab::up(&place("played"), &text)?;
    let out = lab.configure("storage-a", &text, &[])?;
    println!("{}{}", out.stdout, out.stderr);
    println!("traces: {}", lab.folder.display());
    run_commands(&mut lab)
}

fn obey(lab: &mut Lab, words: &[&str]) -> Checked {
    match words {
        ["help"] => print!("{HELP}"),
        ["status"] => {
            show(lab, "quorum", "crm_mon -1rf")?;
            println!(
                "writes to the storage: {}",
                lab.storage.owner().unwrap_or("nobody".to_owned())
            );
        }
        ["fence", node] => show(lab, "quorum", &format!("stonith_admin --reboot {node}"))?,
        ["crash", node] => lab.rack.crash(node),
        ["pull", node] => lab
            .rack
            .cables(node, &NETWORKS.map(|(network, _)| network), false),
        ["pull", node, network] => {
            let known = NETWORKS.iter().find(|(name, _)| name == network);
            let (network, _) = known.ok_or_else(|| format!("no network is called {network}"))?;
            lab.rack.cables(node, &[network], false);
        }
        ["plug", node] => lab.rack.cables(node, &NETWORKS.map(|(network, _)| network), true),
        ["run", node, command @ ..] => show(lab, node, &command.join(" "))?,
        ["log", node] => {
            let log = lab.log(node);
            log.lines()
                .filter(|line| line.contains("fence"))
                .for_each(|line| println!("{line}"));
        }
        ["reset"] => lab.reset()?,
        [node, ..] if NODES.contains(node) => println!("{}", lab.rack.fleet().obey(&words.join(" "))),
        _ => print!("{HELP}"),
    }
    for overlap in lab.storage.overlaps() {
        println!("TWO WRITE TO THE STORAGE: {overlap}");
    }
    lab.rack.problems()
}

fn show(lab: &Lab, node: &str, script: &str) -> Checked {
    let mut command: Command = lab.rack.inside(node, "sh")?;
    let out = run_program(command.args(["-c", script]), "", LIMIT);
    print!("{}{}", out.stdout, out.stderr);
    Ok(())
}
