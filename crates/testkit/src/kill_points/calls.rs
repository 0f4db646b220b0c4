//! Which system calls change something, and what each is about.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path;

use nix::libc;
use nix::unistd::Pid;

/// A call that is about to change something.
pub(super) struct Mutation {
    pub(super) call: &'static str,
    pub(super) subject: String,
}

/// Where a call's arguments say what it is about. Numbers are places of arguments, from 0.
enum About {
    /// The file behind a descriptor.
    Fd(usize),
    /// A path.
    Path(usize),
    /// A path that is opened, with its flags.
    Opened { path: usize, flags: usize },
    /// The same, where the flags are the first word of a structure.
    OpenedHow { path: usize, how: usize },
    /// All file systems.
    All,
    /// The end of the process.
    Exit,
}

use About::{All, Exit, Fd, Opened, OpenedHow, Path};

/// The mutating calls of today's architectures.
const CALLS: &[(libc::c_long, &str, About)] = &[
    (libc::SYS_write, "write", Fd(0)),
    (libc::SYS_pwrite64, "pwrite64", Fd(0)),
    (libc::SYS_writev, "writev", Fd(0)),
    (libc::SYS_pwritev, "pwritev", Fd(0)),
    (libc::SYS_pwritev2, "pwritev2", Fd(0)),
    (libc::SYS_sendfile, "sendfile", Fd(0)),
    (libc::SYS_copy_file_range, "copy_file_range", Fd(2)),
    (libc::SYS_splice, "splice", Fd(2)),
    (libc::SYS_fsync, "fsync", Fd(0)),
    (libc::SYS_fdatasync, "fdatasync", Fd(0)),
    (libc::SYS_sync_file_range, "sync_file_range", Fd(0)),
    (libc::SYS_syncfs, "syncfs", Fd(0)),
    (libc::SYS_sync, "sync", All),
    (libc::SYS_fallocate, "fallocate", Fd(0)),
    (libc::SYS_ftruncate, "ftruncate", Fd(0)),
    (libc::SYS_truncate, "truncate", Path(0)),
    (libc::SYS_fchmod, "fchmod", Fd(0)),
    (libc::SYS_fchmodat, "fchmodat", Path(1)),
    // SYS_fchmodat2: one number everywhere, but libc names it on few architectures.
    (452, "fchmodat2", Path(1)),
    (libc::SYS_fchown, "fchown", Fd(0)),
    (libc::SYS_fchownat, "fchownat", Path(1)),
    (libc::SYS_utimensat, "utimensat", Path(1)),
    (libc::SYS_fsetxattr, "fsetxattr", Fd(0)),
    (libc::SYS_setxattr, "setxattr", Path(0)),
    (libc::SYS_lsetxattr, "lsetxattr", Path(0)),
    (libc::SYS_fremovexattr, "fremovexattr", Fd(0)),
    (libc::SYS_removexattr, "removexattr", Path(0)),
    (libc::SYS_lremovexattr, "lremovexattr", Path(0)),
    (libc::SYS_openat, "openat", Opened { path: 1, flags: 2 }),
    (libc::SYS_openat2, "openat2", OpenedHow { path: 1, how: 2 }),
    (libc::SYS_mkdirat, "mkdirat", Path(1)),
    (libc::SYS_mknodat, "mknodat", Path(1)),
    (libc::SYS_linkat, "linkat", Path(3)),
    (libc::SYS_symlinkat, "symlinkat", Path(2)),
    (libc::SYS_unlinkat, "unlinkat", Path(1)),
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    (libc::SYS_renameat, "renameat", Path(3)),
    (libc::SYS_renameat2, "renameat2", Path(3)),
    (libc::SYS_exit_group, "exit_group", Exit),
];

