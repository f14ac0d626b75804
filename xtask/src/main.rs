//! Project tasks.

fn main() {
    eprintln!("no task yet");
}
