//! A program for the tests of `kill_points`: two threads of one process write at the same time. It makes the
//! folders `busy-0` to `busy-19` in one thread and `rare` in the other, in the folder that it is run in.

use std::{fs, io, thread};

fn main() -> io::Result<()> {
    thread::scope(|scope| {
        let rare = scope.spawn(|| fs::create_dir("rare"));
        for number in 0..20 {
            fs::create_dir(format!("busy-{number}"))?;
        }
        rare.join().unwrap_or_else(|_| Err(io::Error::other("the other thread panicked")))
    })
}
