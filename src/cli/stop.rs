//! Interrupts: an orderly stop where work can be kept, an end at once elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::output::Output;

/// What an interrupt does.
#[derive(Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    orderly: Arc<AtomicBool>,
}

/// While this lives, the first interrupt only asks for a stop.
pub struct Orderly(Arc<AtomicBool>);

impl Drop for Orderly {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Stop {
    /// Watches for SIGINT and SIGTERM. Files are written under temporary names, so ending at once leaves nothing half
    /// done.
    pub fn watch(output: &Output) -> Self {
        let this = Self::default();
        let (stop, output) = (this.clone(), output.clone());
        // Without a handler an interrupt still ends the process, so a failure here is no reason to stop.
        let _ = ctrlc::set_handler(move || {
            if !stop.orderly.load(Ordering::Relaxed) || stop.asked.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            output.note("stopping once what is in work is kept; a second time stops at once");
        });
        this
    }

    /// From now on the work looks at the flag itself.
    pub fn orderly(&self) -> Orderly {
        self.orderly.store(true, Ordering::Relaxed);
        Orderly(Arc::clone(&self.orderly))
    }

    /// The flag that is set by the first interrupt.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.asked)
    }

    /// Whether a stop was asked for.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}
