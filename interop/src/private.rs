//! Tests in namespaces of their own: network, mounts, processes, host name.

use std::env;
use std::process::Command;
use std::time::Duration;

use crate::place::tool;
use crate::process::run;

/// How long a test may take in there.
const LIMIT: Duration = Duration::from_secs(180);

/// Names the test that is running inside.
const INSIDE: &str = "FENCEKIT_INTEROP_INSIDE";

/// What happens before the test's own program takes over: mounts stay private, loopback is up, the host has a name
/// of its own.
const ENTER: &str = "mount --make-rprivate / && ip link set lo up && hostname tester && exec \"$@\"";

/// Runs the rest of the test in namespaces of its own (network, mounts, processes, host name, IPC), with loopback up
/// and nothing else. Put it after what needs [`required!`](crate::required).
///
/// The test's program starts itself once more in there, for this test alone; when the test ends, so do all the
/// processes inside.
#[macro_export]
macro_rules! private_namespaces {
    () => {{
        fn here() {}
        $crate::required!($crate::namespaces());
        if !$crate::inside(::std::any::type_name_of_val(&here)) {
            return;
        }
    }};
}

/// Whether this is the test inside its namespaces. Outside, runs it there and says no.
///
/// # Panics
/// When the test fails inside.
#[doc(hidden)]
#[must_use]
pub fn inside(function: &str) -> bool {
    let test = test_of(function);
    if env::var_os(INSIDE).is_some_and(|name| name == *test) {
        return true;
    }
    let unshare = tool("unshare").expect("unshare, looked for before");
    let mut command = Command::new(unshare);
    command
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--uts",
            "--ipc",
            "--mount-proc",
            "--kill-child",
        ])
        .args(["sh", "-c", ENTER, "enter"])
        .arg(env::current_exe().expect("the path of this test"))
        .args(["--exact", &test, "--nocapture"])
        .env(INSIDE, &test);
    let out = run(&mut command, "", LIMIT);
    // Without the count, a name that fits no test would pass.
    assert!(
        out.ok() && out.stdout.contains("test result: ok. 1 passed"),
        "{test}, in its namespaces: {out}"
    );
    false
}

/// The test's name as its harness knows it, from the name of a function inside it.
fn test_of(function: &str) -> String {
    let path = function.strip_suffix("::here").unwrap_or(function);
    let path = path.trim_end_matches("::{{closure}}");
    path.split_once("::").map_or(path, |(_, test)| test).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_test_from_a_function_inside_it() {
        assert_eq!(test_of("pacemaker::fences_a_node::here"), "fences_a_node");
        assert_eq!(
            test_of("pacemaker::levels::lie::{{closure}}::here"),
            "levels::lie"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_private_network_has_loopback_alone() {
        private_namespaces!();
        let links = std::fs::read_to_string("/proc/net/dev").unwrap();
        let links: Vec<_> = links.lines().filter_map(|line| line.split_once(':')).collect();
        assert!(links.iter().all(|(name, _)| name.trim() == "lo"), "{links:?}");
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 9999)).await.unwrap();
        tokio::net::TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
    }

    #[test]
    #[should_panic(expected = "in its namespaces")]
    fn a_failure_inside_fails_outside() {
        if namespaces_missing() {
            panic!("in its namespaces, were there any");
        }
        fn here() {}
        if inside(std::any::type_name_of_val(&here)) {
            panic!("this is the failure");
        }
    }

    fn namespaces_missing() -> bool {
        crate::place::namespaces().is_none()
    }
}
