//! The `specbench` program. Everything is in the library.

use std::process::ExitCode;

/// Tensors come and go by the thousand; this allocator keeps their pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // candle reads these when it first computes. Our own pool works on whole batches; threads
    // inside each operator on top of it only get in its way.
    for name in ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"] {
        #[expect(unsafe_code, reason = "no other thread runs yet")]
        // SAFETY: the process has a single thread here.
        unsafe {
            std::env::set_var(name, "1");
        }
    }
    specbench::cli::main()
}
