//! Every cluster file of the generator's own tests through every version of pcs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fencekit::cluster::Cluster;
use fencekit::stonith::{self, Configuration};
use fencekit_interop::{Output, cib_facts, empty_cib, pcs_root, private_namespaces, required, tool};

use super::versions::{Release, from_nothing};
use super::{Place, configuration, files};

/// Files whose like other tests put through the pcs of this machine: `main.rs` a hostile one and one without verification,
/// the lab, on a running cluster, those of nodes with addresses, a fallback and two supplies.
const ON_THIS_MACHINE: &[&str] = &["fallback", "hostile", "original", "two-supplies", "unverified"];
/// Files that `versions.rs` puts through the pcs of both other releases. The hostile one reaches 0.10 without what is beyond
/// ASCII, which Pacemaker 2.0 would change and the script therefore refuses.
const IN_RELEASES: &[&str] = &["fallback", "hostile", "two-supplies"];

/// The names of the files, without those that another test puts through the same pcs.
fn names(elsewhere: &[&str]) -> Vec<String> {
    let stems = files()
        .into_iter()
        .map(|file| file.file_stem().unwrap().to_owned());
    let names: Vec<_> = stems.map(|stem| stem.into_string().unwrap()).collect();
    assert!(
        elsewhere.iter().all(|name| names.iter().any(|one| one == name)),
        "{names:?}"
    );
    names
        .into_iter()
        .filter(|name| !elsewhere.contains(&name.as_str()))
        .collect()
}

/// A cluster file of the repository, by its name.
pub(super) fn of_file(name: &str) -> String {
    let mut files = files().into_iter();
    let file = files.find(|path| path.file_stem().is_some_and(|stem| stem == name));
    fs::read_to_string(file.unwrap()).unwrap()
}

fn facts(wanted: &Configuration) -> BTreeSet<Vec<String>> {
    cib_facts(&stonith::cib(wanted).unwrap())
}

/// Runs the script; then every value is as asked for, byte for byte, none of the secrets was told, and a second run
/// changes nothing.
pub(super) fn becomes_as_asked(
    wanted: &Configuration,
    arguments: &[&str],
    script: &dyn Fn(&[&str]) -> Output,
    cib: &dyn Fn() -> String,
) {
    let out = script(arguments);
    assert!(out.ok(), "{out}");
    assert_eq!(cib_facts(&cib()), facts(wanted), "{out}");
    for attribute in wanted.resources.iter().flat_map(|one| &one.attributes) {
        let told = [&out.stdout, &out.stderr]
            .iter()
            .any(|text| text.contains(attribute.value.expose()));
        assert!(!(attribute.secret && told), "{}: {out}", attribute.name);
    }
    let once = cib();
    let out = script(&[]);
    assert!(out.ok() && out.stdout.starts_with("Nothing to change."), "{out}");
    assert_eq!(cib(), once);
}

/// The files through the pcs of a release.
fn through(root: &Path, version: &str) {
    let release = Release::enter(root, version);
    for name in names(IN_RELEASES) {
        from_nothing(&release, &of_file(&name));
    }
}

#[test]
fn pcs_0_10_makes_of_a_cluster_file_what_it_says() {
    let root = required!(pcs_root("0.10"));
    private_namespaces!();
    through(&root, "0.10");
}

#[test]
fn pcs_0_12_makes_of_a_cluster_file_what_it_says() {
    let root = required!(pcs_root("0.12"));
    private_namespaces!();
    through(&root, "0.12");
}

#[test]
fn the_pcs_of_this_machine_makes_of_a_cluster_file_what_it_says() {
    required!(tool("pcs"));
    required!(tool("crm_verify"));
    private_namespaces!();
    let place = Place::new();
    for name in names(ON_THIS_MACHINE) {
        let text = of_file(&name);
        let cluster = Cluster::from_text(&text, "cluster.yml").unwrap();
        fs::write(place.cib(), empty_cib(&[&cluster])).unwrap();
        let wanted = configuration(&text);
        becomes_as_asked(&wanted, &[], &|more| place.run(&wanted, more), &|| place.text());
        place.verify();
    }
}
