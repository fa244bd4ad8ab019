//! A bar on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::Output;

/// Seconds between plain lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// From one look at the clock to the next.
const TICK: Duration = Duration::from_millis(250);

/// A sign of life on a terminal while something goes on whose end is not known.
pub struct Working(Option<ProgressBar>);

impl Working {
    pub fn new(output: &Output, what: &'static str) -> Self {
        let shown = output.terminal && !output.quiet;
        Self(shown.then(|| {
            let bar = ProgressBar::new_spinner().with_message(what);
            let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(TICK);
            bar
        }))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Progress towards a known total.
pub struct Progress<'a> {
    output: &'a Output,
    bar: Option<ProgressBar>,
    what: &'static str,
    done: u64,
    total: u64,
    last: Instant,
    /// Work in between that counts something else: what, how much is done, of how much.
    between: Option<(&'static str, u64, u64)>,
}

impl<'a> Progress<'a> {
    pub fn new(output: &'a Output, what: &'static str, total: u64) -> Self {
        let bar = (output.terminal && !output.quiet).then(|| {
            let bar = ProgressBar::new(total);
            let style = ProgressStyle::with_template(
                "{bar:32} {percent:>3}% {pos}/{len} {msg} {per_sec}, {elapsed} so far, {eta} left",
            );
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(what);
            bar
        });
        // The clock goes on while something is prepared.
        bar.iter().for_each(|bar| bar.enable_steady_tick(TICK));
        Self { output, bar, what, done: 0, total, last: Instant::now(), between: None }
    }

    /// Something else is counted for a while: so many at most.
    pub fn begin(&mut self, what: &'static str, most: u64) {
        self.between = Some((what, 0, most));
        self.within(0);
    }

    /// Adds to that.
    pub fn within(&mut self, n: u64) {
        let Some((what, done, most)) = &mut self.between else { return };
        *done += n;
        let text = format!("{done} of at most {most} {what} first");
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None if self.last.elapsed() >= INTERVAL => {
                self.last = Instant::now();
                self.output.note(&text);
            }
            None => {}
        }
    }

    /// What was counted at first is counted again.
    pub fn end(&mut self) {
        if self.between.take().is_some() {
            self.message(self.what.to_owned());
        }
    }

    /// Adds to what is done.
    pub fn add(&mut self, n: u64) {
        self.done += n;
        match &self.bar {
            Some(bar) => bar.inc(n),
            None if self.last.elapsed() >= INTERVAL => {
                self.last = Instant::now();
                let percent = self.done * 100 / self.total.max(1);
                self.output.note(&format!("{percent:>3}% {}/{} {}", self.done, self.total, self.what));
            }
            None => {}
        }
    }

    /// Shows something beside the count.
    pub fn message(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text);
        }
    }

    /// A line that does not disturb the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.output.note(text)),
            None => self.output.note(text),
        }
    }

    /// Removes the bar.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
