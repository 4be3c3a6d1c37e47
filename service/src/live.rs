//! A screen that is drawn again and again in the same place, on a terminal only.
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::Output;
use crate::progress::bars;

/// Lines at the bottom of the terminal, below whatever else is written. Off a terminal, with `--json` or `--quiet`,
/// nothing is drawn.
#[derive(Debug)]
pub struct Live {
    bar: ProgressBar,
}

impl Live {
    /// An empty screen on stderr.
    #[must_use]
    pub fn new(output: &Output) -> Self {
        if output.json || output.quiet {
            return Self {
                bar: ProgressBar::hidden(),
            };
        }
        let bar = bars().add(ProgressBar::no_length());
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// Whether anybody sees it.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Draws these lines in the place of those before.
    pub fn draw(&self, lines: String) {
        self.bar.set_message(lines);
    }

    /// Writes something above it, with a newline at its end, to stdout.
    pub fn above(&self, write: impl FnOnce()) {
        bars().suspend(write);
    }

    /// Leaves the last lines where they are, for good.
    pub fn leave(&self) {
        self.bar.abandon();
        bars().remove(&self.bar);
    }

    /// Takes them off the terminal.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
        bars().remove(&self.bar);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_for_machines() {
        let live = Live::new(&Output::new(true));
        live.draw("one\ntwo".to_owned());
        let mut written = false;
        live.above(|| written = true);
        assert!(written && !live.is_seen());
        live.clear();
        live.leave();
    }
}
