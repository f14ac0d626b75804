//! Runs the scenarios, each cluster in namespaces of its own and all clusters side by side, and prints the table.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use fencekit_interop::{fencekit_bin, interop_dir};
use serde::{Deserialize, Serialize};

use crate::Checked;
use crate::lab::Lab;
use crate::scenarios::{CLUSTERS, Outcome, Planned, Scenario};
use crate::space;

/// Begins the line in which a cluster tells how a scenario went.
const RESULT: &str = "RESULT ";

/// How a scenario went.
#[derive(Debug, Deserialize, Serialize)]
struct Row {
    cluster: String,
    scenario: String,
    /// From the fault to the service's first write on the survivor; none where it must not come.
    service_ms: Option<u64>,
    /// What was seen, or what went wrong.
    told: String,
    passed: bool,
    seconds: f64,
}

/// The names, a line each.
pub(crate) fn list() -> String {
    let mut text = String::new();
    for cluster in CLUSTERS {
        for scenario in cluster.scenarios {
            let _ = writeln!(text, "{:<26} {}", scenario.name, scenario.about);
        }
    }
    text
}

/// Runs the named scenarios, or all.
pub(crate) fn run(names: &[&str]) -> Checked {
    let known = |name: &str| CLUSTERS.iter().any(|cluster| cluster.scenario(name).is_some());
    if let Some(unknown) = names.iter().find(|name| !known(name)) {
        return Err(format!("no scenario is called {unknown}; `list` lists them"));
    }
    if let Some(missing) = space::missing() {
        return cannot_run(&missing);
    }
    // Built once, before the clusters share the processors.
    let _ = fencekit_bin();
    let started = Instant::now();
    let chosen = CLUSTERS
        .iter()
        .filter(|cluster| !cluster.chosen(names).is_empty());
    let clusters: Vec<_> = chosen
        .map(|cluster| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            thread::spawn(move || one_cluster(cluster, &names))
        })
        .collect();
    let mut rows = Vec::new();
    for cluster in clusters {
        rows.extend(cluster.join().map_err(|_| "a thread ended".to_owned())?);
    }
    let failed = rows.iter().filter(|row| !row.passed).count();
    println!("\n{}", table(&rows));
    println!("{:.0} s in all", started.elapsed().as_secs_f64());
    println!("{} passed, {failed} failed, 0 skipped", rows.len() - failed);
    match failed {
        0 => Ok(()),
        _ => Err(format!(
            "{failed} scenarios failed; traces are in {}",
            place("").display()
        )),
    }
}

/// Where nothing may be skipped, this is a failure.
fn cannot_run(why: &str) -> Checked {
    if std::env::var_os("FENCEKIT_INTEROP_REQUIRED").is_some_and(|value| value == "1") {
        println!("0 passed, 1 failed, 0 skipped");
        return Err(why.to_owned());
    }
    println!("skipped: {why}");
    println!("0 passed, 0 failed, 1 skipped");
    Ok(())
}

/// Runs a cluster's scenarios in namespaces of their own and collects how they went.
fn one_cluster(cluster: &'static Planned, names: &[String]) -> Vec<Row> {
    let mut arguments = vec![cluster.name];
    arguments.extend(names.iter().map(String::as_str));
    let mut rows: Vec<Row> = Vec::new();
    let mut said = String::new();
    let child = space::command("test", &arguments).and_then(|mut command| {
        command
            .env("FENCEKIT_BIN", fencekit_bin())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("setpriv: {error}"))
    });
    match child {
        Err(problem) => said = problem,
        Ok(mut child) => {
            let lines = child.stdout.take().map(|pipe| BufReader::new(pipe).lines());
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                let row = line.strip_prefix(RESULT).map(serde_json::from_str);
                match row {
                    Some(Ok(row)) => rows.push(row),
                    _ => println!("[{}] {line}", cluster.name),
                }
            }
            if let Ok(status) = child.wait().map(|status| status.to_string()) {
                said = status;
            }
        }
    }
    let chosen: Vec<&str> = names.iter().map(String::as_str).collect();
    for scenario in cluster.chosen(&chosen) {
        if !rows.iter().any(|row| row.scenario == scenario.name) {
            rows.push(Row {
                cluster: cluster.name.to_owned(),
                scenario: scenario.name.to_owned(),
                service_ms: None,
                told: format!("did not run: the cluster ended with {said}"),
                passed: false,
                seconds: 0.0,
            });
        }
    }
    rows
}

