//! Lanes: the steps that test, and beside them those that only build, on the processor time that the others leave. The
//! cluster, which waits more than it works, runs beside the tests of the languages.
//!
//! Tests of networks and clusters wait most of their time. What compiles meanwhile runs in the idle class of the scheduler,
//! so a test that wants the processor has it at once. Each lane is a process of its own: it adopts what its own steps leave
//! behind, and ends it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{STEPS, Step, run_step};
use crate::context::Context;
use crate::exec::{Ended, Show, run};
use crate::report::Row;
use crate::tally::Tally;

/// Which steps run one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Before the others: what they need on the machine.
    First,
    /// Tests, and what later lanes need built.
    Front,
    /// Tests after those.
    Languages,
    /// Tests at the same time, which wait most of theirs.
    Cluster,
    /// Builds, with what processor time the tests leave.
    Beside,
}

/// How much longer a step may take on time that others leave.
const PATIENCE: u32 = 3;

impl Lane {
    fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Front => "front",
            Self::Languages => "languages",
            Self::Cluster => "cluster",
            Self::Beside => "beside",
        }
    }

    fn steps(self) -> impl Iterator<Item = &'static Step> {
        STEPS.iter().filter(move |step| step.lane == self)
    }

    fn limit(self, step: &Step) -> Duration {
        match self {
            Self::First | Self::Front | Self::Languages | Self::Cluster => step.limit,
            Self::Beside => step.limit * PATIENCE,
        }
    }
}

/// Every step. Their rows, in the order of the list.
pub(super) fn run_all(context: &Context) -> Vec<Row> {
    let mut rows: Vec<Row> = Lane::First
        .steps()
        .map(|step| run_step(context, step, step.limit))
        .collect();
    thread::scope(|scope| {
        let beside = scope.spawn(|| start(context, Lane::Beside, Show::Never));
        rows.extend(start(context, Lane::Front, Show::Live).0);
        let cluster = scope.spawn(|| start(context, Lane::Cluster, Show::Never));
        rows.extend(start(context, Lane::Languages, Show::Live).0);
        for lane in [cluster, beside] {
            let (of_lane, said) = lane.join().unwrap_or_default();
            if !context.stopped() {
                print!("\n== beside the tests:\n{said}");
            }
            rows.extend(of_lane);
        }
    });
    rows.sort_by_key(|row| STEPS.iter().position(|step| step.name == row.step));
    rows
}

/// A lane as the process of its own that [`run_all`] starts; it writes its rows into a file.
pub(super) fn run_one(context: &Context, lane: &str, to: &Path) -> Result<(), String> {
    let lane = [Lane::Front, Lane::Languages, Lane::Cluster, Lane::Beside]
        .into_iter()
        .find(|known| known.name() == lane)
        .ok_or_else(|| format!("no lane is called {lane}"))?;
    for step in lane.steps() {
        if context.stopped() {
            return Err("stopped".to_owned());
        }
        let row = run_step(context, step, lane.limit(step));
        append(to, &row).map_err(|error| format!("{}: {error}", to.display()))?;
    }
    Ok(())
}

/// Starts a lane, and reads its rows and what it said when it has ended.
fn start(context: &Context, lane: Lane, show: Show) -> (Vec<Row>, String) {
    let file = context.target.join(format!("xtask-{}.jsonl", lane.name()));
    let _ = fs::remove_file(&file);
    let limit: Duration = lane.steps().map(|step| lane.limit(step)).sum();
    let ended = match command(lane, &file) {
        Ok(mut command) => run(context, &mut command, Instant::now() + limit, show),
        Err(error) => Ended {
            text: String::new(),
            failure: Some(error),
        },
    };
    let written = fs::read_to_string(&file).unwrap_or_default();
    (rows(lane, &written, ended.failure), ended.text)
}

fn command(lane: Lane, file: &Path) -> Result<Command, String> {
    let own: PathBuf = env::current_exe().map_err(|error| format!("xtask does not find itself: {error}"))?;
    let mut command = match lane {
        Lane::Beside => {
            let mut idle = Command::new("chrt");
            idle.args(["--idle", "0"]).arg(own);
            idle
        }
        Lane::First | Lane::Front | Lane::Languages | Lane::Cluster => Command::new(own),
    };
    command.args(["lane", lane.name()]).arg(file);
    Ok(command)
}

