//! Loaded before the C library, ends the process without warning at its n-th file operation (`SPECBENCH_KILL_AT`).
//! `tests/it/kills/mod.rs` compiles it; it is no part of the tests' binary.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn getpid() -> c_int;
    fn kill(process: c_int, signal: c_int) -> c_int;
}

static DONE: AtomicU64 = AtomicU64::new(0);
static LAST: OnceLock<u64> = OnceLock::new();

/// Counts one operation; at the chosen one, the process is gone before it happens.
fn step() {
    let last = *LAST.get_or_init(|| std::env::var("SPECBENCH_KILL_AT").ok().and_then(|n| n.parse().ok()).unwrap_or(u64::MAX));
    if DONE.fetch_add(1, Ordering::SeqCst) + 1 == last {
        unsafe { kill(getpid(), 9) };
    }
}

macro_rules! before {
    ($name:literal, $function:ident($($argument:ident: $kind:ty),*) -> $result:ty, $counts:expr) => {
        #[no_mangle]
        pub unsafe extern "C" fn $function($($argument: $kind),*) -> $result {
            static NEXT: OnceLock<usize> = OnceLock::new();
            // RTLD_NEXT.
            let next = *NEXT.get_or_init(|| unsafe { dlsym(usize::MAX as *mut c_void, $name.as_ptr().cast()) } as usize);
            if $counts {
                step();
            }
            let next: unsafe extern "C" fn($($kind),*) -> $result = unsafe { std::mem::transmute(next) };
            unsafe { next($($argument),*) }
        }
    };
}

const CREATES: c_int = 0o100;

before!("open64\0", open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int, flags & CREATES != 0);
before!("write\0", write(file: c_int, bytes: *const c_void, count: usize) -> isize, file > 2);
before!("writev\0", writev(file: c_int, pieces: *const c_void, count: c_int) -> isize, file > 2);
before!("fsync\0", fsync(file: c_int) -> c_int, true);
before!("fdatasync\0", fdatasync(file: c_int) -> c_int, true);
before!("ftruncate64\0", ftruncate64(file: c_int, length: i64) -> c_int, true);
before!("rename\0", rename(from: *const c_char, to: *const c_char) -> c_int, true);
before!("unlink\0", unlink(path: *const c_char) -> c_int, true);
before!("unlinkat\0", unlinkat(folder: c_int, path: *const c_char, flags: c_int) -> c_int, true);
before!("mkdir\0", mkdir(path: *const c_char, mode: c_uint) -> c_int, true);
before!("rmdir\0", rmdir(path: *const c_char) -> c_int, true);