/// Those that only older architectures have.
#[cfg(target_arch = "x86_64")]
const OLDER_CALLS: &[(libc::c_long, &str, About)] = &[
    (libc::SYS_open, "open", Opened { path: 0, flags: 1 }),
    (libc::SYS_creat, "creat", Path(0)),
    (libc::SYS_mkdir, "mkdir", Path(0)),
    (libc::SYS_rmdir, "rmdir", Path(0)),
    (libc::SYS_mknod, "mknod", Path(0)),
    (libc::SYS_link, "link", Path(1)),
    (libc::SYS_symlink, "symlink", Path(1)),
    (libc::SYS_unlink, "unlink", Path(0)),
    (libc::SYS_rename, "rename", Path(1)),
    (libc::SYS_chmod, "chmod", Path(0)),
    (libc::SYS_chown, "chown", Path(0)),
    (libc::SYS_lchown, "lchown", Path(0)),
    (libc::SYS_utime, "utime", Path(0)),
    (libc::SYS_utimes, "utimes", Path(0)),
    (libc::SYS_futimesat, "futimesat", Path(1)),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_CALLS: &[(libc::c_long, &str, About)] = &[];

/// The mutating call at whose entry `task` is held, if it is one. `root` is the process that was started, `log`
/// where its output goes.
pub(super) fn mutation(task: Pid, root: Pid, log: &path::Path) -> io::Result<Option<Mutation>> {
    let Some((number, args)) = call_of(task)? else { return Ok(None) };
    let Some((_, call, about)) = CALLS.iter().chain(OLDER_CALLS).find(|(known, ..)| *known == number) else {
        return Ok(None);
    };
    let arg = |place: usize| args.get(place).copied().unwrap_or_default();
    let subject = match *about {
        Fd(place) => {
            file_behind(task, arg(place)).filter(|file| file != log).map(|file| file.display().to_string())
        }
        Path(place) => text_at(task, arg(place)),
        Opened { path, flags } if changes(arg(flags)) => text_at(task, arg(path)),
        OpenedHow { path, how } if changes(word_at(task, arg(how))) => text_at(task, arg(path)),
        Opened { .. } | OpenedHow { .. } => None,
        All => Some("everything".to_owned()),
        // The end of the program, not of a helper that it started.
        Exit => fs::exists(format!("/proc/{root}/task/{task}"))?.then(|| format!("with code {}", arg(0))),
    };
    Ok(subject.map(|subject| Mutation { call, subject }))
}

/// Number and arguments of the call at whose entry `task` is held.
fn call_of(task: Pid) -> io::Result<Option<(libc::c_long, Vec<u64>)>> {
    let line = fs::read_to_string(format!("/proc/{task}/syscall"))?;
    let mut words = line.split_whitespace();
    let Some(number) = words.next().and_then(|word| word.parse().ok()) else { return Ok(None) };
    let args = words.take(6).filter_map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
    Ok(Some((number, args.collect())))
}

/// Whether opening with these flags can create or empty a file.
fn changes(flags: u64) -> bool {
    let mutating = libc::O_CREAT | libc::O_TRUNC;
    u64::try_from(mutating).is_ok_and(|mutating| flags & mutating != 0)
}

/// The file or folder behind a descriptor; none if what is behind it is not state.
fn file_behind(task: Pid, fd: u64) -> Option<path::PathBuf> {
    // A descriptor is an int: the upper half of the register is noise.
    let fd = fd & 0xffff_ffff;
    let link = fs::read_link(format!("/proc/{task}/fd/{fd}")).ok()?;
    // Pipes, sockets and the like have names that are no paths.
    let is_state = link.is_absolute() && !link.starts_with("/dev") && !link.starts_with("/proc");
    is_state.then_some(link)
}

/// The text that ends with a zero byte at `address`, or its beginning. A null pointer stands for the
/// descriptor's own file, a pointer that cannot be read is the kernel's to refuse: both are still a call.
fn text_at(task: Pid, address: u64) -> Option<String> {
    let bytes = memory(task, address, 256);
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(String::from_utf8_lossy(text).into_owned())
}

fn word_at(task: Pid, address: u64) -> u64 {
    memory(task, address, 8).try_into().map_or(0, u64::from_ne_bytes)
}

/// Up to `length` bytes of the memory of `task`: fewer where it ends, none where there is nothing.
fn memory(task: Pid, address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let read = File::open(format!("/proc/{task}/mem")).and_then(|mem| mem.read_at(&mut bytes, address));
    bytes.truncate(read.unwrap_or(0));
    bytes
}
