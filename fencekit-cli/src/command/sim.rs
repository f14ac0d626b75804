//! `fencekit sim`: a simulated device for every entry of a cluster file, until stopped.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use fencekit::{Error, Result};
use fencekit_sim::cluster::{Fleet, onto_loopback, plan, serve};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use super::{Common, DONE, output};

/// What one control connection may send, in bytes.
const CONVERSATION: u64 = 16 * 1024 * 1024;

/// Faults are set while it runs, by lines on stdin or on the control socket; each is answered with a line of JSON:
/// "storage-b lie" (or slow=2, silent, stuck, bounce=5, ...: a list), "storage-b none", "storage-b state",
/// "storage-b off" (the button), "list".
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Listen on 127.1.x.x and free ports instead of the file's addresses
    #[arg(long)]
    loopback: bool,
    /// Take control lines on this Unix socket as well
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
}

pub(super) fn run(common: &Common, options: &Options) -> Result<u8> {
    let cluster = common.cluster()?;
    let mut planned = plan(&cluster)?;
    if options.loopback {
        onto_loopback(&mut planned);
    }
    let work = async {
        let mut fleet = Fleet::default();
        for device in planned {
            let device = serve(device)
                .await
                .map_err(|cause| Error::unreachable(cause.to_string()).caused_by(cause))?;
            for announcement in device.announcements() {
                output::line(&serde_json::to_string(&announcement).unwrap_or_default());
            }
            fleet.add(device);
        }
        control(Rc::new(fleet), options.control.as_deref()).await
    };
    // Being stopped is how it ends.
    super::block_on(work)?.unwrap_or(Ok(DONE))
}

/// Obeys until stopped: the end of stdin is not the end.
async fn control(fleet: Rc<Fleet>, socket: Option<&Path>) -> Result<u8> {
    let from_stdin = async {
        obey_lines(&fleet, tokio::io::stdin(), &mut tokio::io::stdout()).await;
        std::future::pending::<Result<u8>>().await
    };
    let Some(path) = socket else {
        return from_stdin.await;
    };
    let (listener, _socket) = listen(path)?;
    let from_socket = async {
        loop {
            let (stream, _) = listener
                .accept()
                .await
                .map_err(|cause| Error::io("waiting on the control socket", cause))?;
            let fleet = Rc::clone(&fleet);
            tokio::task::spawn_local(async move {
                let (read, mut write) = stream.into_split();
                obey_lines(&fleet, read.take(CONVERSATION), &mut write).await;
            });
        }
    };
    let tasks = tokio::task::LocalSet::new();
    tasks
        .run_until(async {
            tokio::select! {
                outcome = from_stdin => outcome,
                outcome = from_socket => outcome,
            }
        })
        .await
}

async fn obey_lines(
    fleet: &Fleet,
    source: impl AsyncRead + Unpin,
    answers: &mut (impl AsyncWriteExt + Unpin),
) {
    let mut lines = BufReader::new(source).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.trim().is_empty() {
            continue;
        }
        let mut answer = fleet.obey(&line).to_string();
        answer.push('\n');
        if answers.write_all(answer.as_bytes()).await.is_err() || answers.flush().await.is_err() {
            return;
        }
    }
}

/// Takes the socket's name away at the end.
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Whoever can write to it can make devices fail, so only this user can.
fn listen(path: &Path) -> Result<(UnixListener, Socket)> {
    let wrong = |problem: String, mend: &str| {
        Error::config("control", format!("{}: {problem}", path.display()), mend)
    };
    let is_left_over = std::fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path).is_err();
    if is_left_over {
        let _ = std::fs::remove_file(path);
    }
    let listener = UnixListener::bind(path).map_err(|cause| {
        wrong(
            cause.to_string(),
            "name a path that is free, in a directory that can be written to",
        )
    })?;
    let socket = Socket(path.to_owned());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .map_err(|cause| wrong(cause.to_string(), "name a path on a local file system"))?;
    Ok((listener, socket))
}
