//! The script with pcs 0.10 and 0.12, each with the Pacemaker of its time, in the Debian releases that the set-up
//! unpacked: hostile values, and from one file to another.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fencekit::cluster::Cluster;
use fencekit::stonith::{self, Configuration};
use fencekit_interop::{Output, empty_cib, fencekit_bin, pcs_root, private_namespaces, required, run};

use super::every_file::{becomes_as_asked, of_file};
use super::{LIMIT, configuration, without_nodes};

/// Nothing of a release changes: an overlay takes what is written. Our own program is built for this machine's C
/// library, so it brings that along; its agents are scripts that start it.
const ENTER: &str = r#"
lower=$1 program=$2 place=$3
mount -t tmpfs none "$place"
mkdir "$place/up" "$place/work" "$place/root"
mount -t overlay -o "lowerdir=$lower,upperdir=$place/up,workdir=$place/work" none "$place/root"
cd "$place/root"
mkdir -p proc dev agent try
mount -t proc none proc
mount --rbind /dev dev
cp -- "$program" agent/fencekit
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
    cp -- "$library" agent/
done
for agent in kasa tasmota esphome http ipmi check; do
    cat >"usr/sbin/fence_$agent" <<END
#!/bin/bash
exec /agent/ld-* --library-path /agent /agent/fencekit agent fence_$agent "\$@"
END
    chmod 755 "usr/sbin/fence_$agent"
done
chroot . ldconfig
"#;
/// Where the release is mounted; namespaces of the test's own keep it from everybody else.
const PLACE: &str = "/mnt";

/// A Debian release with a script and the configuration that it edits.
pub(super) struct Release;

impl Release {
    pub(super) fn enter(root: &Path, version: &str) -> Self {
        let mut enter = Command::new("sh");
        enter
            .args(["-euc", ENTER, "enter"])
            .arg(root)
            .arg(fencekit_bin())
            .arg(PLACE);
        let out = run(&mut enter, "", LIMIT);
        assert!(out.ok(), "{out}");
        let out = run(Self::inside("pcs").arg("--version"), "", LIMIT);
        assert!(
            out.ok() && out.stdout.starts_with(&format!("{version}.")),
            "{out}"
        );
        Self
    }

    fn inside(program: &str) -> Command {
        let mut command = Command::new("chroot");
        command.arg(Path::new(PLACE).join("root")).args([
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME=/root",
            program,
        ]);
        command
    }

    fn file(name: &str) -> PathBuf {
        Path::new(PLACE).join("root/try").join(name)
    }

    fn cib(&self) -> String {
        fs::read_to_string(Self::file("cib.xml")).unwrap()
    }

    fn script(&self, wanted: &Configuration, arguments: &[&str]) -> Output {
        fs::write(Self::file("configure-stonith.sh"), stonith::pcs(wanted).unwrap()).unwrap();
        let mut bash = Self::inside("bash");
        bash.args(["/try/configure-stonith.sh", "--cib", "/try/cib.xml"])
            .args(arguments);
        run(&mut bash, "", LIMIT)
    }

    /// Runs the script of a cluster file on what is there, which must come out as asked for.
    fn configure(&self, wanted: &Configuration, arguments: &[&str]) {
        becomes_as_asked(wanted, arguments, &|more| self.script(wanted, more), &|| {
            self.cib()
        });
        self.verify();
    }

    /// What Pacemaker's verifier says.
    fn verify(&self) {
        fs::write(Self::file("bare.xml"), without_nodes(&self.cib())).unwrap();
        let out = run(
            Self::inside("crm_verify").args(["-V", "-x", "/try/bare.xml"]),
            "",
            LIMIT,
        );
        assert!(out.ok(), "{out}");
    }
}

fn cluster(text: &str) -> Cluster {
    Cluster::from_text(text, "cluster.yml").unwrap()
}

/// Configures a cluster that nobody has fenced yet.
pub(super) fn from_nothing(release: &Release, text: &str) {
    fs::write(Release::file("cib.xml"), empty_cib(&[&cluster(text)])).unwrap();
    release.configure(&configuration(text), &[]);
}

/// What changed is updated; what is gone, node, level and supply, goes with `--prune`; a dry run writes nothing.
fn from_one_file_to_another(release: &Release) {
    let (first, then) = (of_file("fallback"), of_file("two-supplies"));
    fs::write(
        Release::file("cib.xml"),
        empty_cib(&[&cluster(&first), &cluster(&then)]),
    )
    .unwrap();
    release.configure(&configuration(&first), &[]);
    let before = release.cib();
    let out = release.script(&configuration(&then), &["--prune", "--dry-run"]);
    assert!(
        out.ok() && out.stdout.ends_with("Dry run: nothing was changed.\n"),
        "{out}"
    );
    assert!(
        out.stdout
            .contains("-level 2 of storage-a: fence-storage-a-fallback"),
        "{out}"
    );
    assert_eq!(release.cib(), before, "a dry run wrote");
    release.configure(&configuration(&then), &["--prune"]);
}

/// Pacemaker 2.0 writes octal digits for what is beyond ASCII, in a password too. The password does not pass through
/// pcs, so the last look at what Pacemaker makes of it has to see that.
#[test]
fn pcs_0_10_is_told_everything_but_what_its_pacemaker_would_change() {
    let root = required!(pcs_root("0.10"));
    private_namespaces!();
    let release = Release::enter(&root, "0.10");
    let ascii = of_file("hostile").replace(" é 火", "");
    let beyond = ascii.replace("END_OF_SECRET", "geheïm");
    let empty = empty_cib(&[&cluster(&beyond)]);
    fs::write(Release::file("cib.xml"), &empty).unwrap();
    let out = release.script(&configuration(&beyond), &[]);
    assert_eq!(out.code, Some(1), "{out}");
    let named = "fence-node-1 is not as asked for: password (holds a character beyond ASCII";
    assert!(
        out.stderr.contains(named) && out.stderr.ends_with("the cluster is as it was\n"),
        "{out}"
    );
    assert!(!out.to_string().contains("geheïm"), "{out}");
    assert_eq!(release.cib(), empty);

    from_nothing(&release, &ascii);
    from_one_file_to_another(&release);
}

#[test]
fn pcs_0_12_is_told_everything() {
    let root = required!(pcs_root("0.12"));
    private_namespaces!();
    let release = Release::enter(&root, "0.12");
    from_nothing(&release, &of_file("hostile"));
    from_one_file_to_another(&release);
}