/// A row for each step of the lane: one that told nothing has failed, and so has the last when the lane itself did.
fn rows(lane: Lane, written: &str, failure: Option<String>) -> Vec<Row> {
    let mut rows: Vec<Row> = written.lines().filter_map(|line| read(lane, line)).collect();
    for step in lane.steps() {
        if rows.iter().all(|row| row.step != step.name) {
            rows.push(Row {
                step: step.name,
                elapsed: Duration::ZERO,
                processor: Duration::ZERO,
                tally: Tally::FAILED,
                notes: vec!["did not come to its end".to_owned()],
            });
        }
    }
    if let (Some(last), Some(failure)) = (rows.last_mut(), failure) {
        last.tally += Tally::FAILED;
        last.notes.push(format!("its lane: {failure}"));
    }
    rows
}

fn append(to: &Path, row: &Row) -> std::io::Result<()> {
    use std::io::Write as _;
    let line = json!({
        "step": row.step,
        "seconds": row.elapsed.as_secs_f64(),
        "processor": row.processor.as_secs_f64(),
        "counts": [row.tally.passed, row.tally.failed, row.tally.skipped],
        "notes": row.notes,
    });
    let mut file = fs::OpenOptions::new().create(true).append(true).open(to)?;
    writeln!(file, "{line}")
}

fn read(lane: Lane, line: &str) -> Option<Row> {
    let value: Value = serde_json::from_str(line).ok()?;
    let name = value.get("step")?.as_str()?;
    let step = lane.steps().find(|step| step.name == name)?;
    let count = |index: usize| value.get("counts")?.get(index)?.as_u64();
    let seconds = |of: &str| Duration::try_from_secs_f64(value.get(of)?.as_f64()?).ok();
    let notes = value.get("notes")?.as_array()?.iter();
    Some(Row {
        step: step.name,
        elapsed: seconds("seconds")?,
        processor: seconds("processor")?,
        tally: Tally {
            passed: count(0)?,
            failed: count(1)?,
            skipped: count(2)?,
        },
        notes: notes
            .filter_map(|note| note.as_str().map(str::to_owned))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: &'static str) -> Row {
        Row {
            step,
            elapsed: Duration::from_millis(1500),
            processor: Duration::from_millis(500),
            tally: Tally::PASSED,
            notes: vec!["one\nnote \"of\" two lines".to_owned()],
        }
    }

    #[test]
    fn a_row_comes_through_the_file() {
        let dir = env::temp_dir().join(format!("fencekit-lanes-{}", std::process::id()));
        let _ = fs::remove_file(&dir);
        append(&dir, &row("clippy")).unwrap();
        append(&dir, &row("fuzz")).unwrap();
        let written = fs::read_to_string(&dir).unwrap();
        fs::remove_file(&dir).unwrap();
        let read: Vec<Row> = written
            .lines()
            .filter_map(|line| read(Lane::Beside, line))
            .collect();
        let [clippy, fuzz] = read.as_slice() else {
            panic!("{written}")
        };
        assert_eq!((clippy.step, fuzz.step), ("clippy", "fuzz"));
        assert_eq!(
            (clippy.elapsed, clippy.tally),
            (Duration::from_millis(1500), Tally::PASSED)
        );
        assert_eq!(clippy.notes, row("clippy").notes);
    }

    #[test]
    fn a_step_that_tells_nothing_has_failed() {
        let rows = rows(
            Lane::Beside,
            "nonsense\n",
            Some("xtask was ended by signal 9".to_owned()),
        );
        assert_eq!(rows.len(), Lane::Beside.steps().count());
        assert!(rows.iter().all(|row| row.tally.failed > 0));
        assert!(rows.last().unwrap().notes.concat().contains("signal 9"));
    }

    #[test]
    fn every_step_is_in_one_lane_and_runs() {
        let lanes = [
            Lane::First,
            Lane::Front,
            Lane::Languages,
            Lane::Cluster,
            Lane::Beside,
        ];
        let of_lanes = lanes.map(|lane| lane.steps().count());
        assert_eq!(of_lanes.iter().sum::<usize>(), STEPS.len());
        assert!(of_lanes.iter().all(|count| *count > 0));
    }
}