/// A cluster's scenarios, within its namespaces.
pub(crate) fn inside(name: &str, names: &[&str]) -> Checked {
    let cluster = CLUSTERS.iter().find(|cluster| cluster.name == name);
    let cluster = cluster.ok_or_else(|| format!("no cluster is called {name}"))?;
    let started = Instant::now();
    let mut lab = Lab::up(&place(name), cluster.file)?;
    println!("three members after {:.1} s", started.elapsed().as_secs_f64());
    (cluster.begin)(&mut lab)?;
    println!(
        "fenced, and the service runs, after {:.1} s",
        started.elapsed().as_secs_f64()
    );
    for scenario in cluster.chosen(names) {
        one_scenario(&mut lab, cluster, scenario)?;
    }
    println!("{} writes in all", lab.storage.writes());
    Ok(())
}

fn one_scenario(lab: &mut Lab, cluster: &Planned, scenario: &Scenario) -> Checked {
    println!("-- {}", scenario.name);
    let started = Instant::now();
    lab.mark();
    let mut outcome = (scenario.run)(lab);
    // Whoever expects two writers at once has taken their traces already.
    let overlaps = lab.storage.overlaps();
    if !overlaps.is_empty() {
        outcome = Err(format!("two wrote to the storage: {}", overlaps.join("; ")));
    }
    let seen = outcome.clone().unwrap_or_else(|told| Outcome {
        service_ms: None,
        told,
    });
    let passed = outcome.is_ok();
    println!(
        "-- {}: {}: {}",
        scenario.name,
        if passed { "ok" } else { "FAILED" },
        seen.told
    );
    if !passed {
        for line in lab.useful_lines() {
            println!("   {line}");
        }
        keep_traces(&lab.folder, scenario.name);
    }
    let put_in_order = lab.reset();
    let row = Row {
        cluster: cluster.name.to_owned(),
        scenario: scenario.name.to_owned(),
        service_ms: seen.service_ms,
        told: seen.told,
        passed: passed && put_in_order.is_ok(),
        seconds: started.elapsed().as_secs_f64(),
    };
    println!("{RESULT}{}", serde_json::to_string(&row).unwrap_or_default());
    put_in_order.map_err(|problem| {
        keep_traces(&lab.folder, scenario.name);
        let lines = lab.useful_lines().join("\n   ");
        format!(
            "the cluster cannot be put in order after {}: {problem}\n   {lines}",
            scenario.name
        )
    })
}

/// Where a cluster keeps what it writes.
pub(crate) fn place(cluster: &str) -> PathBuf {
    interop_dir().with_file_name("cluster").join(cluster)
}

/// The logs as they are now; later scenarios go on writing to the nodes' own.
fn keep_traces(folder: &Path, scenario: &str) {
    let target = folder.join("failed").join(scenario);
    let nodes = fs::read_dir(folder.join("nodes")).into_iter().flatten().flatten();
    for node in nodes {
        let target = target.join(node.file_name());
        let logs = [("pacemaker", "pacemaker.log"), ("corosync", "corosync.log")];
        for (dir, log) in logs {
            let _ = fs::create_dir_all(&target);
            let _ = fs::copy(node.path().join("log").join(dir).join(log), target.join(log));
        }
    }
    let _ = fs::copy(folder.join("storage"), target.join("storage"));
    println!("   traces: {}", target.display());
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<26} {:<9} {:>10} {:>8}  seen\n",
        "scenario", "cluster", "to service", "whole"
    );
    for row in rows {
        let service = row.service_ms.map_or("-".to_owned(), |ms| {
            format!("{}.{} s", ms / 1000, ms % 1000 / 100)
        });
        let seen = match row.passed {
            true => row.told.clone(),
            false => format!("FAILED: {}", row.told.lines().next().unwrap_or_default()),
        };
        let _ = writeln!(
            text,
            "{:<26} {:<9} {service:>10} {:>6.0} s  {seen}",
            row.scenario, row.cluster, row.seconds
        );
    }
    text
}
